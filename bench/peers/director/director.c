/* SPDX-License-Identifier: Apache-2.0 */
/* The C twin of the whole director: the loop of peers/CTwin on AF_XDP sockets. */
#include "lab.h"
#include "peer.h"
#include "twin.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

/* 2^20 entries a family, as Martinet's default: lines of four and of two. */
#define LINES4 (1u << 18)
#define LINES6 (1u << 19)
#define LINE_BYTES 64ul

static __u32 now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (__u32)(now.tv_sec * 1000 + now.tv_nsec / 1000000);
}

/* Touched at once, in huge pages where there are any, as Martinet's. */
static void *zeroes(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return NULL;
	madvise(memory, bytes, MADV_HUGEPAGE);
	return memset(memory, 0, bytes);
}

static struct twin_ring produced(const struct xsk_ring_prod *ring)
{
	return (struct twin_ring){ ring->producer, ring->consumer, ring->flags, ring->ring,
				   ring->size };
}

static struct twin_ring consumed(const struct xsk_ring_cons *ring)
{
	return (struct twin_ring){ ring->producer, ring->consumer, ring->flags, ring->ring,
				   ring->size };
}

int peer_prepare(struct peer_queue *queue)
{
	/* Both rooms'. iperf3 opens several connections to one server, which has no second. */
	static const struct twin_service services[] = {
		{ 0, LAB_VIP4, LAB_PORT, 17, 0 },
		{ LAB_VIP6_HIGH, LAB_VIP6_LOW, LAB_PORT, 17, 1 },
		{ 0, LAB_VIP4, LAB_HTTP_PORT, 6, 0 },
		{ 0, LAB_VIP4, LAB_IPERF_PORT, 6, 0 },
		{ 0, LAB_VIP4, LAB_IPERF_PORT, 17, 0 },
		{ 0, LAB_VIP4, LAB_FLOOD_PORT, 6, 0 },
	};
	static const struct twin_real_server servers[] = {
		{ LAB_REAL_SERVER_MAC(0) }, { LAB_REAL_SERVER_MAC(1) },
		{ LAB_REAL_SERVER_MAC(0) }, { LAB_REAL_SERVER_MAC(1) },
		{ LAB_REAL_SERVER_MAC(0) }, { LAB_REAL_SERVER_MAC(0) },
		{ LAB_REAL_SERVER_MAC(0) }, { LAB_REAL_SERVER_MAC(0) },
		{ LAB_REAL_SERVER_MAC(0) }, { LAB_REAL_SERVER_MAC(0) },
		{ LAB_REAL_SERVER_MAC(1) }, { LAB_REAL_SERVER_MAC(1) },
	};
	const unsigned count = sizeof(services) / sizeof(services[0]);
	static const uint64_t keys[4] = { 0x243f6a8885a308d3, 0x13198a2e03707344,
					  0xa4093822299f31d0, 0x082efa98ec4e6c89 };
	struct lab_socket *s = &queue->socket;
	struct twin_site site = { services, count, servers, LAB_REAL_SERVERS, LAB_DIRECTOR_MAC };
	struct twin_queue memory = { s->frames, SOCKET_FRAMES * SOCKET_CHUNK, SOCKET_CHUNK,
				     produced(&s->fill), consumed(&s->completion),
				     consumed(&s->receive), produced(&s->transmit) };
	struct twin_tables tables = { zeroes(LINES4 * LINE_BYTES), zeroes(LINES6 * LINE_BYTES),
				      LINES4, LINES6, zeroes(TWIN_COUNTERS_BYTES) };

	if (!tables.ipv4 || !tables.ipv6 || !tables.counters)
		return ENOMEM;
	queue->state = twin_create(&memory, &tables, keys, &site, now_ms());
	return queue->state ? 0 : ENOMEM;
}

unsigned peer_turn(struct peer_queue *queue)
{
	return twin_turn(queue->state, now_ms());
}

__u64 peer_dropped(const struct peer_queue *queue)
{
	__u64 dropped = 0;

	for (int reason = 0; reason < TWIN_REASONS; reason++)
		dropped += twin_drops(queue->state, reason);
	return dropped;
}
