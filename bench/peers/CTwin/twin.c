/* SPDX-License-Identifier: Apache-2.0 */
#include "twin.h"

#include <stdlib.h>
#include <string.h>

#define BATCH 64
#define PREFETCH_DISTANCE 8
#define SWEEP_MS 4000
#define SWEEP_LINES 4096
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

enum state { NO, ES, SS, SR, FW, TW, CL, CW, LA, LI, SA, UD, STATES };
/* The FIN, SYN, RST and ACK bits of a segment; PSH stands for a datagram. */
enum event { EV_FIN = 1, EV_SYN = 2, EV_RST = 4, EV_DATAGRAM = 8, EV_ACK = 16, EVENTS = 24 };
enum verdict { FORWARD, DROP };
enum status { VACANT, LIVE };

static const uint8_t table_of_states[4][11] = {
	{ SR, ES, ES, SR, SR, SR, SR, SR, SR, SR, SR },
	{ CL, FW, SS, TW, FW, TW, CL, CW, LA, LI, TW },
	{ ES, ES, SS, ES, FW, TW, CL, CW, CL, LI, ES },
	{ CL, CL, CL, SR, CL, CL, CL, CL, LA, LI, CL },
};
static const uint32_t timeouts_s[STATES] = { 2, 900, 120, 60, 120, 120, 10, 60, 30, 120, 120, 300 };

struct descriptor { uint64_t address; uint32_t length, options; };
struct slot { uint64_t key, service; };
struct next_hop { uint64_t low; uint32_t high; uint8_t egress, status; uint16_t zero; };
struct counters { uint64_t packets, bytes, connections; uint32_t active, inactive; };
struct service { uint32_t first, count, place; };
struct facts { uint16_t service, bytes; uint8_t event, index; };
struct packet { uint64_t key; uint64_t *line; uint8_t *frame; struct facts facts; };

struct ring {
	void *slots;
	uint32_t mask, own, known;
	uint32_t *shared, *kernel, *flags;
};

struct twin {
	struct ring fill, completion, receive, transmit;
	uint8_t *frames;
	uint64_t frame_bytes, chunk_mask;
	uint8_t *table;
	uint64_t line_mask, keys[4];
	struct slot *services;
	uint64_t service_mask;
	struct service *list;
	uint16_t *members;
	struct next_hop *hops;
	uint32_t hop_count;
	struct counters *counters;
	uint8_t transitions[EVENTS * 16];
	uint32_t timeouts[16];
	uint64_t drops, received, forwarded;
	uint64_t sweep_line;
	uint32_t sweep_last;
	struct packet packets[BATCH];
	uint8_t misses[BATCH];
	uint16_t verdicts[BATCH];
};

static inline uint64_t fold(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)(product >> 64) ^ (uint64_t)product;
}

static inline uint64_t hash(const struct twin *t, uint64_t word)
{
	return fold(fold(word ^ t->keys[0], t->keys[1]) ^ t->keys[2], t->keys[3]);
}

static inline uint16_t be16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, 2);
	return __builtin_bswap16(v);
}

static inline uint32_t be32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return __builtin_bswap32(v);
}

static inline uint64_t service_key(uint32_t vip, uint16_t port, uint8_t protocol)
{
	return (uint64_t)vip << 32 | (uint64_t)port << 16 | protocol;
}

static inline uint16_t look_up(const struct twin *t, uint64_t key)
{
	uint64_t at = (key * 0x9e3779b97f4a7c15u >> 32) & t->service_mask;

	for (;;) {
		if (likely(t->services[at].key == key))
			return (uint16_t)t->services[at].service;
		if (t->services[at].key == 0)
			return 0;
		at = (at + 1) & t->service_mask;
	}
}

static inline uint64_t meta_of(uint16_t server, uint8_t state, uint32_t expiry)
{
	return (uint64_t)server | (uint64_t)state << 16 | (uint64_t)expiry << 32;
}

static inline int expired(uint64_t meta, uint32_t now)
{
	return (int32_t)((uint32_t)(meta >> 32) - now) <= 0;
}

static inline int is_active(uint8_t state)
{
	return (1 << ES | 1 << SS | 1 << SR | 1 << SA) >> state & 1;
}

