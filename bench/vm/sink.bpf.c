// SPDX-License-Identifier: Apache-2.0
/* The real servers: drops the frames for the VIP that carry one of their addresses. The driver
 * counts them (rx_xdp_drops). All others are the kernel's. */
#include <linux/bpf.h>
#include <linux/if_ether.h>

#define SECTION(name) __attribute__((section(name), used))

struct frame {
	struct ethhdr ethernet;
	unsigned char until_destination[16];
	unsigned char destination[4];
} __attribute__((packed));

/* 02:00:00:00:01:xx for 10.0.0.100, as in guest/lab. */
SECTION("xdp") int sink(struct xdp_md *context)
{
	const struct frame *frame = (void *)(long)context->data;

	if ((void *)(long)context->data_end < (void *)(frame + 1))
		return XDP_PASS;
	if (frame->ethernet.h_dest[0] != 0x02 || frame->ethernet.h_dest[4] != 0x01)
		return XDP_PASS;
	if (frame->destination[0] != 10 || frame->destination[3] != 100)
		return XDP_PASS;
	return XDP_DROP;
}
