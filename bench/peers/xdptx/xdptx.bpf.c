/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only OR BSD-2-Clause */
/*
 * Direct routing without leaving the kernel: looks the connection up, schedules a new one, writes
 * the MAC addresses, sends from where it stands (XDP_TX). What Katran's shape would cost here.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "lab.h"

struct connection {
	__u64 client[2];
	__u32 ports;
	__u32 family;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1 << 20);
	__type(key, struct connection);
	__type(value, __u32);
} connections SEC(".maps");

static __u32 cursor;

static __always_inline int forward(struct ethhdr *ethernet, const struct connection *connection)
{
	static const __u8 own[ETH_ALEN] = LAB_DIRECTOR_MAC;
	__u8 server[ETH_ALEN] = LAB_REAL_SERVER_MAC(0);
	__u32 *known = bpf_map_lookup_elem(&connections, connection), number;

	if (known) {
		number = *known;
	} else {
		number = cursor++ % LAB_REAL_SERVERS;
		bpf_map_update_elem(&connections, connection, &number, BPF_ANY);
	}
	server[5] += number;
	__builtin_memcpy(ethernet->h_dest, server, ETH_ALEN);
	__builtin_memcpy(ethernet->h_source, own, ETH_ALEN);
	return XDP_TX;
}

static __always_inline int ipv4(struct ethhdr *ethernet, void *end)
{
	struct iphdr *ip = (void *)(ethernet + 1);
	struct udphdr *udp = (void *)(ip + 1);
	struct connection connection = { .family = 4 };

	if ((void *)(udp + 1) > end || ip->ihl != 5 || ip->protocol != IPPROTO_UDP ||
	    ip->frag_off & bpf_htons(0x3fff) || ip->daddr != bpf_htonl(LAB_VIP4) ||
	    udp->dest != bpf_htons(LAB_PORT))
		return XDP_PASS;
	connection.client[0] = ip->saddr;
	connection.ports = *(__u32 *)udp;
	return forward(ethernet, &connection);
}

static __always_inline int ipv6(struct ethhdr *ethernet, void *end)
{
	struct ipv6hdr *ip = (void *)(ethernet + 1);
	struct udphdr *udp = (void *)(ip + 1);
	struct connection connection = { .family = 6 };

	if ((void *)(udp + 1) > end || ip->nexthdr != IPPROTO_UDP ||
	    ip->daddr.s6_addr32[0] != bpf_htonl(LAB_VIP6_HIGH >> 32) ||
	    ip->daddr.s6_addr32[3] != bpf_htonl(LAB_VIP6_LOW) ||
	    udp->dest != bpf_htons(LAB_PORT))
		return XDP_PASS;
	__builtin_memcpy(connection.client, &ip->saddr, sizeof(connection.client));
	connection.ports = *(__u32 *)udp;
	return forward(ethernet, &connection);
}

SEC("xdp")
int xdptx(struct xdp_md *context)
{
	void *end = (void *)(long)context->data_end;
	struct ethhdr *ethernet = (void *)(long)context->data;

	if ((void *)(ethernet + 1) > end)
		return XDP_PASS;
	if (ethernet->h_proto == bpf_htons(ETH_P_IP))
		return ipv4(ethernet, end);
	if (ethernet->h_proto == bpf_htons(ETH_P_IPV6))
		return ipv6(ethernet, end);
	return XDP_PASS;
}

char program_license[] SEC("license") = "Dual BSD/GPL";
