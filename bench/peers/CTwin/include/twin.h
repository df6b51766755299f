/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The C twin of Martinet's packet loop: the same algorithm on the same layouts, so that the
 * difference in ns/packet is the language's. IPv4; schedules rr; no part of the product.
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

struct twin_real_server {
	uint8_t mac[6];
};

struct twin_service {
	uint32_t vip; /* host order */
	uint16_t port;
	uint8_t protocol;
};

struct twin_stats {
	uint64_t received, forwarded, dropped, connections, packets, bytes;
};

struct twin;

/*
 * table: lines * 64 zeroed octets, lines a power of two >= 2. keys: four words.
 * Every service has the same `servers` real servers of its own, first in list order.
 * Gives all frames to the fill ring. NULL if memory is short.
 */
struct twin *twin_create(const struct twin_queue *queue, void *table, uint64_t lines,
			 const uint64_t keys[4], const struct twin_service *services,
			 unsigned service_count, const struct twin_real_server *servers,
			 unsigned servers_per_service, const uint8_t director_mac[6], uint32_t now);
/* One turn: reap, receive up to 64, decide, send or free, sweep. Returns packets received. */
uint32_t twin_turn(struct twin *twin, uint32_t now);
struct twin_stats twin_statistics(const struct twin *twin);
void twin_destroy(struct twin *twin);

#endif
