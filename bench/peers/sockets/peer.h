/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the C peers share: a pinned thread per queue that takes turns, wakes the kernel and sleeps
 * as Martinet's worker does. A peer is the three functions below.
 */
#ifndef MARTINET_BENCH_PEER_H
#define MARTINET_BENCH_PEER_H

#include "socket.h"

#define PEER_BATCH 64

struct peer_counters {
	__u64 received, again, lost;
};

struct peer_queue {
	struct lab_socket socket;
	struct peer_counters counters;
	void *state; /* the peer's own */
	unsigned number;
};

/* Before the first turn; gives the frames to the fill ring. Returns 0 or an errno. */
int peer_prepare(struct peer_queue *queue);
/* Reap, receive a batch, send it. Returns packets received. */
unsigned peer_turn(struct peer_queue *queue);
/* Packets that were received and not sent. */
__u64 peer_dropped(const struct peer_queue *queue);

#endif
