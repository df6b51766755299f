/* SPDX-License-Identifier: Apache-2.0 */
/* Reading frames: Sources/DataPlane's PacketParser. */
#ifndef MARTINET_TWIN_PARSE_H
#define MARTINET_TWIN_PARSE_H

#include "layout.h"

#define ACCEPTED (-1)

#define ETHERNET_BYTES 14
/* Ethernet, IP without options, TCP: one comparison guards all of a plain packet. */
#define LEAST_PLAIN4 (ETHERNET_BYTES + 20 + 20)
#define LEAST_PLAIN6 (ETHERNET_BYTES + 40 + 20)

struct transport { uint16_t source, destination, bytes; uint8_t protocol, event; };
struct fields4 { uint32_t source, destination; struct transport l4; };
struct fields6 {
	uint64_t source_high, source_low, destination_high, destination_low;
	struct transport l4;
};

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

hot int parse_transport(const uint8_t *l4, int32_t bytes, uint8_t protocol, uint32_t total,
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

/*
 * The event of a TCP or UDP header that lies in a payload which lies in the room that the frame has
 * for it, or -1.
 */
hot int plain_event(const uint8_t *l4, uint32_t protocol, uint64_t payload, uint64_t room)
{
	if (likely(protocol == 6))
		return likely(payload - 20 <= room - 20) ?
			       l4[13] & (EV_FIN | EV_SYN | EV_RST | EV_ACK) : -1;
	return protocol == 17 && payload - 8 <= room - 8 ? EV_DATAGRAM : -1;
}

hot struct transport plain_transport(const uint8_t *l4, uint32_t protocol, int event,
				     uint32_t bytes)
{
	uint32_t ports = be32(l4);

	return (struct transport){ (uint16_t)(ports >> 16), (uint16_t)ports, (uint16_t)bytes,
				   (uint8_t)protocol, (uint8_t)event };
}

/* A whole UDP or TCP packet without options right behind the Ethernet header. */
hot int plain4(const uint8_t *frame, uint32_t length, struct fields4 *out)
{
	uint32_t total, word;
	int event;

	if (unlikely(length < LEAST_PLAIN4))
		return 0;
	total = be16(frame + 16);
	/* No fragment; the protocol. */
	word = be32(frame + 20) & 0x3fff00ff;
	if (unlikely(be16(frame + 12) != 0x0800) || unlikely(frame[14] != 0x45) ||
	    unlikely((event = plain_event(frame + 34, word, (uint64_t)total - 20,
					  length - ETHERNET_BYTES - 20)) < 0))
		return 0;
	out->source = be32(frame + 26);
	out->destination = be32(frame + 30);
	out->l4 = plain_transport(frame + 34, word, event, total);
	return 1;
}

/* The same for IPv6. */
hot int plain6(const uint8_t *frame, uint32_t length, struct fields6 *out)
{
	uint32_t payload;
	int event;

	if (unlikely(length < LEAST_PLAIN6))
		return 0;
	payload = be16(frame + 18);
	if (unlikely(be16(frame + 12) != 0x86dd) || unlikely((frame[14] & 0xf0) != 0x60) ||
	    unlikely((event = plain_event(frame + 54, frame[20], payload,
					  length - ETHERNET_BYTES - 40)) < 0))
		return 0;
	out->source_high = be64(frame + 22);
	out->source_low = be64(frame + 30);
	out->destination_high = be64(frame + 38);
	out->destination_low = be64(frame + 46);
	out->l4 = plain_transport(frame + 54, frame[20], event, payload + 40);
	return 1;
}

/* Any IPv4 packet, or the reason against it. */
hot int any4(const uint8_t *frame, uint32_t offset, uint32_t length, struct fields4 *out)
{
	const uint8_t *ip = frame + offset;
	uint32_t header, total;

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
	out->source = be32(ip + 12);
	out->destination = be32(ip + 16);
	return parse_transport(ip + header, (int32_t)(total - header), ip[9], total, &out->l4);
}

/* Any IPv6 packet without extension headers, or the reason against it. */
hot int any6(const uint8_t *frame, uint32_t offset, uint32_t length, struct fields6 *out)
{
	const uint8_t *ip = frame + offset;
	uint32_t payload;

	if (unlikely(length < offset + 40))
		return TWIN_TRUNCATED;
	if (unlikely(ip[0] >> 4 != 6))
		return TWIN_BAD_HEADER;
	payload = be16(ip + 4);
	if (unlikely(payload > length - offset - 40))
		return TWIN_TRUNCATED;
	out->source_high = be64(ip + 8);
	out->source_low = be64(ip + 16);
	out->destination_high = be64(ip + 24);
	out->destination_low = be64(ip + 32);
	return parse_transport(ip + 40, (int32_t)payload, ip[6], payload + 40, &out->l4);
}

/* Where the network header starts behind at most two VLAN tags, or 0 if truncated. */
hot uint32_t network_header(const uint8_t *frame, uint32_t length, uint16_t *type)
{
	uint32_t offset = ETHERNET_BYTES;

	for (int tags = 0; length >= offset; tags++, offset += 4) {
		*type = be16(frame + offset - 2);
		if (tags == 2 || (*type != 0x8100 && *type != 0x88a8))
			return offset;
	}
	return 0;
}

#endif
