/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only OR BSD-2-Clause */
/*
 * The real servers of beside-checks, on a loopback interface: whoever asks for a connection is told
 * yes, and that is all. What a server does for a connection is another machine's work, and would
 * be most of the load here.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define EXCHANGE(left, right)                   \
	do {                                    \
		__typeof__(left) kept = (left); \
		(left) = (right);               \
		(right) = kept;                 \
	} while (0)

SEC("xdp")
int servers(struct xdp_md *context)
{
	struct ethhdr *ethernet = (void *)(long)context->data;
	struct iphdr *ip = (void *)(ethernet + 1);
	struct tcphdr *tcp = (void *)(ip + 1);

	if ((void *)(tcp + 1) > (void *)(long)context->data_end ||
	    ethernet->h_proto != bpf_htons(ETH_P_IP) || ip->ihl != 5 || ip->protocol != IPPROTO_TCP)
		return XDP_PASS;
	if (tcp->syn && tcp->ack)
		return XDP_PASS;
	if (!tcp->syn)
		return XDP_DROP;
	/* The sums are not made on a loopback interface, and ours would be the same for IP. */
	EXCHANGE(ip->saddr, ip->daddr);
	EXCHANGE(tcp->source, tcp->dest);
	tcp->ack_seq = bpf_htonl(bpf_ntohl(tcp->seq) + 1);
	tcp->ack = 1;
	return XDP_TX;
}
