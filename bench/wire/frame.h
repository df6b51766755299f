/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only OR BSD-2-Clause */
/*
 * When the next frame is due and what is in it, for the eBPF program and for the station's own
 * sender. The includer defines lab_now_ns(), CLOCK_MONOTONIC.
 */
#ifndef MARTINET_BENCH_FRAME_H
#define MARTINET_BENCH_FRAME_H

#include "lab.h"

#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>

#define lab_inline static inline __attribute__((always_inline))
#define LAB_NANOSECONDS 1000000000ull

/* Whether one more frame is due, and since when: the clock's word, whatever became of the last. */
lab_inline int lab_is_due(const struct lab_plan *plan, struct lab_progress *progress,
			  __u64 *due_ns)
{
	__u64 now;

	if (progress->sent >= plan->count)
		return 0;
	if (plan->rate == 0) {
		*due_ns = lab_now_ns();
		return *due_ns >= plan->start_ns;
	}
	*due_ns = plan->start_ns + progress->sent * LAB_NANOSECONDS / plan->rate;
	if (progress->sent < progress->due)
		return 1;
	now = lab_now_ns();
	if (now > plan->start_ns)
		progress->due = (now - plan->start_ns) * plan->rate / LAB_NANOSECONDS;
	return progress->sent < progress->due;
}

lab_inline __u16 lab_header_sum(const struct iphdr *ip)
{
	const __u16 *words = (const void *)ip;
	__u32 sum = 0;

	for (int i = 0; i < 10; i++)
		sum += i == 5 ? 0 : words[i];
	sum = (sum & 0xffff) + (sum >> 16);
	return (__u16)~(sum + (sum >> 16));
}

lab_inline void lab_advance(const struct lab_plan *plan, struct lab_progress *progress)
{
	progress->sent++;
	progress->flow = progress->flow + 1 < plan->flows ? progress->flow + 1 : 0;
}

/* The next SYN over a template; only its sender is its own. */
lab_inline int lab_write_syn(struct ethhdr *ethernet, void *end, const struct lab_plan *plan,
			     struct lab_progress *progress)
{
	struct iphdr *ip = (void *)(ethernet + 1);
	__u16 *port = (void *)(ip + 1);

	if ((void *)(port + 1) > end)
		return 0;
	ip->saddr = __builtin_bswap32(LAB_CLIENT4 + progress->flow);
	ip->check = lab_header_sum(ip);
	*port = __builtin_bswap16(LAB_FIRST_PORT + progress->flow % LAB_PORTS_PER_CLIENT);
	lab_advance(plan, progress);
	return 1;
}

/* Writes the next frame over one of the plan's family and size; 0 if it is too short. */
lab_inline int lab_write(void *data, void *end, const struct lab_plan *plan,
			 struct lab_progress *progress, __u64 due_ns)
{
	static const __u8 source[ETH_ALEN] = LAB_REAL_SERVER_MAC(0);
	__u32 client = progress->flow / LAB_PORTS_PER_CLIENT;
	struct ethhdr *ethernet = data;
	struct ipv6hdr *ip6 = (void *)(ethernet + 1);
	struct iphdr *ip4 = (void *)(ethernet + 1);
	struct udphdr *udp = data + LAB_UDP4;
	struct lab_stamp *stamp;

	if (data + LAB_UDP4 + LAB_UDP_BYTES + sizeof(*stamp) > end)
		return 0;
	/* The page may be one that a peer wrote new addresses into. */
	__builtin_memcpy(ethernet->h_dest, plan->destination, ETH_ALEN);
	__builtin_memcpy(ethernet->h_source, source, ETH_ALEN);
	if (plan->syn)
		return lab_write_syn(ethernet, end, plan, progress);
	if (plan->family == 6) {
		udp = data + LAB_UDP6;
		if (data + LAB_UDP6 + LAB_UDP_BYTES + sizeof(*stamp) > end)
			return 0;
		ip6->saddr.s6_addr32[3] = __builtin_bswap32(client);
	} else {
		ip4->saddr = __builtin_bswap32(LAB_CLIENT4 + client);
		ip4->check = lab_header_sum(ip4);
	}
	udp->source = __builtin_bswap16(LAB_FIRST_PORT + progress->flow % LAB_PORTS_PER_CLIENT);
	stamp = (void *)(udp + 1);
	stamp->due_ns = due_ns;
	stamp->number = progress->sent;
	progress->digest += lab_digest(client, *(__u32 *)udp, progress->sent);
	lab_advance(plan, progress);
	return 1;
}

#endif
