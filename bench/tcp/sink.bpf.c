/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only OR BSD-2-Clause */
/* The place of a director that does nothing: every frame ends where it comes in. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("xdp")
int sink(struct xdp_md *context)
{
	(void)context;
	return XDP_DROP;
}