static inline int is_syn(uint8_t event)
{
	return (event & (EV_SYN | EV_RST)) == EV_SYN;
}

static inline void rewrite(uint8_t *frame, const struct next_hop *hop)
{
	memcpy(frame, &hop->low, 8);
	memcpy(frame + 8, &hop->high, 4);
}

static void uncount(struct twin *t, uint64_t meta)
{
	struct counters *c = &t->counters[(uint16_t)meta];

	if (is_active(meta >> 16 & 0xf))
		c->active--;
	else
		c->inactive--;
}

static uint16_t schedule(struct twin *t, uint16_t index)
{
	struct service *s = &t->list[index];

	if (s->count == 0)
		return 0;
	s->place = s->place >= s->count ? 1 : s->place + 1;
	return t->members[s->first + s->place - 1];
}

static uint64_t opened(struct twin *t, uint16_t server, const struct facts *f, uint32_t now)
{
	uint8_t state = t->transitions[f->event * 16 + NO] & 0xf;

	t->counters[server].connections++;
	if (is_active(state))
		t->counters[server].active++;
	else
		t->counters[server].inactive++;
	return meta_of(server, state, now + t->timeouts[state]);
}

static void transmit(struct twin *t, uint16_t server, uint8_t *frame, const struct facts *f)
{
	t->counters[server].packets++;
	t->counters[server].bytes += f->bytes;
	rewrite(frame, &t->hops[server]);
	t->verdicts[f->index] = FORWARD;
}

static void drop(struct twin *t, unsigned index)
{
	t->drops++;
	t->verdicts[index] = DROP;
}

static __attribute__((noinline)) void settle(struct twin *t, uint64_t *record, uint8_t *frame,
					     const struct facts *f, uint32_t now)
{
	uint64_t meta = *record;
	uint8_t state = meta >> 16 & 0xf, next;
	uint16_t server = (uint16_t)meta;
	int over = expired(meta, now);

	if (over || (is_syn(f->event) && (state == TW || state == CL || state == FW))) {
		if (!is_syn(f->event) && f->event != EV_DATAGRAM)
			return drop(t, f->index);
		server = schedule(t, f->service);
		if (!server)
			return drop(t, f->index);
		uncount(t, meta);
		*record = opened(t, server, f, now);
		return transmit(t, server, frame, f);
	}
	if (server >= t->hop_count || t->hops[server].status != LIVE)
		return drop(t, f->index);
	next = t->transitions[f->event * 16 + state] & 0xf;
	if (is_active(state) != is_active(next)) {
		t->counters[server].active += is_active(next) ? 1 : -1;
		t->counters[server].inactive -= is_active(next) ? 1 : -1;
	}
	*record = meta_of(server, next, now + t->timeouts[next]);
	transmit(t, server, frame, f);
}

static inline uint64_t *find(uint64_t key, uint64_t *line)
{
	unsigned match = (line[0] == key) | (line[1] == key) << 1 | (line[2] == key) << 2 |
			 (line[3] == key) << 3;

	return unlikely(!match) ? NULL : line + __builtin_ctz(match);
}

static __attribute__((noinline)) void open_missing(struct twin *t, unsigned count, uint32_t now)
{
	for (unsigned i = 0; i < count; i++) {
		struct packet *p = &t->packets[t->misses[i]];
		uint64_t *line = p->line, *other = (uint64_t *)((uintptr_t)line ^ 64);
		uint64_t *at = find(p->key, line), *spare = NULL;
		uint16_t server;

		if (!at)
			at = find(p->key, other);
		if (at) {
			settle(t, at + 4, p->frame, &p->facts, now);
			continue;
		}
		for (int half = 0; half < 2 && !at; half++, line = other)
			for (int slot = 0; slot < 4; slot++) {
				if (line[slot] == 0) {
					at = line + slot;
					break;
				}
				if (!spare && expired(line[slot + 4], now))
					spare = line + slot;
			}
		at = at ? at : spare;
		if (!at) { /* Both lines are full: by hash, without a record. */
			struct service *s = &t->list[p->facts.service];

			transmit(t, t->members[s->first + (hash(t, p->key) >> 32) % s->count],
				 p->frame, &p->facts);
			continue;
		}
		if (!is_syn(p->facts.event) && p->facts.event != EV_DATAGRAM) {
			drop(t, p->facts.index);
			continue;
		}
		server = schedule(t, p->facts.service);
		if (!server) {
			drop(t, p->facts.index);
			continue;
		}
		if (*at)
			uncount(t, at[4]);
		at[4] = opened(t, server, &p->facts, now);
		*at = p->key;
		transmit(t, server, p->frame, &p->facts);
	}
}

