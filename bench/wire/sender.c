/* SPDX-License-Identifier: Apache-2.0 */
/* The station's second source: every frame an skb, as from an ordinary host. */
#include "socket.h"
#include "station.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define QUEUES 16
#define BATCH 32

struct sender {
	struct lab_socket socket;
	__u64 spare[SOCKET_FRAMES];
	unsigned spares;
	unsigned pending; /* written into the ring since the last call of the kernel */
};

static struct sender senders[QUEUES];
static unsigned opened;

static void open_senders(const char *interface, unsigned queues)
{
	for (; opened < queues; opened++) {
		struct sender *sender = &senders[opened];
		int status = lab_socket_open(&sender->socket, interface, opened);

		if (status)
			fail("binding a socket to send from", status);
		for (unsigned i = 0; i < SOCKET_FRAMES; i++)
			sender->spare[sender->spares++] = (__u64)i * SOCKET_CHUNK;
	}
}

static void reap(struct sender *sender)
{
	__u32 at, count = xsk_ring_cons__peek(&sender->socket.completion, SOCKET_FRAMES, &at);

	for (__u32 i = 0; i < count; i++)
		sender->spare[sender->spares++] =
			*xsk_ring_cons__comp_addr(&sender->socket.completion, at + i);
	xsk_ring_cons__release(&sender->socket.completion, count);
}

/* EBUSY: the far end had no room, and the frame is lost; the interface counts it. */
static void flush(struct sender *sender)
{
	reap(sender);
	if (sendto(sender->socket.descriptor, NULL, 0, MSG_DONTWAIT, NULL, 0) < 0 &&
	    errno != EAGAIN && errno != EBUSY && errno != ENOBUFS)
		fail("sending", errno);
	sender->pending = 0;
}

static int write_next(struct sender *sender, const struct command *command,
		      struct lab_progress *progress, __u64 due_ns)
{
	__u32 at;
	__u64 address;
	__u8 *frame;

	if (!sender->spares || xsk_ring_prod__reserve(&sender->socket.transmit, 1, &at) != 1)
		return 0;
	address = sender->spare[--sender->spares];
	frame = sender->socket.frames + address;
	write_template(frame, command);
	if (!lab_write(frame, frame + command->size, &command->plan, progress, due_ns))
		fail("writing a frame", EMSGSIZE);
	*xsk_ring_prod__tx_desc(&sender->socket.transmit, at) =
		(struct xdp_desc){ .addr = address, .len = command->size };
	xsk_ring_prod__submit(&sender->socket.transmit, 1);
	sender->pending++;
	return 1;
}

void send_by_sockets(const char *interface, const struct command *command,
		     struct lab_progress *progress)
{
	unsigned queues = command->queues ? command->queues : 1;
	__u64 end = command->plan.start_ns + (__u64)(command->seconds * LAB_NANOSECONDS), due_ns;

	if (queues > QUEUES)
		fail("so many queues", EINVAL);
	open_senders(interface, queues);
	while (now_ns() < end) {
		int some = 0;

		while (some < BATCH && lab_is_due(&command->plan, progress, &due_ns) &&
		       write_next(&senders[progress->flow % queues], command, progress, due_ns))
			some++;
		for (unsigned i = 0; i < queues; i++)
			if (senders[i].pending || !some)
				flush(&senders[i]);
	}
	/* What the kernel has not taken yet was never sent. */
	for (unsigned i = 0; i < queues; i++)
		for (int tries = 0; tries < 1000 && senders[i].spares < SOCKET_FRAMES; tries++)
			flush(&senders[i]);
}
