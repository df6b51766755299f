// SPDX-License-Identifier: Apache-2.0
// asker tcp|http|udp|ping SECONDS ADDRESS: asks 250 addresses from ADDRESS on, at ports 80 to 83,
// a thousand questions a second on beats of 25 ms, as the director's checks are asked, by the
// system calls that takes and nothing else. Prints questions, answers, and percent of a processor.
#include <arpa/inet.h>
#include <errno.h>
#include <linux/icmp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ADDRESSES = 250, PORTS = 4, FIRST_PORT = 80, BEAT_MILLISECONDS = 25, POOL = 64 };

static const char request[] = "GET / HTTP/1.0\r\nHost: x\r\n\r\n";
static int poller, is_stream, is_http, is_ping;
static int pool[POOL], pooled;
static long asked, answered;

static double seconds_of(clockid_t clock)
{
	struct timespec time;
	clock_gettime(clock, &time);
	return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static void expect(int descriptor, uint32_t events, int operation)
{
	struct epoll_event event = {.events = events | EPOLLONESHOT};
	event.data.u64 = (uint64_t)events << 32 | (uint32_t)descriptor;
	if (epoll_ctl(poller, operation, descriptor, &event))
		perror("epoll_ctl");
}

static uint16_t checksum_of(const uint16_t *words, size_t count)
{
	uint32_t sum = 0;
	while (count--)
		sum += *words++;
	sum = (sum >> 16) + (sum & 0xffff);
	return (uint16_t)~(sum + (sum >> 16));
}

static int fresh_socket(void)
{
	int flags = SOCK_NONBLOCK | SOCK_CLOEXEC;
	if (is_stream)
		return socket(AF_INET, SOCK_STREAM | flags, 0);
	if (!is_ping)
		return socket(AF_INET, SOCK_DGRAM | flags, 0);
	int descriptor = socket(AF_INET, SOCK_RAW | flags, IPPROTO_ICMP);
	uint32_t others = ~(1U << ICMP_ECHOREPLY);
	setsockopt(descriptor, SOL_RAW, ICMP_FILTER, &others, sizeof(others));
	return descriptor;
}

static void ask(uint32_t first, int number)
{
	struct sockaddr_in name = {.sin_family = AF_INET};
	name.sin_addr.s_addr = htonl(first + (uint32_t)(number % ADDRESSES));
	name.sin_port = htons((uint16_t)(FIRST_PORT + number / ADDRESSES % PORTS));
	int operation = pooled ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
	int descriptor = pooled ? pool[--pooled] : fresh_socket();
	asked++;
	if (connect(descriptor, (struct sockaddr *)&name, sizeof(name)) && errno != EINPROGRESS) {
		perror("connect");
		close(descriptor);
		return;
	}
	struct icmphdr echo = {.type = ICMP_ECHO, .un.echo.id = htons((uint16_t)number)};
	echo.checksum = checksum_of((uint16_t *)&echo, sizeof(echo) / 2);
	if (is_ping)
		send(descriptor, &echo, sizeof(echo), MSG_NOSIGNAL);
	else if (!is_stream)
		send(descriptor, "x", 1, MSG_NOSIGNAL);
	expect(descriptor, is_stream ? EPOLLOUT : EPOLLIN, operation);
}

static void finish(int descriptor)
{
	struct sockaddr nobody = {.sa_family = AF_UNSPEC};
	if (is_stream && pooled < POOL && !connect(descriptor, &nobody, sizeof(nobody)))
		pool[pooled++] = descriptor;
	else
		close(descriptor);
}

static void proceed(struct epoll_event event)
{
	char answer[2048];
	int descriptor = (int)(uint32_t)event.data.u64;
	if (event.events & (EPOLLERR | EPOLLHUP))
		return finish(descriptor);
	if (is_http && event.data.u64 >> 32 == EPOLLOUT) {
		send(descriptor, request, sizeof(request) - 1, MSG_NOSIGNAL);
		return expect(descriptor, EPOLLIN, EPOLL_CTL_MOD);
	}
	if (event.data.u64 >> 32 == EPOLLOUT || recv(descriptor, answer, sizeof(answer), 0) > 0)
		answered++;
	finish(descriptor);
}

int main(int count, char **words)
{
	if (count != 4) {
		fprintf(stderr, "usage: asker tcp|http|udp|ping SECONDS ADDRESS\n");
		return 64;
	}
	is_http = !strcmp(words[1], "http");
	is_ping = !strcmp(words[1], "ping");
	is_stream = is_http || !strcmp(words[1], "tcp");
	uint32_t first = ntohl(inet_addr(words[3]));
	poller = epoll_create1(EPOLL_CLOEXEC);
	double start = seconds_of(CLOCK_MONOTONIC), end = start + atof(words[2]), beat = start, now;
	double processor = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
	while ((now = seconds_of(CLOCK_MONOTONIC)) < end) {
		for (; beat <= now; beat += BEAT_MILLISECONDS * 1e-3)
			for (int each = 0; each < BEAT_MILLISECONDS; each++)
				ask(first, (int)(asked % (ADDRESSES * PORTS)));
		struct epoll_event events[64];
		int wait = (int)((beat - now) * 1e3) + 1;
		int ready = epoll_wait(poller, events, 64, wait);
		for (int each = 0; each < ready; each++)
			proceed(events[each]);
	}
	processor = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - processor;
	printf("%ld %ld %.3f\n", asked, answered, 100 * processor / (now - start));
	return 0;
}