/* 0: accepted, else why not does not matter here. */
static inline int accept_ipv4(struct twin *t, uint8_t *frame, uint32_t length, unsigned index,
			      struct packet *out)
{
	const uint8_t *ip = frame + 14, *l4;
	uint32_t header, total;
	uint16_t service;
	uint8_t event;

	if (unlikely(length < 34 || be16(frame + 12) != 0x0800))
		return -1;
	header = (ip[0] & 15) * 4;
	total = be16(ip + 2);
	if (unlikely(ip[0] >> 4 != 4 || header < 20 || total < header))
		return -1;
	if (unlikely(total > length - 14))
		return -1;
	if (unlikely(be16(ip + 6) & 0x3fff))
		return -1;
	l4 = ip + header;
	if (likely(ip[9] == 6)) {
		if (unlikely(total - header < 20))
			return -1;
		event = l4[13] & (EV_FIN | EV_SYN | EV_RST | EV_ACK);
	} else if (ip[9] == 17) {
		if (unlikely(total - header < 8))
			return -1;
		event = EV_DATAGRAM;
	} else {
		return -1;
	}
	service = look_up(t, service_key(be32(ip + 16), be16(l4 + 2), ip[9]));
	if (unlikely(!service))
		return -1;
	out->key = (uint64_t)be32(ip + 12) << 32 | (uint64_t)be16(l4) << 16 | service;
	out->line = (uint64_t *)(t->table + (hash(t, out->key) & t->line_mask) * 64);
	__builtin_prefetch(out->line, 0, 3);
	out->frame = frame;
	out->facts = (struct facts){ service, (uint16_t)total, event, (uint8_t)index };
	return 0;
}

static inline void forward(struct twin *t, const struct descriptor *batch, unsigned count,
			   uint32_t now)
{
	const struct next_hop *hops = t->hops;
	struct counters *counters = t->counters;
	unsigned accepted = 0, missed = 0;

	for (unsigned i = 0; i < count; i++) {
		struct descriptor d = batch[i];

		if (i + PREFETCH_DISTANCE < count)
			__builtin_prefetch(t->frames + batch[i + PREFETCH_DISTANCE].address, 0, 3);
		if (unlikely(d.address > t->frame_bytes || d.length > t->frame_bytes - d.address) ||
		    unlikely(accept_ipv4(t, t->frames + d.address, d.length, i,
					 &t->packets[accepted]))) {
			drop(t, i);
			continue;
		}
		accepted++;
	}
	for (unsigned i = 0; i < accepted; i++) {
		struct packet p = t->packets[i];
		uint64_t *at = find(p.key, p.line), meta;
		uint8_t transition;
		uint16_t server;

		if (unlikely(!at)) {
			t->misses[missed++] = (uint8_t)i;
			continue;
		}
		meta = at[4];
		server = (uint16_t)meta;
		transition = t->transitions[p.facts.event * 16 + (meta >> 16 & 0xf)];
		if (unlikely(transition & 0x80) || unlikely(expired(meta, now)) ||
		    unlikely(server >= t->hop_count) || unlikely(hops[server].status != LIVE)) {
			settle(t, at + 4, p.frame, &p.facts, now);
			continue;
		}
		at[4] = (meta & 0xffffffff) |
			(uint64_t)(now + t->timeouts[meta >> 16 & 0xf]) << 32;
		counters[server].packets++;
		counters[server].bytes += p.facts.bytes;
		rewrite(p.frame, &hops[server]);
		t->verdicts[p.facts.index] = FORWARD;
	}
	if (unlikely(missed))
		open_missing(t, missed, now);
}

