// SPDX-License-Identifier: Apache-2.0
// What health checks need of the kernel and Swift's Glibc leaves out.
#pragma once
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/pidfd.h>
#include <sys/random.h>

// posix_spawn_file_actions_addclosefrom_np: the child has no descriptors from `first` on.
int probe_close_from(posix_spawn_file_actions_t *actions, int first);
