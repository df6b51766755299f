// SPDX-License-Identifier: Apache-2.0
// What health checks need of the kernel and Swift's Glibc leaves out.
#pragma once
#include <sys/epoll.h>
#include <sys/eventfd.h>
