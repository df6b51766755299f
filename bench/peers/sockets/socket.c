/* SPDX-License-Identifier: Apache-2.0 */
#include "socket.h"

#include <errno.h>
#include <linux/if_xdp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <xdp/libxdp.h>

/* Linux 6.17; Debian 12's headers are older. */
#ifndef XDP_MAX_TX_SKB_BUDGET
#define XDP_MAX_TX_SKB_BUDGET 9
#endif

int lab_socket_open(struct lab_socket *s, const char *interface, unsigned queue)
{
	struct xsk_umem_config memory = { .fill_size = SOCKET_FRAMES,
					  .comp_size = SOCKET_FRAMES,
					  .frame_size = SOCKET_CHUNK };
	struct xsk_socket_config rings = { .rx_size = SOCKET_RECEIVE,
					   .tx_size = SOCKET_TRANSMIT,
					   .libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD,
					   .bind_flags = XDP_USE_NEED_WAKEUP | XDP_COPY };
	int budget = SOCKET_BUDGET, bytes = SOCKET_FRAMES * SOCKET_CHUNK, status;

	memset(s, 0, sizeof(*s));
	s->frames = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (s->frames == MAP_FAILED)
		return errno;
	madvise(s->frames, bytes, MADV_HUGEPAGE);
	memset(s->frames, 0, bytes);
	status = xsk_umem__create(&s->umem, s->frames, bytes, &s->fill, &s->completion, &memory);
	if (!status)
		status = xsk_socket__create(&s->socket, interface, queue, s->umem, &s->receive,
					    &s->transmit, &rings);
	if (status)
		return -status;
	s->descriptor = xsk_socket__fd(s->socket);
	/* Refused by kernels that have no such budget, which then is 32. */
	setsockopt(s->descriptor, SOL_XDP, XDP_MAX_TX_SKB_BUDGET, &budget, sizeof(budget));
	setsockopt(s->descriptor, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes));
	return 0;
}
