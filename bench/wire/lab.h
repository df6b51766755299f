/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only OR BSD-2-Clause */
/* What the station, its eBPF program and the C peers agree on: addresses, and records of maps. */
#ifndef MARTINET_BENCH_LAB_H
#define MARTINET_BENCH_LAB_H

#include <linux/types.h>

/* 192.168.2.149 and fd00:2::149, UDP. */
#define LAB_VIP4 0xc0a80295u
#define LAB_VIP6_HIGH 0xfd00000200000000ull
#define LAB_VIP6_LOW 0x0149ull
#define LAB_PORT 4000
/* TCP services of the tcp room on the same VIP; the last is what SYN floods aim at. */
#define LAB_HTTP_PORT 80
#define LAB_IPERF_PORT 5201
#define LAB_FLOOD_PORT 81
/* The clients: 10.x.x.x and fd00:10::x. */
#define LAB_CLIENT4 0x0a000000u
#define LAB_CLIENT6_HIGH 0xfd00001000000000ull
#define LAB_PORTS_PER_CLIENT 60000
#define LAB_FIRST_PORT 1024

/*
 * Real server n has the MAC address 02:00:00:00:01:n. Requests bear that of the first one as their
 * source, so that a peer that swaps addresses sends to a real server too.
 */
#define LAB_FIRST_REAL_SERVER 151
#define LAB_REAL_SERVERS 2
#define LAB_DIRECTOR_MAC { 2, 0, 0, 0, 2, 0xd1 }
#define LAB_REAL_SERVER_MAC(n) { 2, 0, 0, 0, 1, LAB_FIRST_REAL_SERVER + (n) }
#define LAB_DIRECTOR_MAC { 2, 0, 0, 0, 2, 0xd1 }

/* Offsets into frames without VLAN tags. */
#define LAB_UDP4 34
#define LAB_UDP6 54
#define LAB_UDP_BYTES 8
/* At the start of the payload: when the frame was due, and its number. */
struct lab_stamp {
	__u64 due_ns; /* CLOCK_MONOTONIC */
	__u64 number;
};
#define LAB_SMALLEST_FRAME4 60
#define LAB_SMALLEST_FRAME6 78

/* What to send. */
struct lab_plan {
	__u64 start_ns; /* CLOCK_MONOTONIC */
	__u64 rate;	/* frames per second; 0: as many as go */
	__u64 count;	/* frames in all */
	__u32 flows;
	__u32 family; /* 4 or 6 */
	__u32 vip4;   /* where SYNs go; UDP goes to the VIPs above */
	__u8 destination[6];
	__u8 syn; /* TCP SYNs, each from an address of its own: flows is how many there are */
	__u8 zero[5];
};

/* How far it is. */
struct lab_progress {
	__u64 sent;
	__u64 due; /* frames due when the clock was last read */
	__u64 digest;
	__u32 flow; /* of the next frame */
	__u32 zero;
};

/* Two powers of two from one bucket of 64 to the next: values to 1.6 percent, up to 2^31 ns. */
#define LAB_BUCKETS (27 * 64)

/* What came back, per CPU. */
struct lab_arrivals {
	__u64 real_servers[LAB_REAL_SERVERS];
	__u64 stray; /* none of ours: neighbour discovery and the like */
	__u64 digest;
	__u64 longest_ns;
	__u64 buckets[LAB_BUCKETS];
};

_Static_assert(sizeof(struct lab_plan) == 48, "map value layout");
_Static_assert(sizeof(struct lab_progress) == 32, "map value layout");

/* Order does not count, contents do. */
static inline __attribute__((always_inline)) __u64 lab_digest(__u32 client, __u32 ports,
							       __u64 number)
{
	__u64 word = ((__u64)client << 32 | ports) ^ number * 0x9e3779b97f4a7c15ull;

	word ^= word >> 32;
	return word * 0xd6e8feb86659fd93ull;
}

#endif
