/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The limit: of a turn what no director can leave out, on the twin's rings, frames and table. It
 * reads a descriptor and the frame's first line, reads and renews the record of its connection and
 * writes the MAC addresses of the record's real server, or gives the frame back. Batches are the
 * twin's, and lines are asked for in a row. No octet is parsed, hashed, compared or counted: where
 * its record is, a frame says itself, in the place of the MAC addresses.
 */
#include "rings.h"

/* What a turn received. */
struct intake {
	const struct descriptor *packets;
	uint32_t count;
	uint8_t *frames;
};

/* The first octets of the frame at index, as a load that the compiler must keep. */
hot uint64_t read_frame(const struct intake *in, uint32_t index)
{
	if (index + PREFETCH_DISTANCE < in->count)
		__builtin_prefetch(in->frames + in->packets[index + PREFETCH_DISTANCE].address, 0, 3);
	return *(const volatile uint64_t *)(in->frames + in->packets[index].address);
}

hot void forward(struct twin *t, const struct intake in, uint32_t now)
{
	const struct next_hop *hops = t->hops;
	const uint64_t expiry = ((uint64_t)now << 32) + t->states[ES].lifetime;
	struct descriptor *to = (struct descriptor *)t->transmit.slots +
				(t->transmit.own & t->transmit.mask);
	uint64_t *records[BATCH];

	for (uint32_t i = 0; i < in.count; i++) {
		records[i] = (uint64_t *)read_frame(&in, i);
		__builtin_prefetch(records[i], 0, 3);
	}
	for (uint32_t i = 0; i < in.count; i++) {
		struct descriptor packet = in.packets[i];
		uint8_t *frame = in.frames + packet.address;
		uint64_t meta = *records[i];
		struct next_hop hop = hops[(uint16_t)meta];

		*records[i] = (meta & 0xffffffff) | expiry;
		memcpy(frame, &hop.low, 8);
		memcpy(frame + 8, &hop.high, 4);
		to[i] = (struct descriptor){ packet.address, packet.length, 0 };
	}
	ring_advance(&t->transmit, in.count);
}

hot void give_back(struct twin *t, const struct intake in)
{
	const uint64_t chunk_mask = t->chunk_mask;
	uint64_t *to = (uint64_t *)t->fill.slots + (t->fill.own & t->fill.mask);

	for (uint32_t i = 0; i < in.count; i++) {
		read_frame(&in, i);
		to[i] = in.packets[i].address & chunk_mask;
	}
	ring_advance(&t->fill, in.count);
}

uint32_t limit_turn(struct twin *t, uint32_t now, int forwards)
{
	struct ring *out = forwards ? &t->transmit : &t->fill;
	uint32_t room, count;

	reap(t);
	room = ring_free(out, BATCH);
	count = ring_row(&t->receive, ring_room(out, room < BATCH ? room : BATCH));
	if (count) {
		const struct intake in = {
			(struct descriptor *)t->receive.slots +
				(t->receive.own & t->receive.mask),
			count, t->frames,
		};

		if (forwards)
			forward(t, in, now);
		else
			give_back(t, in);
		ring_advance(&t->receive, count);
	}
	return count;
}