static void sweep(struct twin *t, uint32_t now)
{
	uint64_t lines = t->line_mask + 1;
	int32_t elapsed = (int32_t)(now - t->sweep_last);
	uint64_t due = elapsed > 0 ? lines * (uint64_t)elapsed / SWEEP_MS : 0;

	if (due > SWEEP_LINES)
		due = SWEEP_LINES;
	if (!due)
		return;
	t->sweep_last = now;
	while (due--) {
		uint64_t *line = (uint64_t *)(t->table + t->sweep_line * 64);

		for (int slot = 0; slot < 4; slot++)
			if (line[slot] && expired(line[slot + 4], now)) {
				uncount(t, line[slot + 4]);
				line[slot] = 0;
			}
		t->sweep_line = (t->sweep_line + 1) & t->line_mask;
	}
}

static inline uint32_t ring_free(struct ring *r, uint32_t wanted)
{
	uint32_t spare = r->mask + 1 - (r->own - r->known);

	if (likely(spare >= wanted))
		return spare;
	r->known = __atomic_load_n(r->kernel, __ATOMIC_ACQUIRE);
	return r->mask + 1 - (r->own - r->known);
}

static inline void ring_advance(struct ring *r, uint32_t count)
{
	r->own += count;
	__atomic_store_n(r->shared, r->own, __ATOMIC_RELEASE);
}

static inline uint32_t ring_row(const struct ring *r, uint32_t limit)
{
	uint32_t count = __atomic_load_n(r->kernel, __ATOMIC_ACQUIRE) - r->own;
	uint32_t to_end = r->mask + 1 - (r->own & r->mask);

	count = count < limit ? count : limit;
	return count < to_end ? count : to_end;
}

static void reap(struct twin *t)
{
	uint32_t count = ring_row(&t->completion, UINT32_MAX);
	const uint64_t *from = (uint64_t *)t->completion.slots +
			       (t->completion.own & t->completion.mask);
	uint64_t *to = t->fill.slots;

	if (!count)
		return;
	ring_free(&t->fill, count);
	for (uint32_t i = 0; i < count; i++)
		to[(t->fill.own + i) & t->fill.mask] = from[i] & t->chunk_mask;
	ring_advance(&t->fill, count);
	ring_advance(&t->completion, count);
}

uint32_t twin_turn(struct twin *t, uint32_t now)
{
	uint32_t limit, count, sent = 0, dropped = 0;
	const struct descriptor *batch;
	struct descriptor *out = t->transmit.slots;
	uint64_t *spare = t->fill.slots;

	reap(t);
	limit = ring_free(&t->transmit, BATCH);
	limit = limit < BATCH ? limit : BATCH;
	count = ring_row(&t->receive, limit);
	batch = (struct descriptor *)t->receive.slots + (t->receive.own & t->receive.mask);
	if (count) {
		forward(t, batch, count, now);
		ring_free(&t->fill, count);
		for (uint32_t i = 0; i < count; i++) {
			if (likely(t->verdicts[i] == FORWARD)) {
				out[(t->transmit.own + sent++) & t->transmit.mask] =
					(struct descriptor){ batch[i].address, batch[i].length, 0 };
			} else {
				spare[(t->fill.own + dropped++) & t->fill.mask] =
					batch[i].address & t->chunk_mask;
			}
		}
		if (sent)
			ring_advance(&t->transmit, sent);
		if (dropped)
			ring_advance(&t->fill, dropped);
		ring_advance(&t->receive, count);
		t->received += count;
		t->forwarded += sent;
	}
	sweep(t, now);
	return count;
}

static struct ring ring_at(const struct twin_ring *m, int produces)
{
	struct ring r = { m->descriptors, m->entries - 1, 0, 0, NULL, NULL, m->flags };

	r.shared = produces ? m->producer : m->consumer;
	r.kernel = produces ? m->consumer : m->producer;
	r.own = *r.shared;
	r.known = *r.kernel;
	return r;
}

