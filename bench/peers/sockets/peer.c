/* SPDX-License-Identifier: Apache-2.0 */
/*
 * usage: PEER INTERFACE OBJECT QUEUES. SIGUSR1: a line of JSON with the counters; SIGTERM: the end.
 */
#define _GNU_SOURCE
#include "peer.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* As in Sources/DataPlane/Worker/Worker.swift. */
#define SPIN_TURNS 512
#define SLEEP_MS 20
#define SENDING_SLEEP_MS 1
/* The kernel frees a queue 20 ms after its last owner. */
#define BIND_TRIES 100
#define BIND_PAUSE_US 10000
#define QUEUES 64

static struct peer_queue *queues[QUEUES];

static void fail(const char *what, int code)
{
	fprintf(stderr, "peer: %s: %s\n", what, strerror(code));
	exit(1);
}

static void pin(unsigned number)
{
	cpu_set_t allowed, one;
	int place;

	sched_getaffinity(0, sizeof(allowed), &allowed);
	place = number % CPU_COUNT(&allowed);
	CPU_ZERO(&one);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &allowed) && place-- == 0)
			CPU_SET(cpu, &one);
	sched_setaffinity(0, sizeof(one), &one);
}

static __u32 pending(const struct xsk_ring_prod *ring)
{
	return *ring->producer - __atomic_load_n(ring->consumer, __ATOMIC_ACQUIRE);
}

static void wake(struct peer_queue *queue)
{
	if (!pending(&queue->socket.transmit) ||
	    !xsk_ring_prod__needs_wakeup(&queue->socket.transmit) ||
	    sendto(queue->socket.descriptor, NULL, 0, MSG_DONTWAIT, NULL, 0) >= 0)
		return;
	if (errno == EBUSY)
		queue->counters.lost++;
	else if (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM || errno == EINTR)
		queue->counters.again++;
	else
		fail("sending", errno);
}

static void *work(void *argument)
{
	struct peer_queue *queue = argument;
	struct pollfd wait = { .fd = queue->socket.descriptor, .events = POLLIN };
	unsigned empty_turns = 0;

	pin(queue->number);
	for (;;) {
		unsigned received = peer_turn(queue);

		queue->counters.received += received;
		wake(queue);
		empty_turns = received ? 0 : empty_turns + 1;
		if (empty_turns > SPIN_TURNS)
			poll(&wait, 1,
			     pending(&queue->socket.transmit) ? SENDING_SLEEP_MS : SLEEP_MS);
	}
	return NULL;
}

static void open_queue(const char *interface, unsigned number, int sockets)
{
	struct peer_queue *queue = aligned_alloc(128, (sizeof(*queue) + 127) & ~127ul);
	int status;

	memset(queue, 0, sizeof(*queue));
	queue->number = number;
	for (int tries = 0; (status = lab_socket_open(&queue->socket, interface, number)); tries++) {
		if (status != EBUSY || tries == BIND_TRIES)
			fail("binding a socket", status);
		usleep(BIND_PAUSE_US);
	}
	status = peer_prepare(queue);
	if (status)
		fail("preparing", status);
	if (bpf_map_update_elem(sockets, &number, &queue->socket.descriptor, BPF_ANY))
		fail("registering a socket", errno);
	queues[number] = queue;
}

static void report(unsigned count)
{
	struct peer_counters all = { 0 };
	__u64 dropped = 0;

	for (unsigned i = 0; i < count; i++) {
		all.received += queues[i]->counters.received;
		dropped += peer_dropped(queues[i]);
		all.again += queues[i]->counters.again;
		all.lost += queues[i]->counters.lost;
	}
	printf("{\"received\": %llu, \"dropped\": %llu, \"again\": %llu, \"lost\": %llu}\n",
	       all.received, dropped, all.again, all.lost);
	fflush(stdout);
}

int main(int arguments, char **argument)
{
	unsigned count = arguments == 4 ? strtoul(argument[3], NULL, 10) : 0;
	struct bpf_object *object;
	sigset_t signals;
	int program, signal;
	LIBBPF_OPTS(bpf_link_create_opts, options, .flags = XDP_FLAGS_DRV_MODE);

	if (count == 0 || count > QUEUES)
		return fprintf(stderr, "usage: %s INTERFACE OBJECT QUEUES\n", argument[0]), 2;
	sigemptyset(&signals);
	sigaddset(&signals, SIGUSR1);
	sigaddset(&signals, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	object = bpf_object__open_file(argument[2], NULL);
	if (!object || bpf_object__load(object))
		fail("loading the eBPF program", errno);
	for (unsigned i = 0; i < count; i++)
		open_queue(argument[1], i, bpf_object__find_map_fd_by_name(object, "xsks"));
	for (unsigned i = 0; i < count; i++) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, work, queues[i]))
			fail("starting a thread", EAGAIN);
	}
	program = bpf_program__fd(bpf_object__find_program_by_name(object, "redirect"));
	if (bpf_link_create(program, if_nametoindex(argument[1]), BPF_XDP, &options) < 0)
		fail("attaching to the interface", errno);
	report(count);
	while (sigwait(&signals, &signal) == 0 && signal == SIGUSR1)
		report(count);
	return 0;
}
