/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only OR BSD-2-Clause */
/*
 * What the eBPF program and Swift both read: map keys, counter names, limits.
 * Every layout fact is asserted here and, from Swift, in DirectorABITests.
 */
#ifndef MARTINET_DIRECTOR_ABI_H
#define MARTINET_DIRECTOR_ABI_H

#include <linux/types.h>

/* Entries of the XSKMAP: the largest number of RX queues of one interface. */
#define DIRECTOR_MAX_QUEUES 256
/* Entries of the VIP map; services of one port. */
#define DIRECTOR_MAX_SERVICES 65536
/* Entries of the array of services. */
#define DIRECTOR_SERVICE_SLOTS 65536
/* Entries of the map of wide services: (VIP, protocol) with services of many ports. */
#define DIRECTOR_MAX_WIDE 4096

#define DIRECTOR_FAMILY_IPV4 4
#define DIRECTOR_FAMILY_IPV6 6

/* Key of the VIP map. An IPv4 address fills the first 4 bytes, the rest is zero. */
struct director_vip_key {
	__be32 address[4];
	__u8 family; /* DIRECTOR_FAMILY_* */
	__u8 zero[3];
};

/* What a service is known by: (VIP, protocol, port); in the map of wide services, port 0. */
struct director_service_key {
	__be32 address[4];
	__u8 family;   /* DIRECTOR_FAMILY_* */
	__u8 protocol; /* IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP */
	__be16 port;
};

/* Value of the array of services: the service whose slot this is; family 0: none. */
struct director_service_slot {
	struct director_service_key key;
	__u32 zero[3];
};

/* The slot of a service; one that another has already is in the map of displaced services. */
static inline __u32 director_slot(const struct director_service_key *key)
{
	/* 2^64 divided by the golden ratio: multiplicative hashing, Knuth, TAOCP volume 3, 6.4. */
	const __u64 multiplier = 0x9e3779b97f4a7c15ULL;
	const __u32 *address = key->address;
	__u64 hash = (__u64)address[0] << 32 | address[1];

	hash = (hash ^ key->family ^ key->protocol << 8 ^ (__u32)key->port << 16) * multiplier;
	hash ^= hash >> 32 ^ ((__u64)address[2] << 32 | address[3]);
	return hash * multiplier >> 32 & (DIRECTOR_SERVICE_SLOTS - 1);
}

/* Value of the map of wide services: bit n % 64 of word n / 64 stands for port n. */
struct director_wide_ports {
	__u64 words[1024];
};

/* The only entry of the port map: whose frames the program may take. */
struct director_port {
	__u8 mac_address[6];
	__u8 has_displaced; /* whether the map of displaced services has any entry */
	__u8 has_wide;      /* whether the map of wide services has any entry */
};

/*
 * Of each queue: which SYNs the program lets in while the queue's worker is behind. The worker has
 * it mapped and writes the first line, the program the second.
 */
struct director_admission {
	__u64 limit;   /* 0: all; else DIRECTOR_LIMITED | the tick at which the limit ends by itself */
	__u64 granted; /* SYNs that may ever have been let in under a limit */
	__u64 zero[6];
	__u64 taken;   /* those that were */
	__u64 dropped; /* those that were not */
	__u64 octets;  /* of the frames of these */
	__u64 pad[5];
};

#define DIRECTOR_LIMITED (1ULL << 32)
/* Of a tick: CLOCK_MONOTONIC modulo 2^32 of them. */
#define DIRECTOR_TICK_NANOSECONDS 1000000

/* Indices into the per-CPU array of 64-bit counters. */
enum director_counter {
	DIRECTOR_COUNTER_SERVICE,    /* packets of services handed to a worker */
	DIRECTOR_COUNTER_FRAGMENT,   /* fragments of a VIP's packets handed to a worker */
	DIRECTOR_COUNTER_ICMP_ERROR, /* ICMP errors for a VIP handed to a worker */
	DIRECTOR_COUNTER_NO_SOCKET,  /* dropped: the receive queue has no socket */
	DIRECTOR_COUNTER_OTHER_HOST, /* passed: for a VIP, but another machine's MAC address */
	DIRECTOR_COUNTER_MALFORMED,  /* passed: for a VIP, but without a whole header */
	DIRECTOR_COUNTERS
};

_Static_assert((DIRECTOR_SERVICE_SLOTS & (DIRECTOR_SERVICE_SLOTS - 1)) == 0, "a mask of a hash");
_Static_assert(sizeof(struct director_vip_key) == 20, "map key layout");
_Static_assert(sizeof(struct director_service_key) == 20, "map key layout");
_Static_assert(sizeof(struct director_service_slot) == 32, "two to a cache line");
_Static_assert(sizeof(struct director_wide_ports) == 8192, "map value layout");
_Static_assert(sizeof(struct director_port) == 8, "map value layout");
_Static_assert(sizeof(struct director_admission) == 128, "two cache lines");

#endif
