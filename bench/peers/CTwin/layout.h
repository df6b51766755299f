/* SPDX-License-Identifier: Apache-2.0 */
/* The twin's records and tables: octet for octet those of Sources/DataPlane. */
#ifndef MARTINET_TWIN_LAYOUT_H
#define MARTINET_TWIN_LAYOUT_H

#include "twin.h"

#include <string.h>

#define BATCH 64
#define BATCH_SIZES 8 /* up to 1, 2, 4 ... packets */
#define PREFETCH_DISTANCE 8
#define LINES_AT_ONCE 16
#define SWEEP_MS 4000
#define SWEEP_LINES 4096
#define EVICTION_MS 3000
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define hot static inline __attribute__((always_inline))

enum state { NO, ES, SS, SR, FW, TW, CL, CW, LA, LI, SA, UD, STATES };
/* The FIN, SYN, RST and ACK bits of a segment; PSH stands for a datagram. */
enum event { EV_FIN = 1, EV_SYN = 2, EV_RST = 4, EV_DATAGRAM = 8, EV_ACK = 16, EVENTS = 32 };
#define STATE_ROOM 32 /* of which SCTP's, which the twin does not serve, take some */
enum status { VACANT, LIVE };
#define DROP 0x0100 /* a smaller verdict is the interface by which the frame leaves */

struct descriptor { uint64_t address; uint32_t length, options; };
struct slot4 { uint64_t key, service; };
struct slot6 { uint64_t high, low, transport, service; };
struct next_hop { uint64_t low; uint32_t high; uint8_t egress, status; uint16_t zero; };
/* What the loop knows of a state: a transition per event, and milliseconds << 32. */
struct state_row { uint8_t transitions[EVENTS]; uint64_t lifetime; uint64_t unused[3]; };
struct counters { uint64_t packets, bytes, connections; uint32_t active, inactive; };
struct service { uint32_t first, count, place; };
struct traits { uint16_t bytes; uint8_t event, index; };
struct facts { uint16_t service, bytes; uint8_t event, index; };
struct packet4 { uint64_t key; uint64_t *line; uint8_t *frame; struct traits traits; };
struct packet6 {
	uint64_t high, low, transport;
	uint64_t *line;
	uint8_t *frame;
	struct traits traits;
};

struct ring {
	void *slots;
	uint32_t mask, own, known;
	uint32_t *shared, *kernel, *flags;
};

struct twin {
	struct ring fill, completion, receive, transmit;
	uint8_t *frames;
	uint64_t frame_bytes, chunk_mask;
	uint8_t *table4, *table6;
	uint64_t line_mask4, line_mask6, keys[4];
	struct slot4 *services4;
	struct slot6 *services6;
	uint64_t service_mask;
	struct service *list;
	uint16_t *members;
	struct next_hop *hops;
	uint32_t hop_count;
	struct counters *counters;
	struct state_row states[STATE_ROOM];
	uint64_t drops[TWIN_REASONS], drop_bytes[TWIN_REASONS];
	uint64_t unrecorded, received, forwarded, dropped, completed, batches;
	uint64_t records, evicted;
	uint64_t batch_sizes[BATCH_SIZES];
	uint64_t sweep_line;
	uint32_t sweep_last, sweep_next, sweep_begun;
	const struct descriptor *batch;
	struct packet4 packets4[BATCH];
	struct packet6 packets6[BATCH];
	uint16_t verdicts[BATCH];
};

static inline uint64_t fold(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)(product >> 64) ^ (uint64_t)product;
}

static inline uint64_t hash4(const uint64_t keys[4], uint64_t word)
{
	return fold(fold(word ^ keys[0], keys[1]) ^ keys[2], keys[3]);
}

static inline uint64_t hash6(const uint64_t keys[4], uint64_t high, uint64_t low, uint64_t rest)
{
	return fold(fold(high ^ keys[0], low ^ keys[1]) ^ rest ^ keys[2], keys[3]);
}

static inline uint64_t service_hash4(uint64_t key)
{
	return key * 0x9e3779b97f4a7c15u >> 32;
}

static inline uint64_t service_hash6(uint64_t high, uint64_t low, uint64_t transport)
{
	return (high ^ low * 0xbf58476d1ce4e5b9u ^ transport) * 0x9e3779b97f4a7c15u >> 32;
}

static inline uint64_t service_key4(uint32_t vip, uint16_t port, uint8_t protocol)
{
	return (uint64_t)vip << 32 | (uint64_t)port << 16 | protocol;
}

static inline uint64_t service_transport6(uint16_t port, uint8_t protocol)
{
	return (uint64_t)port << 16 | protocol;
}

/* A record's second word: real server, state, expiry. */
static inline uint64_t meta_of(uint16_t server, uint8_t state, uint32_t expiry)
{
	return (uint64_t)server | (uint64_t)state << 16 | (uint64_t)expiry << 32;
}

static inline int expired(uint64_t meta, uint32_t now)
{
	return (int32_t)((uint32_t)(meta >> 32) - now) <= 0;
}

/* What the passes after the first decide by. */
static inline struct facts facts_of(uint64_t key, struct traits t)
{
	return (struct facts){ (uint16_t)key, t.bytes, t.event, t.index };
}

static inline int is_active(uint8_t state)
{
	return (1 << ES | 1 << SS | 1 << SR | 1 << SA) >> state & 1;
}

static inline void drop(struct twin *t, unsigned index, enum twin_reason reason)
{
	t->drops[reason]++;
	t->drop_bytes[reason] += t->batch[index].length;
	t->verdicts[index] = DROP | reason;
}

static inline uint64_t *neighbour(uint64_t *line)
{
	return (uint64_t *)((uintptr_t)line ^ 64);
}

static inline uint64_t *find4(uint64_t key, uint64_t *line)
{
	for (int slot = 0; slot < 4; slot++)
		if (line[slot] == key)
			return line + slot;
	return NULL;
}

static inline uint64_t *find6(const struct packet6 *p, uint64_t *line)
{
	for (int slot = 0; slot < 8; slot += 4)
		if (line[slot] == p->high && line[slot + 1] == p->low &&
		    line[slot + 2] == p->transport)
			return line + slot;
	return NULL;
}

/* connections.c: what happens less than once per packet. */
void settle(struct twin *t, uint64_t *meta, uint8_t *frame, struct facts f, uint32_t now);
void open_missing4(struct twin *t, unsigned count, uint32_t now);
void open_missing6(struct twin *t, unsigned count, uint32_t now);
void sweep_lines(struct twin *t, uint32_t now);

#endif
