/* SPDX-License-Identifier: Apache-2.0 */
/* Pass 1 of the loop: frames in, parsed packets in scratch, connection lines asked for. */
#ifndef MARTINET_TWIN_PARSE_H
#define MARTINET_TWIN_PARSE_H

#include "layout.h"

#define ACCEPTED (-1)

struct transport { uint16_t source, destination, bytes; uint8_t protocol, event; };

hot uint16_t be16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, 2);
	return __builtin_bswap16(v);
}

hot uint32_t be32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return __builtin_bswap32(v);
}

hot uint64_t be64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, 8);
	return __builtin_bswap64(v);
}

/* What the parsing of every IPv4 packet reads, in locals for a whole batch. */
struct intake4 {
	const struct slot4 *services;
	uint64_t service_mask;
	uint8_t *table;
	uint64_t line_mask, keys[4];
	struct packet4 *packets;
};

hot struct intake4 intake4_of(struct twin *t)
{
	return (struct intake4){
		t->services4, t->service_mask, t->table4, t->line_mask4,
		{ t->keys[0], t->keys[1], t->keys[2], t->keys[3] }, t->packets4,
	};
}

hot uint16_t look_up4(const struct intake4 *in, uint64_t key)
{
	uint64_t at = service_hash4(key) & in->service_mask;

	for (;;) {
		if (likely(in->services[at].key == key))
			return (uint16_t)in->services[at].service;
		if (in->services[at].key == 0)
			return 0;
		at = (at + 1) & in->service_mask;
	}
}

hot uint16_t look_up6(const struct twin *t, uint64_t high, uint64_t low, uint64_t transport)
{
	uint64_t at = service_hash6(high, low, transport) & t->service_mask;

	for (;;) {
		const struct slot6 *s = &t->services6[at];

		if (likely(s->transport == transport && s->low == low && s->high == high))
			return (uint16_t)s->service;
		if (s->transport == 0)
			return 0;
		at = (at + 1) & t->service_mask;
	}
}

hot int parse_transport(const uint8_t *l4, uint32_t bytes, uint8_t protocol, uint32_t total,
			struct transport *out)
{
	uint32_t ports;

	if (likely(protocol == 6)) {
		if (unlikely(bytes < 20))
			return TWIN_TRUNCATED;
		out->event = l4[13] & (EV_FIN | EV_SYN | EV_RST | EV_ACK);
	} else if (protocol == 17) {
		if (bytes < 8)
			return TWIN_TRUNCATED;
		out->event = EV_DATAGRAM;
	} else {
		return TWIN_UNKNOWN_PROTOCOL;
	}
	ports = be32(l4);
	out->source = (uint16_t)(ports >> 16);
	out->destination = (uint16_t)ports;
	out->protocol = protocol;
	out->bytes = (uint16_t)total;
	return ACCEPTED;
}

hot int accept4(const struct intake4 *in, uint8_t *frame, uint32_t offset, uint32_t length,
		unsigned index, unsigned place)
{
	struct packet4 *out = &in->packets[place];
	const uint8_t *ip = frame + offset;
	struct transport l4;
	uint32_t header, total;
	uint64_t key, *line;
	uint16_t service;
	int reason;

	if (unlikely(length < offset + 20))
		return TWIN_TRUNCATED;
	header = (ip[0] & 15) * 4;
	total = be16(ip + 2);
	if (unlikely(ip[0] >> 4 != 4 || header < 20 || total < header))
		return TWIN_BAD_HEADER;
	if (unlikely(total > length - offset))
		return TWIN_TRUNCATED;
	if (unlikely(be16(ip + 6) & 0x3fff))
		return TWIN_FRAGMENT;
	reason = parse_transport(ip + header, total - header, ip[9], total, &l4);
	if (unlikely(reason != ACCEPTED))
		return reason;
	service = look_up4(in, service_key4(be32(ip + 16), l4.destination, l4.protocol));
	if (unlikely(!service))
		return TWIN_NO_SERVICE;
	key = (uint64_t)be32(ip + 12) << 32 | (uint64_t)l4.source << 16 | service;
	line = (uint64_t *)(in->table + (hash4(in->keys, key) & in->line_mask) * 64);
	__builtin_prefetch(line, 0, 3);
	out->key = key;
	out->line = line;
	out->frame = frame;
	out->facts = (struct facts){ service, l4.bytes, l4.event, (uint8_t)index };
	return ACCEPTED;
}

hot int accept6(struct twin *t, uint8_t *frame, uint32_t offset, uint32_t length,
		unsigned index, struct packet6 *out)
{
	const uint8_t *ip = frame + offset;
	struct transport l4;
	uint32_t payload;
	uint64_t high, low, rest, *line;
	uint16_t service;
	int reason;

	if (unlikely(length < offset + 40))
		return TWIN_TRUNCATED;
	if (unlikely(ip[0] >> 4 != 6))
		return TWIN_BAD_HEADER;
	payload = be16(ip + 4);
	if (unlikely(payload > length - offset - 40))
		return TWIN_TRUNCATED;
	reason = parse_transport(ip + 40, payload, ip[6], payload + 40, &l4);
	if (unlikely(reason != ACCEPTED))
		return reason;
	service = look_up6(t, be64(ip + 24), be64(ip + 32),
			   service_transport6(l4.destination, l4.protocol));
	if (unlikely(!service))
		return TWIN_NO_SERVICE;
	high = be64(ip + 8);
	low = be64(ip + 16);
	rest = (uint64_t)l4.source << 16 | service;
	line = (uint64_t *)(t->table6 + (hash6(t->keys, high, low, rest) & t->line_mask6) * 64);
	__builtin_prefetch(line, 0, 3);
	out->high = high;
	out->low = low;
	out->transport = rest;
	out->line = line;
	out->frame = frame;
	out->facts = (struct facts){ service, l4.bytes, l4.event, (uint8_t)index };
	return ACCEPTED;
}

/* Frames that are not plain Ethernet with IPv4: VLAN tags, IPv6, garbage. */
static __attribute__((noinline)) void parse_other(struct twin *t, uint8_t *frame, uint32_t length,
						  unsigned index, unsigned *count4,
						  unsigned *count6)
{
	struct intake4 in = intake4_of(t);
	uint32_t offset = 14;
	int reason;

	for (int tags = 0;; tags++, offset += 4) {
		uint16_t type;

		if (length < offset)
			return drop(t, index, TWIN_TRUNCATED);
		type = be16(frame + offset - 2);
		if ((type == 0x8100 || type == 0x88a8) && tags < 2)
			continue;
		if (type == 0x0800) {
			reason = accept4(&in, frame, offset, length, index, *count4);
			*count4 += reason == ACCEPTED;
		} else if (type == 0x86dd) {
			reason = accept6(t, frame, offset, length, index, &t->packets6[*count6]);
			*count6 += reason == ACCEPTED;
		} else {
			reason = TWIN_NOT_IP;
		}
		if (reason != ACCEPTED)
			drop(t, index, (enum twin_reason)reason);
		return;
	}
}

#endif
