/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Steers the frames of virtual services into the AF_XDP socket of their receive queue. All other
 * frames are the kernel's, untouched: ARP, neighbour discovery, echo, every port that is no
 * service. README.md beside this file says more.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "director_abi.h"

#define VLAN_TAGS 2
#define EXTENSION_HEADERS 8
#define VLAN_TAG_BYTES 4

#define MAP_WITH_FLAGS(map_name, map_type, entries, key_type, value_type, flags) \
	struct {                                                                 \
		__uint(type, map_type);                                          \
		__uint(max_entries, entries);                                    \
		__uint(map_flags, flags);                                        \
		__type(key, key_type);                                           \
		__type(value, value_type);                                       \
	} map_name SEC(".maps")
#define MAP(map_name, map_type, entries, key_type, value_type) \
	MAP_WITH_FLAGS(map_name, map_type, entries, key_type, value_type, 0)

MAP(xsks, BPF_MAP_TYPE_XSKMAP, DIRECTOR_MAX_QUEUES, __u32, __u32);
MAP(services, BPF_MAP_TYPE_ARRAY, DIRECTOR_SERVICE_SLOTS, __u32, struct director_service_slot);
MAP_WITH_FLAGS(displaced, BPF_MAP_TYPE_HASH, DIRECTOR_MAX_SERVICES, struct director_service_key,
	       __u8, BPF_F_NO_PREALLOC);
MAP_WITH_FLAGS(wide, BPF_MAP_TYPE_HASH, DIRECTOR_MAX_WIDE, struct director_service_key,
	       struct director_wide_ports, BPF_F_NO_PREALLOC);
MAP(vips, BPF_MAP_TYPE_HASH, DIRECTOR_MAX_SERVICES, struct director_vip_key, __u8);
MAP(port, BPF_MAP_TYPE_ARRAY, 1, __u32, struct director_port);
MAP_WITH_FLAGS(admissions, BPF_MAP_TYPE_ARRAY, DIRECTOR_MAX_QUEUES, __u32,
	       struct director_admission, BPF_F_MMAPABLE);
MAP(counters, BPF_MAP_TYPE_PERCPU_ARRAY, DIRECTOR_COUNTERS, __u32, __u64);

enum kind { FOREIGN, TRANSPORT, TCP_SYN, FRAGMENT, ICMP_ERROR, MALFORMED };

static __always_inline void count(__u32 counter)
{
	__u64 *cell = bpf_map_lookup_elem(&counters, &counter);

	if (cell)
		++*cell;
}

static __always_inline int has_services(__u8 protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP;
}

/* Ports stand at `header` whatever the transport protocol. */
static __always_inline enum kind transport(__u8 protocol, void *header, void *end,
					   struct director_service_key *key)
{
	__be16 *ports = header;
	struct tcphdr *tcp = header;

	if (!has_services(protocol))
		return FOREIGN;
	if ((void *)(ports + 2) > end)
		return MALFORMED;
	key->protocol = protocol;
	key->port = ports[1];
	return protocol == IPPROTO_TCP && (void *)(tcp + 1) <= end && tcp->syn && !tcp->rst
		       ? TCP_SYN
		       : TRANSPORT;
}

/* RFC 792: unreachable, source quench, time exceeded, parameter problem. Redirects stay here. */
static __always_inline enum kind icmp(__u8 *header, void *end)
{
	if ((void *)(header + 1) > end)
		return MALFORMED;
	return *header == 3 || *header == 4 || *header == 11 || *header == 12 ? ICMP_ERROR : FOREIGN;
}

static __always_inline enum kind ipv4(struct iphdr *ip, void *end, struct director_service_key *key)
{
	void *header;

	if ((void *)(ip + 1) > end)
		return FOREIGN;
	key->family = DIRECTOR_FAMILY_IPV4;
	__builtin_memcpy(key->address, &ip->daddr, sizeof(ip->daddr));
	if (ip->version != 4 || ip->ihl < 5)
		return MALFORMED;
	/* More fragments, or an offset. */
	if (ip->frag_off & bpf_htons(0x3fff))
		return has_services(ip->protocol) ? FRAGMENT : FOREIGN;
	header = (void *)ip + ip->ihl * 4;
	return ip->protocol == IPPROTO_ICMP ? icmp(header, end)
					    : transport(ip->protocol, header, end, key);
}

static __always_inline enum kind ipv6(struct ipv6hdr *ip, void *end,
				      struct director_service_key *key)
{
	__u8 next, *header = (void *)(ip + 1);

	if ((void *)(ip + 1) > end)
		return FOREIGN;
	key->family = DIRECTOR_FAMILY_IPV6;
	__builtin_memcpy(key->address, &ip->daddr, sizeof(ip->daddr));
	if (ip->version != 6)
		return MALFORMED;
	next = ip->nexthdr;
	for (int headers = 0; headers <= EXTENSION_HEADERS; headers++) {
		if (has_services(next))
			return transport(next, header, end, key);
		/* RFC 4443 §2.1: errors are the types below 128. */
		if (next == IPPROTO_ICMPV6)
			return (void *)(header + 1) > end ? MALFORMED
			       : *header < 128		  ? ICMP_ERROR
							  : FOREIGN;
		if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS &&
		    next != IPPROTO_FRAGMENT)
			return FOREIGN;
		if ((void *)(header + 8) > end)
			return MALFORMED;
		if (next == IPPROTO_FRAGMENT)
			return has_services(header[0]) ? FRAGMENT : FOREIGN;
		next = header[0];
		header += 8 + header[1] * 8;
	}
	return MALFORMED;
}

