/* SPDX-License-Identifier: Apache-2.0 */
/* Set-up: nothing here is timed. */
#include "layout.h"

#include <stdlib.h>

static const uint8_t table_of_states[4][11] = {
	{ SR, ES, ES, SR, SR, SR, SR, SR, SR, SR, SR },
	{ CL, FW, SS, TW, FW, TW, CL, CW, LA, LI, TW },
	{ ES, ES, SS, ES, FW, TW, CL, CW, CL, LI, ES },
	{ CL, CL, CL, SR, CL, CL, CL, CL, LA, LI, CL },
};
static const uint32_t timeouts_s[STATES] = { 2, 900, 120, 60, 120, 120, 10, 60, 30, 120, 120, 300 };

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

			t->states[state].transitions[event] =
				next | (next != state || (event & (EV_SYN | EV_RST)) == EV_SYN ? 0x80 : 0);
		}
	for (int state = 0; state < STATES; state++)
		t->states[state].lifetime = (uint64_t)timeouts_s[state] * 1000 << 32;
}

static void give_frames(struct twin *t, uint64_t chunks, uint32_t chunk_bytes)
{
	for (uint64_t chunk = 0; chunk < chunks; chunk++)
		((uint64_t *)t->fill.slots)[(t->fill.own + chunk) & t->fill.mask] =
			chunk * chunk_bytes;
	t->fill.own += (uint32_t)chunks;
	__atomic_store_n(t->fill.shared, t->fill.own, __ATOMIC_RELEASE);
}

static void add_service(struct twin *t, const struct twin_service *s, uint16_t index)
{
	uint64_t at;

	if (s->is_ipv6) {
		uint64_t transport = service_transport6(s->port, s->protocol);

		at = service_hash6(s->vip_high, s->vip_low, transport) & t->service_mask;
		while (t->services6[at].transport)
			at = (at + 1) & t->service_mask;
		t->services6[at] = (struct slot6){ s->vip_high, s->vip_low, transport, index };
	} else {
		uint64_t key = service_key4((uint32_t)s->vip_low, s->port, s->protocol);

		at = service_hash4(key) & t->service_mask;
		while (t->services4[at].key)
			at = (at + 1) & t->service_mask;
		t->services4[at] = (struct slot4){ key, index };
	}
}

static void add_site(struct twin *t, const struct twin_site *site)
{
	unsigned per_service = site->servers_per_service;

	for (unsigned s = 0; s < site->service_count; s++) {
		add_service(t, &site->services[s], (uint16_t)(s + 1));
		t->list[s + 1] = (struct service){ s * per_service, per_service, 0 };
		for (unsigned i = s * per_service; i < (s + 1) * per_service; i++) {
			uint8_t macs[12];

			t->members[i] = (uint16_t)(i + 1);
			memcpy(macs, site->servers[i].mac, 6);
			memcpy(macs + 6, site->director_mac, 6);
			memcpy(&t->hops[i + 1].low, macs, 8);
			memcpy(&t->hops[i + 1].high, macs + 8, 4);
			t->hops[i + 1].status = LIVE;
		}
	}
}

struct twin *twin_create(const struct twin_queue *q, const struct twin_tables *tables,
			 const uint64_t keys[4], const struct twin_site *site, uint32_t now)
{
	struct twin *t = aligned_alloc(128, (sizeof(*t) + 127) & ~127ul);
	uint64_t slots = 16;

	if (!t)
		return NULL;
	memset(t, 0, sizeof(*t));
	while (slots < site->service_count * 2ul)
		slots *= 2;
	t->hop_count = 1 + site->service_count * site->servers_per_service;
	t->services4 = calloc(slots, sizeof(*t->services4));
	t->services6 = calloc(slots, sizeof(*t->services6));
	t->list = calloc(site->service_count + 1, sizeof(*t->list));
	t->members = calloc(t->hop_count, sizeof(*t->members));
	t->hops = calloc(t->hop_count, sizeof(*t->hops));
	if (!t->services4 || !t->services6 || !t->list || !t->members || !t->hops) {
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
	t->table4 = tables->ipv4;
	t->table6 = tables->ipv6;
	t->line_mask4 = tables->ipv4_lines - 1;
	t->line_mask6 = tables->ipv6_lines - 1;
	t->counters = tables->counters;
	t->service_mask = slots - 1;
	t->sweep_last = t->sweep_next = now;
	memcpy(t->keys, keys, sizeof(t->keys));
	fill_transitions(t);
	add_site(t, site);
	give_frames(t, q->frame_bytes / q->chunk_bytes, q->chunk_bytes);
	return t;
}

uint64_t twin_drops(const struct twin *t, enum twin_reason reason)
{
	return t->drops[reason];
}

uint64_t twin_drop_bytes(const struct twin *t, enum twin_reason reason)
{
	return t->drop_bytes[reason];
}

uint64_t twin_unrecorded(const struct twin *t)
{
	return t->unrecorded;
}

void twin_destroy(struct twin *t)
{
	free(t->services4);
	free(t->services6);
	free(t->list);
	free(t->members);
	free(t->hops);
	free(t);
}
