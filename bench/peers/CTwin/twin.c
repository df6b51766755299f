/* SPDX-License-Identifier: Apache-2.0 */
/* The turn and its passes: Sources/DataPlane's WorkerLoop and ForwarderCore+Batch. */
#include "intake.h"

hot size_t parse(struct twin *t, const struct batch *b, size_t *count6)
{
	const struct batch batch = *b;
	const struct intake4 in = intake4_of(t);
	size_t index = 0, count4 = 0;

	while (index < batch.count) {
		struct frame frame;
		struct fields4 fields;

		if (unlikely(!open_frame(&batch, index, &frame)) ||
		    unlikely(!plain4(frame.start, frame.length, &fields))) {
			size_t others = count4;

			index = parse_others(t, b, index, &others, count6);
			count4 = others;
			continue;
		}
		if (likely(accept4(&in, &fields, frame.start, index, count4)))
			count4++;
		else
			drop(t, index, TWIN_NO_SERVICE);
		index++;
	}
	return count4;
}

/* What every hit reads, in locals for a whole batch. */
struct hits {
	const struct next_hop *hops;
	const struct state_row *states;
	struct counters *counters;
	uint32_t hop_count;
	uint64_t now; /* in the place of a record's expiry */
};

hot struct hits hits_of(struct twin *t, uint32_t now)
{
	return (struct hits){ t->hops, t->states, t->counters, t->hop_count, (uint64_t)now << 32 };
}

/* A packet with a record. */
hot void hit(const struct hits *h, struct twin *t, uint64_t *record, uint8_t *frame,
	     struct facts f)
{
	uint64_t meta = *record;
	const struct state_row *state = &h->states[meta >> 16 & (STATE_ROOM - 1)];
	uint16_t server = (uint16_t)meta;
	struct next_hop hop;

	if (unlikely(state->transitions[f.event] & 0x80) ||
	    unlikely((int64_t)(meta - (h->now + (1ull << 32))) < 0) ||
	    unlikely(server >= h->hop_count) || unlikely(h->hops[server].status != LIVE)) {
		settle(t, record, frame, f, (uint32_t)(h->now >> 32));
		return;
	}
	h->counters[server].packets++;
	*record = (meta & 0xffffffff) | (h->now + state->lifetime);
	h->counters[server].bytes += f.bytes;
	hop = h->hops[server];
	memcpy(frame, &hop.low, 8);
	memcpy(frame + 8, &hop.high, 4);
	t->verdicts[f.index] = hop.egress;
}

hot void forward4(struct twin *t, size_t count, uint32_t now)
{
	const struct hits h = hits_of(t, now);
	unsigned missed = 0;

	for (size_t i = 0; i < count; i++) {
		const struct packet4 *p = &t->packets4[i];
		uint64_t key = p->key, *line = p->line;
		unsigned match = (line[0] == key) | (line[1] == key) << 1 | (line[2] == key) << 2 |
				 (line[3] == key) << 3;

		if (likely(match)) {
			hit(&h, t, line + __builtin_ctz(match) + 4, p->frame,
			    facts_of(key, p->traits));
		} else {
			__builtin_prefetch((uint64_t *)((uintptr_t)line ^ 64), 0, 3);
			t->packets4[missed++] = *p;
		}
	}
	if (unlikely(missed))
		open_missing4(t, missed, now);
}

static __attribute__((noinline)) void forward6(struct twin *t, size_t count, uint32_t now)
{
	const struct hits h = hits_of(t, now);
	unsigned missed = 0;

	for (size_t i = 0; i < count; i++) {
		const struct packet6 *p = &t->packets6[i];
		uint64_t high = p->high, low = p->low, rest = p->transport, *at = p->line;

		if (at[0] != high || at[1] != low || at[2] != rest) {
			at += 4;
			if (at[0] != high || at[1] != low || at[2] != rest) {
				__builtin_prefetch((uint64_t *)((uintptr_t)p->line ^ 64), 0, 3);
				t->packets6[missed++] = *p;
				continue;
			}
		}
		hit(&h, t, at + 3, p->frame, facts_of(rest, p->traits));
	}
	if (unlikely(missed))
		open_missing6(t, missed, now);
}

hot uint32_t ring_free(struct ring *r, uint32_t wanted)
{
	uint32_t spare = r->mask + 1 - (r->own - r->known);

	if (likely(spare >= wanted))
		return spare;
	r->known = __atomic_load_n(r->kernel, __ATOMIC_ACQUIRE);
	return r->mask + 1 - (r->own - r->known);
}

