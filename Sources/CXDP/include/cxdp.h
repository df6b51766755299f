/* SPDX-License-Identifier: Apache-2.0 */
/* libxdp, libbpf, and the ioctls of an interface, whose structures Swift cannot import. */
#ifndef MARTINET_CXDP_H
#define MARTINET_CXDP_H

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <linux/if_xdp.h>
#include <xdp/libxdp.h>
#include <xdp/xsk.h>

/* Linux 6.17; Debian 12's headers are older. */
#ifndef XDP_MAX_TX_SKB_BUDGET
#define XDP_MAX_TX_SKB_BUDGET 9
#endif

/* What the kernel says of an interface. */
struct cxdp_interface {
	unsigned int index;
	unsigned int mtu;
	unsigned int receive_queues; /* in use now; 1 where the driver does not tell */
	int is_ethernet;
	unsigned char mac_address[6];
};

/*
 * Describe the interface of that name in the caller's network namespace.
 * Returns 0 or an errno; ENODEV for an unknown name.
 */
int cxdp_describe_interface(const char *name, struct cxdp_interface *interface);

/* The libraries print nothing: every failure becomes one sentence of ours. */
void cxdp_silence_libraries(void);

#endif
