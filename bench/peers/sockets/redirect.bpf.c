/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only OR BSD-2-Clause */
/* Every IP frame to the AF_XDP socket of its queue: as little as a peer on AF_XDP can have. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u32);
} xsks SEC(".maps");

SEC("xdp")
int redirect(struct xdp_md *context)
{
	void *end = (void *)(long)context->data_end;
	struct ethhdr *ethernet = (void *)(long)context->data;

	if ((void *)(ethernet + 1) > end || (ethernet->h_proto != bpf_htons(ETH_P_IP) &&
					     ethernet->h_proto != bpf_htons(ETH_P_IPV6)))
		return XDP_PASS;
	return bpf_redirect_map(&xsks, context->rx_queue_index, XDP_DROP);
}

char program_license[] SEC("license") = "Dual BSD/GPL";
