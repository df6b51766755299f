/* SPDX-License-Identifier: Apache-2.0 */
/* Connections open, change state, move and close: Sources/DataPlane's ForwarderCore+Connections. */
#include "layout.h"

static int is_syn(uint8_t event)
{
	return (event & (EV_SYN | EV_RST)) == EV_SYN;
}

static int opens(uint8_t event)
{
	return event == EV_DATAGRAM || is_syn(event);
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

static uint64_t opened(struct twin *t, uint16_t server, struct facts f, uint32_t now)
{
	uint8_t state = t->states[NO].transitions[f.event] & (STATE_ROOM - 1);

	t->counters[server].connections++;
	if (is_active(state))
		t->counters[server].active++;
	else
		t->counters[server].inactive++;
	return meta_of(server, state, now + (uint32_t)(t->states[state].lifetime >> 32));
}

static void transmit(struct twin *t, uint16_t server, uint8_t *frame, struct facts f)
{
	t->counters[server].packets++;
	t->counters[server].bytes += f.bytes;
	memcpy(frame, &t->hops[server].low, 8);
	memcpy(frame + 8, &t->hops[server].high, 4);
	t->verdicts[f.index] = t->hops[server].egress;
}

void settle(struct twin *t, uint64_t *record, uint8_t *frame, struct facts f, uint32_t now)
{
	uint64_t meta = *record;
	uint8_t state = meta >> 16 & (STATE_ROOM - 1), next;
	uint16_t server = (uint16_t)meta;
	int over = expired(meta, now);

	if (over || (is_syn(f.event) && (state == TW || state == CL || state == FW))) {
		if (!opens(f.event))
			return drop(t, f.index, TWIN_NO_CONNECTION);
		server = schedule(t, f.service);
		if (!server)
			return drop(t, f.index, TWIN_NO_REAL_SERVER);
		uncount(t, meta);
		*record = opened(t, server, f, now);
		return transmit(t, server, frame, f);
	}
	if (server >= t->hop_count || t->hops[server].status != LIVE)
		return drop(t, f.index, TWIN_REAL_SERVER_REMOVED);
	next = t->states[state].transitions[f.event] & (STATE_ROOM - 1);
	if (is_active(state) != is_active(next)) {
		t->counters[server].active += is_active(next) ? 1 : -1;
		t->counters[server].inactive -= is_active(next) ? 1 : -1;
	}
	*record = meta_of(server, next, now + (uint32_t)(t->states[next].lifetime >> 32));
	transmit(t, server, frame, f);
}

/* Both lines are full: by hash, without a record. */
static void forward_unrecorded(struct twin *t, uint64_t key, uint8_t *frame, struct facts f)
{
	struct service *s = &t->list[f.service];

	t->unrecorded++;
	transmit(t, t->members[s->first + ((hash4(t->keys, key) >> 32) * s->count >> 32)], frame, f);
}

/* The real server of a new connection, or 0 and the packet is dropped. */
static inline uint16_t choose(struct twin *t, struct facts f)
{
	uint16_t server = 0;

	if (!opens(f.event))
		drop(t, f.index, TWIN_NO_CONNECTION);
	else if (!(server = schedule(t, f.service)))
		drop(t, f.index, TWIN_NO_REAL_SERVER);
	return server;
}

/* A half-open connection that expires before then yields to the one that a packet opens. */
static inline uint32_t yield_limit(const struct twin *t, struct facts f, uint32_t now)
{
	return opens(f.event) ? now + (uint32_t)(t->states[SR].lifetime >> 32) - EVICTION_MS : now;
}

/* The later of the next tick and the limit, in the place of a record's expiry. */
static inline uint64_t latest(uint32_t limit, uint32_t now)
{
	return (uint64_t)((int32_t)(limit - now) > 1 ? limit : now + 1) << 32;
}

static inline int yields(uint64_t meta, uint32_t limit)
{
	return (meta >> 16 & 0xff) == SR && (int32_t)((uint32_t)(meta >> 32) - limit) < 0;
}

static inline uint64_t haste4(const uint64_t *line, uint64_t limit)
{
	return (line[4] - limit) | (line[5] - limit) | (line[6] - limit) | (line[7] - limit);
}

/*
 * An entry beside a full line: one that is vacant, else one that has expired, else the half-open
 * one that expires first, if before the limit.
 */
static __attribute__((noinline)) uint64_t *room4(uint64_t *line, uint32_t now, uint32_t limit)
{
	uint64_t *other = neighbour(line), *oldest = find4(0, other), late = latest(limit, now);

	if (oldest || (int64_t)(haste4(line, late) | haste4(other, late)) >= 0)
		return oldest;
	for (int half = 0; half < 2; half++, line = neighbour(line))
		for (int slot = 0; slot < 4; slot++)
			if (expired(line[slot + 4], now))
				return line + slot;
	for (int half = 0; half < 2; half++, line = neighbour(line))
		for (int slot = 0; slot < 4; slot++)
			if (yields(line[slot + 4], limit)) {
				oldest = line + slot;
				limit = (uint32_t)(line[slot + 4] >> 32);
			}
	return oldest;
}

static void vacate(struct twin *t, uint64_t *key, uint64_t meta, uint32_t now)
{
	if (*key == 0)
		return;
	t->evicted += !expired(meta, now);
	*key = 0;
	uncount(t, meta);
	t->records--;
}

__attribute__((noinline)) void open_missing4(struct twin *t, unsigned count, uint32_t now)
{
	for (unsigned i = 0; i < count; i++) {
		struct packet4 p = t->packets4[i];
		struct facts f = facts_of(p.key, p.traits);
		uint64_t *at = find4(p.key, p.line);
		uint16_t server;

		if (!at)
			at = find4(p.key, neighbour(p.line));
		if (at) {
			settle(t, at + 4, p.frame, f, now);
			continue;
		}
		at = find4(0, p.line);
		if (!at)
			at = room4(p.line, now, yield_limit(t, f, now));
		if (!at) {
			forward_unrecorded(t, p.key, p.frame, f);
			continue;
		}
		server = choose(t, f);
		if (!server)
			continue;
		vacate(t, at, at[4], now);
		at[4] = opened(t, server, f, now);
		*at = p.key;
		t->records++;
		transmit(t, server, p.frame, f);
	}
}

static inline uint64_t *vacancy6(uint64_t *line)
{
	return line[2] == 0 ? line : line[6] == 0 ? line + 4 : NULL;
}

static __attribute__((noinline)) uint64_t *room6(uint64_t *line, uint32_t now, uint32_t limit)
{
	uint64_t *other = neighbour(line), *oldest = vacancy6(other), late = latest(limit, now);

	if (oldest || (int64_t)((line[3] - late) | (line[7] - late) | (other[3] - late) |
				(other[7] - late)) >= 0)
		return oldest;
	for (int half = 0; half < 2; half++, line = neighbour(line))
		for (int slot = 0; slot < 8; slot += 4)
			if (expired(line[slot + 3], now))
				return line + slot;
	for (int half = 0; half < 2; half++, line = neighbour(line))
		for (int slot = 0; slot < 8; slot += 4)
			if (yields(line[slot + 3], limit)) {
				oldest = line + slot;
				limit = (uint32_t)(line[slot + 3] >> 32);
			}
	return oldest;
}

__attribute__((noinline)) void open_missing6(struct twin *t, unsigned count, uint32_t now)
{
	for (unsigned i = 0; i < count; i++) {
		struct packet6 p = t->packets6[i];
		struct facts f = facts_of(p.transport, p.traits);
		uint64_t *at = find6(&p, p.line);
		uint16_t server;

		if (!at)
			at = find6(&p, neighbour(p.line));
		if (at) {
			settle(t, at + 3, p.frame, f, now);
			continue;
		}
		at = vacancy6(p.line);
		if (!at)
			at = room6(p.line, now, yield_limit(t, f, now));
		if (!at) {
			forward_unrecorded(t, p.high ^ p.low ^ p.transport, p.frame, f);
			continue;
		}
		server = choose(t, f);
		if (!server)
			continue;
		vacate(t, at + 2, at[3], now);
		at[3] = opened(t, server, f, now);
		at[0] = p.high;
		at[1] = p.low;
		at[2] = p.transport;
		t->records++;
		transmit(t, server, p.frame, f);
	}
}

__attribute__((noinline)) void sweep_lines(struct twin *t, uint32_t now)
{
	uint64_t lines4 = t->line_mask4 + 1, lines = lines4 + t->line_mask6 + 1;
	uint64_t passed = lines * (uint64_t)(now - t->sweep_last) + t->sweep_begun;
	uint64_t due = passed / SWEEP_MS;

	due = due < SWEEP_LINES ? due : SWEEP_LINES;
	due = due < lines ? due : lines;
	t->sweep_last = now;
	t->sweep_begun = passed % SWEEP_MS;
	t->sweep_next = now + (uint32_t)((SWEEP_MS - t->sweep_begun + lines - 1) / lines);
	while (due--) {
		uint64_t at = t->sweep_line;
		uint64_t *line = (uint64_t *)(at < lines4 ? t->table4 + at * 64
							  : t->table6 + (at - lines4) * 64);

		if (at < lines4) {
			for (int slot = 0; slot < 4; slot++)
				if (line[slot] && expired(line[slot + 4], now))
					vacate(t, line + slot, line[slot + 4], now);
		} else {
			for (int slot = 0; slot < 8; slot += 4)
				if (line[slot + 2] && expired(line[slot + 3], now))
					vacate(t, line + slot + 2, line[slot + 3], now);
		}
		t->sweep_line = at + 1 == lines ? 0 : at + 1;
	}
}
