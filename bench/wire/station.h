/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of the station: station.c takes commands, sender.c has the AF_XDP sockets. */
#ifndef MARTINET_BENCH_STATION_H
#define MARTINET_BENCH_STATION_H

#include <time.h>

static inline unsigned long long now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

#define lab_now_ns() now_ns()
#include "frame.h"

/* Who makes the frames: eBPF, AF_XDP sockets, or another process, and the station only takes. */
enum source { SOURCE_LIVE, SOURCE_SOCKET, SOURCE_NONE };

struct command {
	struct lab_plan plan;
	double seconds;
	unsigned size;	   /* octets of a frame, without its checksum */
	unsigned batch;	   /* frames that a live run makes at a time */
	unsigned queues;   /* sockets to send from: one per queue */
	unsigned settle_ms; /* without an arrival the run is over */
	enum source source;
};

/* Says what failed and why, and ends the process. */
void fail(const char *what, int code);

/* The frame of a plan before lab_write has been over it. */
void write_template(__u8 *frame, const struct command *command);

/* The smallest value of a bucket. */
unsigned long long bucket_ns(unsigned bucket);

/* Sends by AF_XDP, one socket per queue, flow f from queue f % queues, for command->seconds. */
void send_by_sockets(const char *interface, const struct command *command,
		     struct lab_progress *progress);

#endif
