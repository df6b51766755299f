/* SPDX-License-Identifier: Apache-2.0 */
/* The turn and its passes: Sources/DataPlane's WorkerLoop and ForwarderCore+Batch. */
#include "intake.h"
#include "rings.h"

/* Two in a step: after an odd number for one more, of a packet of an earlier batch. */
hot void ask_for_lines(const struct twin *t, size_t first4, size_t end4, size_t first6, size_t end6)
{
	for (; first4 < end4; first4 += 2) {
		__builtin_prefetch(t->packets4[first4].line, 0, 3);
		__builtin_prefetch(t->packets4[first4 + 1].line, 0, 3);
	}
	for (; first6 < end6; first6 += 2) {
		__builtin_prefetch(t->packets6[first6].line, 0, 3);
		__builtin_prefetch(t->packets6[first6 + 1].line, 0, 3);
	}
}

hot size_t parse(struct twin *t, const struct batch *b, size_t *count6)
{
	const struct batch batch = *b;
	const struct intake4 in = intake4_of(t);
	size_t index = 0, count4 = 0, first4 = 0, first6 = 0;

	while (index < batch.count) {
		const size_t end = batch.count - index < LINES_AT_ONCE ? batch.count :
									 index + LINES_AT_ONCE;
		const int follows6 = *count6 > first6;

		first4 = count4;
		first6 = *count6;
		if (unlikely(follows6))
			index = parse6(t, &batch, index, end, count6);
		while (index < end) {
			struct frame frame;
			struct fields4 fields;

			if (unlikely(!open_frame(&batch, index, &frame)) ||
			    unlikely(!plain4(frame.start, frame.length, &fields))) {
				size_t others = count4;

				index = parse_others(t, b, index, end, &others, count6);
				count4 = others;
				continue;
			}
			if (likely(accept4(&in, &fields, frame.start, index, count4)))
				count4++;
			else
				drop(t, index, TWIN_NO_SERVICE);
			index++;
		}
		ask_for_lines(t, first4, count4, first6, *count6);
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

uint64_t *twin_record(struct twin *t, uint8_t *packet, uint32_t length)
{
	const struct frame frame = { packet, length };
	const struct packet4 *p4 = t->packets4;
	const struct packet6 *p6 = t->packets6;
	size_t count4 = 0, count6 = 0;
	uint64_t *at;

	if (accept_any(t, frame, 0, &count4, &count6) != ACCEPTED)
		return NULL;
	if (count6) {
		at = find6(p6, p6->line);
		at = at ? at : find6(p6, neighbour(p6->line));
		return (at ? at : p6->line) + 3;
	}
	at = find4(p4->key, p4->line);
	at = at ? at : find4(p4->key, neighbour(p4->line));
	return (at ? at : p4->line) + 4;
}
