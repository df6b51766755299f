/* SPDX-License-Identifier: Apache-2.0 */
/* Pass 1: frames to packets of known services: Sources/DataPlane's ForwarderCore+Parse. */
#ifndef MARTINET_TWIN_INTAKE_H
#define MARTINET_TWIN_INTAKE_H

#include "parse.h"

/* What the parsing of every IPv4 packet reads, in locals for a whole batch. */
struct intake4 {
	const struct slot4 *services;
	uint64_t service_mask;
	uint8_t *table;
	uint64_t offset_mask, keys[4];
	struct packet4 *packets;
};

struct intake6 {
	const struct slot6 *services;
	uint64_t service_mask;
	uint8_t *table;
	uint64_t offset_mask, keys[4];
	struct packet6 *packets;
};

hot struct intake4 intake4_of(struct twin *t)
{
	return (struct intake4){
		t->services4, t->service_mask, t->table4, t->line_mask4 * 64,
		{ t->keys[0], t->keys[1], t->keys[2], t->keys[3] }, t->packets4,
	};
}

hot struct intake6 intake6_of(struct twin *t)
{
	return (struct intake6){
		t->services6, t->service_mask, t->table6, t->line_mask6 * 64,
		{ t->keys[0], t->keys[1], t->keys[2], t->keys[3] }, t->packets6,
	};
}

static __attribute__((noinline)) uint16_t look_up4_behind(const struct slot4 *slots, uint64_t mask,
							  uint64_t key, uint64_t at)
{
	while (slots[at].key) {
		at = (at + 1) & mask;
		if (slots[at].key == key)
			return (uint16_t)slots[at].service;
	}
	return 0;
}

hot int holds6(const struct slot6 *s, uint64_t high, uint64_t low, uint64_t transport)
{
	return s->transport == transport && s->low == low && s->high == high;
}

static __attribute__((noinline)) uint16_t look_up6_behind(const struct slot6 *slots, uint64_t mask,
							  uint64_t high, uint64_t low,
							  uint64_t transport, uint64_t at)
{
	while (slots[at].transport) {
		at = (at + 1) & mask;
		if (holds6(&slots[at], high, low, transport))
			return (uint16_t)slots[at].service;
	}
	return 0;
}

/* Puts one packet into its place in scratch; 0 if no service takes it. */
hot int accept4(const struct intake4 *in, const struct fields4 *f, uint8_t *frame, size_t index,
		size_t place)
{
	struct packet4 *out = &in->packets[place];
	uint64_t wanted = service_key4(f->destination, f->l4.destination, f->l4.protocol);
	uint64_t at = service_hash4(wanted) & in->service_mask, key, *line;
	uint16_t service;

	if (likely(in->services[at].key == wanted))
		service = (uint16_t)in->services[at].service;
	else if (!(service = look_up4_behind(in->services, in->service_mask, wanted, at)))
		return 0;
	key = (uint64_t)f->source << 32 | (uint64_t)f->l4.source << 16 | service;
	line = (uint64_t *)(in->table + (hash4(in->keys, key) & in->offset_mask));
	out->key = key;
	out->line = line;
	out->frame = frame;
	out->traits = (struct traits){ f->l4.bytes, f->l4.event, (uint8_t)index };
	return 1;
}

hot int accept6(const struct intake6 *in, const struct fields6 *f, uint8_t *frame, size_t index,
		size_t place)
{
	struct packet6 *out = &in->packets[place];
	uint64_t high = f->destination_high, low = f->destination_low;
	uint64_t transport = service_transport6(f->l4.destination, f->l4.protocol);
	uint64_t at = service_hash6(high, low, transport) & in->service_mask, rest, *line;
	uint16_t service;

	if (likely(holds6(&in->services[at], high, low, transport)))
		service = (uint16_t)in->services[at].service;
	else if (!(service = look_up6_behind(in->services, in->service_mask, high, low, transport,
					     at)))
		return 0;
	rest = (uint64_t)f->l4.source << 16 | service;
	line = (uint64_t *)(in->table + (hash6(in->keys, f->source_high, f->source_low, rest) &
					 in->offset_mask));
	out->high = f->source_high;
	out->low = f->source_low;
	out->transport = rest;
	out->line = line;
	out->frame = frame;
	out->traits = (struct traits){ f->l4.bytes, f->l4.event, (uint8_t)index };
	return 1;
}

