// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "test_support.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int test_new_namespace(void) {
  if (unshare(CLONE_NEWNET) != 0) return -1;
  return open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
}

int test_enter_namespace(int descriptor) { return setns(descriptor, CLONE_NEWNET); }

int test_packet_socket(const char *interface) {
  struct sockaddr_ll address = {
      .sll_family = AF_PACKET,
      .sll_protocol = htons(ETH_P_ALL),
      .sll_ifindex = (int)if_nametoindex(interface),
  };
  if (address.sll_ifindex == 0) return -1;
  // Protocol 0 until bound, so that no frame of another interface is queued before.
  int descriptor = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return -1;
  int on = 1, bytes = 16 << 20;
  setsockopt(descriptor, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes);
  if (setsockopt(descriptor, SOL_PACKET, PACKET_AUXDATA, &on, sizeof on) == 0 &&
      bind(descriptor, (struct sockaddr *)&address, sizeof address) == 0)
    return descriptor;
  close(descriptor);
  return -1;
}

ssize_t test_receive(int descriptor, void *octets, size_t size, struct test_frame_info *info) {
  struct sockaddr_ll address = {0};
  union {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
  } control;
  struct iovec vector = {octets, size};
  struct msghdr message = {
      .msg_name = &address,
      .msg_namelen = sizeof address,
      .msg_iov = &vector,
      .msg_iovlen = 1,
      .msg_control = &control,
      .msg_controllen = sizeof control,
  };
  ssize_t count = recvmsg(descriptor, &message, MSG_DONTWAIT);
  if (count < 0) return -1;
  memset(info, 0, sizeof *info);
  info->is_outgoing = address.sll_pkttype == PACKET_OUTGOING;
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  if (header && header->cmsg_level == SOL_PACKET && header->cmsg_type == PACKET_AUXDATA) {
    struct tpacket_auxdata data;
    memcpy(&data, CMSG_DATA(header), sizeof data);
    info->has_tag = data.tp_status & TP_STATUS_VLAN_VALID;
    info->tag_type = data.tp_vlan_tpid;
    info->tag_control = data.tp_vlan_tci;
  }
  return count;
}

int test_temporary_file(char *path_template) { return mkostemp(path_template, O_CLOEXEC); }
