/* SPDX-License-Identifier: Apache-2.0 */
/* The control: Martinet's I/O on libxdp, and for a decision the two MAC addresses swapped. */
#include "peer.h"

#include <string.h>

int peer_prepare(struct peer_queue *queue)
{
	__u32 at;

	xsk_ring_prod__reserve(&queue->socket.fill, SOCKET_FRAMES, &at);
	for (__u32 i = 0; i < SOCKET_FRAMES; i++)
		*xsk_ring_prod__fill_addr(&queue->socket.fill, at + i) = (__u64)i * SOCKET_CHUNK;
	xsk_ring_prod__submit(&queue->socket.fill, SOCKET_FRAMES);
	return 0;
}

static void reap(struct lab_socket *s)
{
	__u32 from, to, count = xsk_ring_cons__peek(&s->completion, SOCKET_FRAMES, &from);

	if (!count || xsk_ring_prod__reserve(&s->fill, count, &to) != count)
		return;
	for (__u32 i = 0; i < count; i++)
		*xsk_ring_prod__fill_addr(&s->fill, to + i) =
			*xsk_ring_cons__comp_addr(&s->completion, from + i) &
			~(__u64)(SOCKET_CHUNK - 1);
	xsk_ring_prod__submit(&s->fill, count);
	xsk_ring_cons__release(&s->completion, count);
}

static void swap(__u8 *frame)
{
	__u8 destination[6];

	memcpy(destination, frame, 6);
	memcpy(frame, frame + 6, 6);
	memcpy(frame + 6, destination, 6);
}

unsigned peer_turn(struct peer_queue *queue)
{
	struct lab_socket *s = &queue->socket;
	__u32 from, to, room, count;

	reap(s);
	room = xsk_prod_nb_free(&s->transmit, PEER_BATCH);
	count = xsk_ring_cons__peek(&s->receive, room < PEER_BATCH ? room : PEER_BATCH, &from);
	if (!count)
		return 0;
	xsk_ring_prod__reserve(&s->transmit, count, &to);
	for (__u32 i = 0; i < count; i++) {
		const struct xdp_desc *packet = xsk_ring_cons__rx_desc(&s->receive, from + i);

		swap(s->frames + packet->addr);
		*xsk_ring_prod__tx_desc(&s->transmit, to + i) =
			(struct xdp_desc){ .addr = packet->addr, .len = packet->len };
	}
	xsk_ring_prod__submit(&s->transmit, count);
	xsk_ring_cons__release(&s->receive, count);
	return count;
}

__u64 peer_dropped(const struct peer_queue *queue)
{
	(void)queue;
	return 0;
}
