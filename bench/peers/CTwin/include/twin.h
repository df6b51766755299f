/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The C twin of Martinet's packet loop: the same algorithm on the same layouts, so that the
 * difference in ns/packet is the language's. IPv4, IPv6, VLAN tags; schedules rr; IPv6 extension
 * headers count as an unknown protocol. No part of the product.
 */
#ifndef MARTINET_TWIN_H
#define MARTINET_TWIN_H

#include <stddef.h>
#include <stdint.h>

struct twin_ring {
	uint32_t *producer;
	uint32_t *consumer;
	uint32_t *flags;
	void *descriptors;
	uint32_t entries;
};

struct twin_queue {
	uint8_t *frames;
	uint64_t frame_bytes;
	uint32_t chunk_bytes;
	struct twin_ring fill, completion, receive, transmit;
};

/* Zeroed by the caller. Lines are 64 octets, their numbers powers of two >= 2. */
struct twin_tables {
	void *ipv4, *ipv6;
	uint64_t ipv4_lines, ipv6_lines;
	void *counters; /* TWIN_COUNTERS_BYTES */
};

#define TWIN_COUNTERS_BYTES (65536 * 32)

struct twin_real_server {
	uint8_t mac[6];
};

struct twin_service {
	uint64_t vip_high, vip_low; /* host order; IPv4: in vip_low */
	uint16_t port;
	uint8_t protocol;
	uint8_t is_ipv6;
};

/* Every service has the same number of real servers of its own, first in list order. */
struct twin_site {
	const struct twin_service *services;
	unsigned service_count;
	const struct twin_real_server *servers;
	unsigned servers_per_service;
	uint8_t director_mac[6];
};

enum twin_reason {
	TWIN_TRUNCATED,
	TWIN_NOT_IP,
	TWIN_BAD_HEADER,
	TWIN_FRAGMENT,
	TWIN_UNKNOWN_PROTOCOL,
	TWIN_NO_SERVICE,
	TWIN_NO_CONNECTION,
	TWIN_NO_REAL_SERVER,
	TWIN_REAL_SERVER_REMOVED,
	TWIN_REASONS
};

struct twin;

/* Gives all frames to the fill ring. keys: four words. NULL if memory is short. */
struct twin *twin_create(const struct twin_queue *queue, const struct twin_tables *tables,
			 const uint64_t keys[4], const struct twin_site *site, uint32_t now);
/* One turn: reap, receive up to 64, decide, send or free, sweep. Returns packets received. */
uint32_t twin_turn(struct twin *twin, uint32_t now);
uint64_t twin_drops(const struct twin *twin, enum twin_reason reason);
uint64_t twin_drop_bytes(const struct twin *twin, enum twin_reason reason);
/* Packets forwarded by hash because both lines of their connection were full. */
uint64_t twin_unrecorded(const struct twin *twin);
/*
 * Where a packet's record is: its second word, which says real server, state and expiry; that of
 * its line's first entry if it has none. NULL if parsing turns the packet away. Between turns.
 */
uint64_t *twin_record(struct twin *twin, uint8_t *packet, uint32_t length);
void twin_destroy(struct twin *twin);

/*
 * limit.c: a turn that makes the memory accesses of a hit, or of a drop, and decides nothing. The
 * first eight octets of a frame that hits are the address of its record.
 */
uint32_t limit_turn(struct twin *twin, uint32_t now, int forwards);

#endif