/* The packets of one turn, in locals. */
struct batch {
	const struct descriptor *packets;
	size_t count;
	uint8_t *frames;
	uint64_t frame_bytes;
};

struct frame { uint8_t *start; uint32_t length; };

/* The frame at index, its successor's headers asked for; 0 if it does not lie in the frames. */
hot int open_frame(const struct batch *b, size_t index, struct frame *out)
{
	struct descriptor d = b->packets[index];

	if (index + PREFETCH_DISTANCE < b->count)
		__builtin_prefetch(b->frames + b->packets[index + PREFETCH_DISTANCE].address, 0, 3);
	*out = (struct frame){ b->frames + d.address, d.length };
	return likely(d.address <= b->frame_bytes) &&
	       likely(d.length <= b->frame_bytes - d.address);
}

/* A run of plain IPv6 before end, which may be empty. Returns the index after it. */
static __attribute__((noinline)) size_t parse6(struct twin *t, const struct batch *b, size_t index,
					       size_t end, size_t *all6)
{
	const struct batch batch = *b;
	const struct intake6 in = intake6_of(t);
	size_t count6 = *all6;

	for (; index < end; index++) {
		struct frame frame;
		struct fields6 fields;

		if (unlikely(!open_frame(&batch, index, &frame)) ||
		    unlikely(!plain6(frame.start, frame.length, &fields)))
			break;
		if (likely(accept6(&in, &fields, frame.start, index, count6)))
			count6++;
		else
			drop(t, index, TWIN_NO_SERVICE);
	}
	*all6 = count6;
	return index;
}

/* One frame of any kind, or the reason against it. */
hot int accept_any(struct twin *t, struct frame frame, size_t index, size_t *count4, size_t *count6)
{
	uint16_t type;
	uint32_t offset = network_header(frame.start, frame.length, &type);
	int reason, accepted;

	if (!offset)
		return TWIN_TRUNCATED;
	if (type == 0x0800) {
		const struct intake4 in = intake4_of(t);
		struct fields4 fields;

		reason = any4(frame.start, offset, frame.length, &fields);
		if (reason != ACCEPTED)
			return reason;
		accepted = accept4(&in, &fields, frame.start, index, *count4);
		*count4 += accepted;
	} else if (type == 0x86dd) {
		const struct intake6 in = intake6_of(t);
		struct fields6 fields;

		reason = any6(frame.start, offset, frame.length, &fields);
		if (reason != ACCEPTED)
			return reason;
		accepted = accept6(&in, &fields, frame.start, index, *count6);
		*count6 += accepted;
	} else {
		return TWIN_NOT_IP;
	}
	return accepted ? ACCEPTED : TWIN_NO_SERVICE;
}

/*
 * A run of frames before end that are not plain IPv4. It ends behind an IPv4 packet without tags,
 * as plain ones will follow it. Returns the index after it.
 */
static __attribute__((noinline)) size_t parse_others(struct twin *t, const struct batch *b,
						     size_t index, size_t end, size_t *all4,
						     size_t *all6)
{
	const struct batch batch = *b;
	size_t count4 = *all4, count6 = *all6;

	while (index < end) {
		size_t place = index++;
		struct frame frame;
		uint16_t type;
		int reason = TWIN_TRUNCATED;

		if (open_frame(&batch, place, &frame))
			reason = accept_any(t, frame, place, &count4, &count6);
		if (reason != ACCEPTED) {
			drop(t, place, (enum twin_reason)reason);
			continue;
		}
		type = be16(frame.start + 12);
		if (type == 0x0800)
			break;
		if (type == 0x86dd)
			index = parse6(t, &batch, index, end, &count6);
	}
	*all4 = count4;
	*all6 = count6;
	return index;
}

#endif
