/* SPDX-License-Identifier: Apache-2.0 */
/* An AF_XDP socket in copy mode as Martinet opens one: for the station's sender and the C peers. */
#ifndef MARTINET_BENCH_SOCKET_H
#define MARTINET_BENCH_SOCKET_H

#include <xdp/xsk.h>

/* As in Sources/DataPlane/Port/QueueSocket.swift. */
#define SOCKET_FRAMES 16384
#define SOCKET_RECEIVE 16384
#define SOCKET_TRANSMIT 2048
#define SOCKET_CHUNK 2048
#define SOCKET_BUDGET 256

struct lab_socket {
	__u8 *frames;
	struct xsk_umem *umem;
	struct xsk_socket *socket;
	struct xsk_ring_prod fill, transmit;
	struct xsk_ring_cons completion, receive;
	int descriptor;
};

/* Binds without a program; all frames are the caller's. Returns 0 or an errno. */
int lab_socket_open(struct lab_socket *socket, const char *interface, unsigned queue);

#endif