static void fill_transitions(struct twin *t)
{
	for (int event = 0; event < EVENTS; event++)
		for (int state = 0; state < STATES; state++) {
			int row = event & EV_RST ? 3 : event & EV_SYN ? 0 : event & EV_FIN ? 1 : 2;
			uint8_t next = event == EV_DATAGRAM || state == UD ? UD :
				       event == 0 ? CL : table_of_states[row][state];

			t->transitions[event * 16 + state] =
				next | (next != state || (event & (EV_SYN | EV_RST)) == EV_SYN ? 0x80 : 0);
		}
	for (int state = 0; state < STATES; state++)
		t->timeouts[state] = timeouts_s[state] * 1000;
}

struct twin *twin_create(const struct twin_queue *q, void *table, uint64_t lines,
			 const uint64_t keys[4], const struct twin_service *services,
			 unsigned service_count, const struct twin_real_server *servers,
			 unsigned per_service, const uint8_t director_mac[6], uint32_t now)
{
	struct twin *t = aligned_alloc(128, (sizeof(*t) + 127) & ~127ul);
	uint64_t slots = 16, chunks = q->frame_bytes / q->chunk_bytes;

	if (!t)
		return NULL;
	memset(t, 0, sizeof(*t));
	while (slots < service_count * 2ul)
		slots *= 2;
	t->hop_count = 1 + service_count * per_service;
	t->services = calloc(slots, sizeof(*t->services));
	t->list = calloc(service_count + 1, sizeof(*t->list));
	t->members = calloc(t->hop_count, sizeof(*t->members));
	t->hops = calloc(t->hop_count, sizeof(*t->hops));
	t->counters = calloc(65536, sizeof(*t->counters));
	if (!t->services || !t->list || !t->members || !t->hops || !t->counters) {
		twin_destroy(t);
		return NULL;
	}
	t->fill = ring_at(&q->fill, 1);
	t->transmit = ring_at(&q->transmit, 1);
	t->receive = ring_at(&q->receive, 0);
	t->completion = ring_at(&q->completion, 0);
	t->frames = q->frames;
	t->frame_bytes = q->frame_bytes;
	t->chunk_mask = ~(uint64_t)(q->chunk_bytes - 1);
	t->table = table;
	t->line_mask = lines - 1;
	t->service_mask = slots - 1;
	t->sweep_last = now;
	memcpy(t->keys, keys, sizeof(t->keys));
	fill_transitions(t);
	for (unsigned s = 0; s < service_count; s++) {
		uint64_t key = service_key(services[s].vip, services[s].port, services[s].protocol);
		uint64_t at = (key * 0x9e3779b97f4a7c15u >> 32) & t->service_mask;

		while (t->services[at].key)
			at = (at + 1) & t->service_mask;
		t->services[at] = (struct slot){ key, s + 1 };
		t->list[s + 1] = (struct service){ s * per_service, per_service, 0 };
		for (unsigned r = 0; r < per_service; r++) {
			uint16_t index = (uint16_t)(1 + s * per_service + r);
			uint8_t macs[12];

			t->members[s * per_service + r] = index;
			memcpy(macs, servers[s * per_service + r].mac, 6);
			memcpy(macs + 6, director_mac, 6);
			memcpy(&t->hops[index].low, macs, 8);
			memcpy(&t->hops[index].high, macs + 8, 4);
			t->hops[index].status = LIVE;
		}
	}
	for (uint64_t chunk = 0; chunk < chunks; chunk++)
		((uint64_t *)t->fill.slots)[(t->fill.own + chunk) & t->fill.mask] =
			chunk * q->chunk_bytes;
	ring_advance(&t->fill, (uint32_t)chunks);
	return t;
}

struct twin_stats twin_statistics(const struct twin *t)
{
	struct twin_stats s = { t->received, t->forwarded, t->drops, 0, 0, 0 };

	for (uint32_t i = 0; i < t->hop_count; i++) {
		s.connections += t->counters[i].connections;
		s.packets += t->counters[i].packets;
		s.bytes += t->counters[i].bytes;
	}
	return s;
}

void twin_destroy(struct twin *t)
{
	free(t->services);
	free(t->list);
	free(t->members);
	free(t->hops);
	free(t->counters);
	free(t);
}
