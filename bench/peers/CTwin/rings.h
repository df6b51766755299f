/* SPDX-License-Identifier: Apache-2.0 */
/* The rings: Sources/DataPlane/Rings, and what a turn begins with. */
#ifndef MARTINET_TWIN_RINGS_H
#define MARTINET_TWIN_RINGS_H

#include "layout.h"

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

#endif