hot void ring_advance(struct ring *r, uint32_t count)
{
	r->own += count;
	__atomic_store_n(r->shared, r->own, __ATOMIC_RELEASE);
}

hot uint32_t ring_row(const struct ring *r, uint32_t limit)
{
	uint32_t count = __atomic_load_n(r->kernel, __ATOMIC_ACQUIRE) - r->own;
	uint32_t to_end = r->mask + 1 - (r->own & r->mask);

	count = count < limit ? count : limit;
	return count < to_end ? count : to_end;
}

/* Slots after the last submitted entry that lie in a row. */
hot uint32_t ring_room(const struct ring *r, uint32_t limit)
{
	uint32_t to_end = r->mask + 1 - (r->own & r->mask);

	return limit < to_end ? limit : to_end;
}

/* One row of either ring in a turn. */
hot void reap(struct twin *t)
{
	const uint64_t *from = (uint64_t *)t->completion.slots +
			       (t->completion.own & t->completion.mask);
	const uint64_t chunk_mask = t->chunk_mask;
	uint64_t *to = (uint64_t *)t->fill.slots + (t->fill.own & t->fill.mask);
	uint32_t count;

	if (__atomic_load_n(t->completion.kernel, __ATOMIC_ACQUIRE) == t->completion.own)
		return;
	count = ring_row(&t->completion, ring_room(&t->fill, UINT32_MAX));
	ring_free(&t->fill, count);
	for (uint32_t i = 0; i < count; i++)
		to[i] = from[i] & chunk_mask;
	ring_advance(&t->fill, count);
	ring_advance(&t->completion, count);
	t->completed += count;
}

hot void put(const struct ring *out, struct descriptor packet, uint32_t at)
{
	struct descriptor *slots = out->slots;

	slots[(out->own + at) & out->mask] =
		(struct descriptor){ packet.address, packet.length, 0 };
}

/* What follows the first packet of a batch that is not forwarded. */
static __attribute__((noinline)) void dispatch_rest(struct twin *t, const struct descriptor *batch,
						    uint32_t first, uint32_t count)
{
	const struct ring out = t->transmit, spare = t->fill;
	const uint64_t chunk_mask = t->chunk_mask;
	uint32_t sent = 0, dropped = 0;

	ring_free(&t->fill, count - first);
	for (uint32_t i = first; i < count; i++)
		if (t->verdicts[i] < DROP)
			put(&out, batch[i], sent++);
		else
			((uint64_t *)spare.slots)[(spare.own + dropped++) & spare.mask] =
				batch[i].address & chunk_mask;
	ring_advance(&t->transmit, sent);
	ring_advance(&t->fill, dropped);
	t->forwarded += sent;
	t->dropped += dropped;
}

hot void dispatch(struct twin *t, const struct descriptor *batch, uint32_t count)
{
	const struct ring out = t->transmit;
	struct descriptor *to = (struct descriptor *)out.slots + (out.own & out.mask);
	const uint32_t row = ring_room(&out, count);
	uint32_t sent = 0;

	for (; sent < row && likely(t->verdicts[sent] < DROP); sent++)
		to[sent] = (struct descriptor){ batch[sent].address, batch[sent].length, 0 };
	t->batches++;
	t->batch_sizes[count > 1 ? 32 - __builtin_clz(count - 1) : 0]++;
	t->received += count;
	t->forwarded += sent;
	ring_advance(&t->transmit, sent);
	if (unlikely(sent < count))
		dispatch_rest(t, batch, sent, count);
}

uint32_t twin_turn(struct twin *t, uint32_t now)
{
	uint32_t limit, count;

	reap(t);
	limit = ring_free(&t->transmit, BATCH);
	limit = limit < BATCH ? limit : BATCH;
	count = ring_row(&t->receive, limit);
	if (count) {
		const struct batch batch = {
			(struct descriptor *)t->receive.slots +
				(t->receive.own & t->receive.mask),
			count, t->frames, t->frame_bytes,
		};
		size_t count6 = 0, count4;

		t->batch = batch.packets;
		count4 = parse(t, &batch, &count6);
		if (count4)
			forward4(t, count4, now);
		if (count6)
			forward6(t, count6, now);
		dispatch(t, batch.packets, count);
		ring_advance(&t->receive, count);
	}
	if (unlikely((int32_t)(now - t->sweep_next) >= 0))
		sweep_lines(t, now);
	return count;
}
