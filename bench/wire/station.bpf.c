/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only OR BSD-2-Clause */
/*
 * The far end of the wire: makes frames and takes what comes back.
 *
 * `generate` runs by BPF_PROG_TEST_RUN with live frames: each run writes one frame and sends it
 * (XDP_TX), or drops it again when none is due yet. So the schedule is kept by the clock, not by
 * what the director bears: open loop. `take` is attached to the same interface.
 */
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define lab_now_ns() bpf_ktime_get_ns()
#include "frame.h"

#define ARRAY(map_name, map_type, entries, value_type) \
	struct {                                       \
		__uint(type, map_type);                \
		__uint(max_entries, entries);          \
		__type(key, __u32);                    \
		__type(value, value_type);             \
	} map_name SEC(".maps")

ARRAY(plans, BPF_MAP_TYPE_ARRAY, 1, struct lab_plan);
ARRAY(progresses, BPF_MAP_TYPE_ARRAY, 1, struct lab_progress);
ARRAY(arrivals, BPF_MAP_TYPE_PERCPU_ARRAY, 1, struct lab_arrivals);

SEC("xdp")
int generate(struct xdp_md *context)
{
	void *data = (void *)(long)context->data, *end = (void *)(long)context->data_end;
	__u32 first = 0;
	struct lab_plan *plan = bpf_map_lookup_elem(&plans, &first);
	struct lab_progress *progress = bpf_map_lookup_elem(&progresses, &first);
	__u64 due_ns;

	if (!plan || !progress || !lab_is_due(plan, progress, &due_ns))
		return XDP_DROP;
	return lab_write(data, end, plan, progress, due_ns) ? XDP_TX : XDP_DROP;
}

lab_inline __u32 bucket(__u64 ns)
{
	__u32 exponent = 0;
	__u64 rest = ns >> 6;

	if (ns >= 1ull << 31)
		return LAB_BUCKETS - 1;
	if (ns < 64)
		return ns;
	for (int step = 16; step; step >>= 1)
		if (rest >> step) {
			rest >>= step;
			exponent += step;
		}
	return (exponent + 1) * 64 + ((ns >> exponent) & 63);
}

lab_inline void note(struct lab_arrivals *here, __u32 client, void *udp)
{
	struct lab_stamp *payload = udp + LAB_UDP_BYTES;
	__u64 ns = bpf_ktime_get_ns() - payload->due_ns;
	__u32 place = bucket(ns);

	here->digest += lab_digest(client, *(__u32 *)udp, payload->number);
	if (ns > here->longest_ns)
		here->longest_ns = ns;
	if (place < LAB_BUCKETS)
		here->buckets[place]++;
}

SEC("xdp")
int take(struct xdp_md *context)
{
	void *data = (void *)(long)context->data, *end = (void *)(long)context->data_end;
	static const __u8 real_server[ETH_ALEN - 1] = { 2, 0, 0, 0, 1 };
	struct ethhdr *ethernet = data;
	struct iphdr *ip4 = (void *)(ethernet + 1);
	struct ipv6hdr *ip6 = (void *)(ethernet + 1);
	__u32 first = 0, number;
	struct lab_arrivals *here = bpf_map_lookup_elem(&arrivals, &first);

	if (!here || data + LAB_UDP4 + LAB_UDP_BYTES + sizeof(struct lab_stamp) > end)
		return XDP_PASS;
	number = ethernet->h_dest[5] - LAB_FIRST_REAL_SERVER;
	if (__builtin_memcmp(ethernet->h_dest, real_server, sizeof(real_server)) ||
	    number >= LAB_REAL_SERVERS) {
		here->stray++;
		return XDP_PASS;
	}
	if (ethernet->h_proto == bpf_htons(ETH_P_IP)) {
		note(here, bpf_ntohl(ip4->saddr) - LAB_CLIENT4, data + LAB_UDP4);
	} else if (ethernet->h_proto == bpf_htons(ETH_P_IPV6) &&
		   data + LAB_UDP6 + LAB_UDP_BYTES + sizeof(struct lab_stamp) <= end) {
		note(here, bpf_ntohl(ip6->saddr.s6_addr32[3]), data + LAB_UDP6);
	} else {
		here->stray++;
		return XDP_PASS;
	}
	here->real_servers[number]++;
	return XDP_DROP;
}

char program_license[] SEC("license") = "Dual BSD/GPL";
