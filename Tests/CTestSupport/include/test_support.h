// SPDX-License-Identifier: Apache-2.0
// Linux calls that Swift's Glibc module does not show: namespaces, packet sockets, pidfd_open.
// All return -1 with errno on failure.
#ifndef TEST_SUPPORT_H
#define TEST_SUPPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/pidfd.h>
#include <sys/types.h>

/// A descriptor of a new network namespace; the calling thread is left inside it.
int test_new_namespace(void);

/// Moves the calling thread into a namespace.
int test_enter_namespace(int descriptor);

/// A packet socket on one interface of the calling thread's namespace (packet(7)).
int test_packet_socket(const char *interface);

struct test_frame_info {
  bool is_outgoing;
  bool has_tag;
  /// The outer VLAN tag, which the kernel takes out of the frame, in host order.
  uint16_t tag_type, tag_control;
};

/// Reads one frame without waiting; the number of octets.
ssize_t test_receive(int descriptor, void *octets, size_t size, struct test_frame_info *info);

/// A temporary file after `template`, which is filled in.
int test_temporary_file(char *path_template);

#endif
