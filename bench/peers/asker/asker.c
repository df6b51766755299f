// SPDX-License-Identifier: Apache-2.0
// asker tcp|http|udp|ping SECONDS ADDRESS: asks 250 addresses from ADDRESS on, at ports 80 to 83,
// a thousand questions a second on beats of 50 ms, as the director's checks are asked, by the
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

enum { ADDRESSES = 250, PORTS = 4, FIRST_PORT = 80, BEAT_MILLISECONDS = 50, POOL = 64 };
enum { CROWD = 8, GATHERING_MICROSECONDS = 500, DESCRIPTORS = 4096 };
enum phase { NOTHING, CONNECTING, LISTENING };

static const char request[] = "GET / HTTP/1.0\r\nHost: x\r\n\r\n";
static int poller, is_stream, is_http, is_ping;
static int pool[POOL], pooled;
static long asked, answered, under_way;
/* What each descriptor waits for. */
static enum phase phases[DESCRIPTORS];

static double seconds_of(clockid_t clock)
{
	struct timespec time;
	clock_gettime(clock, &time);
	return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static uint16_t checksum_of(const uint16_t *words, size_t count)
{
	uint32_t sum = 0;
	while (count--)
		sum += *words++;
	sum = (sum >> 16) + (sum & 0xffff);
	return (uint16_t)~(sum + (sum >> 16));
}

static int made_socket(void)
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

/* Watched until it is closed; a stream's changes are told once. */
static int fresh_socket(void)
{
	int descriptor = made_socket();
	struct epoll_event event = {.events = is_stream ? EPOLLIN | EPOLLOUT | EPOLLET : EPOLLIN};
	event.data.fd = descriptor;
	if (descriptor < 0 || descriptor >= DESCRIPTORS ||
	    epoll_ctl(poller, EPOLL_CTL_ADD, descriptor, &event)) {
		perror("asker: socket");
		exit(1);
	}
	return descriptor;
}

static void ask(uint32_t first, int number)
{
	struct sockaddr_in name = {.sin_family = AF_INET};
	name.sin_addr.s_addr = htonl(first + (uint32_t)(number % ADDRESSES));
	name.sin_port = htons((uint16_t)(FIRST_PORT + number / ADDRESSES % PORTS));
	int descriptor = pooled ? pool[--pooled] : fresh_socket();
	asked++;
	if (connect(descriptor, (struct sockaddr *)&name, sizeof(name)) && errno != EINPROGRESS) {
		perror("connect");
		close(descriptor);
		return;
	}
	under_way++;
	phases[descriptor] = is_stream ? CONNECTING : LISTENING;
	struct icmphdr echo = {.type = ICMP_ECHO, .un.echo.id = htons((uint16_t)number)};
	echo.checksum = checksum_of((uint16_t *)&echo, sizeof(echo) / 2);
	if (is_ping)
		send(descriptor, &echo, sizeof(echo), MSG_NOSIGNAL);
	else if (!is_stream)
		send(descriptor, "x", 1, MSG_NOSIGNAL);
}

static void finish(int descriptor)
{
	struct sockaddr nobody = {.sa_family = AF_UNSPEC};
	phases[descriptor] = NOTHING;
	under_way--;
	if (is_stream && pooled < POOL && !connect(descriptor, &nobody, sizeof(nobody)))
		pool[pooled++] = descriptor;
	else
		close(descriptor);
}

static void proceed(struct epoll_event event)
{
	char answer[2048];
	int descriptor = event.data.fd;
	if (phases[descriptor] == NOTHING)
		return;
	if (event.events & (EPOLLERR | EPOLLHUP))
		return finish(descriptor);
	if (is_http && phases[descriptor] == CONNECTING) {
		send(descriptor, request, sizeof(request) - 1, MSG_NOSIGNAL);
		phases[descriptor] = LISTENING;
		return;
	}
	ssize_t octets = phases[descriptor] == CONNECTING
		? 1 : recv(descriptor, answer, sizeof(answer), 0);
	if (octets < 0 && errno == EAGAIN)
		return;
	answered += octets > 0;
	finish(descriptor);
}

/* What comes soon after the first of a crowd's answers is taken with it. */
static int gather(struct epoll_event *events, int room, int wait)
{
	int is_crowd = under_way >= CROWD, ready = epoll_wait(poller, events, room, wait);
	if (ready <= 0 || ready >= room || !is_crowd)
		return ready;
	usleep(GATHERING_MICROSECONDS);
	int more = epoll_wait(poller, events + ready, room - ready, 0);
	return ready + (more > 0 ? more : 0);
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
		struct epoll_event events[128];
		int ready = gather(events, 128, (int)((beat - now) * 1e3) + 1);
		for (int each = 0; each < ready; each++)
			proceed(events[each]);
	}
	processor = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - processor;
	printf("%ld %ld %.3f\n", asked, answered, 100 * processor / (now - start));
	return 0;
}