/* What the frame is; fills in as much of `key` as that takes. */
static __always_inline enum kind parse(void *data, void *end, struct director_service_key *key)
{
	struct ethhdr *ethernet = data;
	void *header = ethernet + 1;
	__be16 type;

	if (header > end)
		return FOREIGN;
	type = ethernet->h_proto;
	for (int tags = 0; tags < VLAN_TAGS; tags++) {
		if (type != bpf_htons(ETH_P_8021Q) && type != bpf_htons(ETH_P_8021AD))
			break;
		if (header + VLAN_TAG_BYTES > end)
			return FOREIGN;
		type = *(__be16 *)(header + 2);
		header += VLAN_TAG_BYTES;
	}
	if (type == bpf_htons(ETH_P_IP))
		return ipv4(header, end, key);
	if (type == bpf_htons(ETH_P_IPV6))
		return ipv6(header, end, key);
	return FOREIGN;
}

/*
 * The slot is read in line: a look into a hash map is three calls, of 30 ns together where returns
 * are made safe. Only where services are displaced or have many ports does other traffic pay for
 * one.
 */
static __always_inline int is_served(struct director_service_key *key, struct director_port *own)
{
	__u16 number = bpf_ntohs(key->port);
	__u32 index = director_slot(key);
	struct director_service_slot *slot = bpf_map_lookup_elem(&services, &index);
	struct director_wide_ports *ports;

	if (slot && !__builtin_memcmp(&slot->key, key, sizeof(*key)))
		return 1;
	if (own->has_displaced && bpf_map_lookup_elem(&displaced, key))
		return 1;
	if (!own->has_wide)
		return 0;
	key->port = 0;
	ports = bpf_map_lookup_elem(&wide, key);
	return ports && ports->words[number / 64] >> (number % 64) & 1;
}

/* A switch or bridge may flood frames of other machines; two directors would send them in rings. */
static __always_inline int is_for_this_host(struct ethhdr *ethernet, struct director_port *own)
{
	return !__builtin_memcmp(ethernet->h_dest, own->mac_address, ETH_ALEN);
}

/* In generic mode a queue may be on several CPUs at once. */
static __always_inline void add(__u64 *cell, __u64 amount)
{
	__atomic_fetch_add(cell, amount, __ATOMIC_RELAXED);
}

/*
 * Whether a SYN is let in: while the queue's worker is behind, only with its leave. What the worker
 * would have to drop costs nothing here, before it is copied.
 */
static __always_inline int admits(__u32 queue, __u64 octets)
{
	struct director_admission *admission = bpf_map_lookup_elem(&admissions, &queue);

	if (!admission || !admission->limit)
		return 1;
	if ((__s64)(admission->granted - admission->taken) > 0) {
		add(&admission->taken, 1);
		return 1;
	}
	/* The worker has not been seen for long. */
	if ((__s32)((__u32)(bpf_ktime_get_ns() / DIRECTOR_TICK_NANOSECONDS) -
		    (__u32)admission->limit) >= 0)
		return 1;
	add(&admission->dropped, 1);
	add(&admission->octets, octets);
	return 0;
}

SEC("xdp")
int director(struct xdp_md *context)
{
	void *data = (void *)(long)context->data, *end = (void *)(long)context->data_end;
	struct director_service_key key = {};
	struct director_vip_key vip = {};
	enum kind kind = parse(data, end, &key);
	__u32 first = 0;
	struct director_port *own = bpf_map_lookup_elem(&port, &first);

	if (kind == FOREIGN || !own)
		return XDP_PASS;
	if (kind == TRANSPORT || kind == TCP_SYN) {
		if (!is_served(&key, own))
			return XDP_PASS;
	} else {
		__builtin_memcpy(vip.address, key.address, sizeof(vip.address));
		vip.family = key.family;
		if (!bpf_map_lookup_elem(&vips, &vip))
			return XDP_PASS;
	}
	if (data + sizeof(struct ethhdr) > end || !is_for_this_host(data, own)) {
		count(DIRECTOR_COUNTER_OTHER_HOST);
		return XDP_PASS;
	}
	if (kind == MALFORMED) {
		count(DIRECTOR_COUNTER_MALFORMED);
		return XDP_PASS;
	}
	if (kind == TCP_SYN && !admits(context->rx_queue_index, end - data))
		return XDP_DROP;
	/* Not XDP_PASS: a kernel that owns the VIP would reset live connections. */
	if (bpf_redirect_map(&xsks, context->rx_queue_index, XDP_DROP) != XDP_REDIRECT) {
		count(DIRECTOR_COUNTER_NO_SOCKET);
		return XDP_DROP;
	}
	count(kind == FRAGMENT	   ? DIRECTOR_COUNTER_FRAGMENT
	      : kind == ICMP_ERROR ? DIRECTOR_COUNTER_ICMP_ERROR
				   : DIRECTOR_COUNTER_SERVICE);
	return XDP_REDIRECT;
}

char program_license[] SEC("license") = "Dual BSD/GPL";
