// SPDX-License-Identifier: Apache-2.0
// answerer: the real servers of the checks room. Answers on ports 80 to 83 until it is killed:
// takes TCP connections, sends an HTTP answer to whoever sends something, and datagrams back.
#define _GNU_SOURCE
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FIRST_PORT = 80, LAST_PORT = 83, BACKLOG = 1024 };
enum kind { LISTENER, CONNECTION, DATAGRAMS };

static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
static int poller;

static void watch(int descriptor, enum kind kind)
{
	struct epoll_event event = {.events = EPOLLIN};
	event.data.u64 = (uint64_t)kind << 32 | (uint32_t)descriptor;
	if (epoll_ctl(poller, EPOLL_CTL_ADD, descriptor, &event))
		perror("epoll_ctl");
}

static int open_port(uint16_t port, int type)
{
	struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(port)};
	int descriptor = socket(AF_INET, type | SOCK_NONBLOCK, 0), yes = 1;
	setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (type == SOCK_DGRAM)
		setsockopt(descriptor, IPPROTO_IP, IP_PKTINFO, &yes, sizeof(yes));
	if (bind(descriptor, (struct sockaddr *)&name, sizeof(name)))
		return -1;
	return type == SOCK_STREAM && listen(descriptor, BACKLOG) ? -1 : descriptor;
}

/* From the address that was asked, which the control message names both ways (ip(7)). */
static int send_back(int descriptor)
{
	char octets[2048], control[128];
	struct sockaddr_in name;
	struct iovec part = {octets, sizeof(octets)};
	struct msghdr message = {.msg_name = &name, .msg_namelen = sizeof(name), .msg_iov = &part,
				 .msg_iovlen = 1, .msg_control = control,
				 .msg_controllen = sizeof(control)};
	ssize_t count = recvmsg(descriptor, &message, 0);
	if (count < 0)
		return 0;
	part.iov_len = (size_t)count;
	return sendmsg(descriptor, &message, 0) >= 0;
}

static void serve(enum kind kind, int descriptor)
{
	char octets[2048];
	int connection;
	switch (kind) {
	case LISTENER:
		while ((connection = accept4(descriptor, NULL, NULL, SOCK_NONBLOCK)) >= 0)
			watch(connection, CONNECTION);
		break;
	case CONNECTION:
		if (recv(descriptor, octets, sizeof(octets), 0) > 0)
			send(descriptor, answer, sizeof(answer) - 1, MSG_NOSIGNAL);
		close(descriptor);
		break;
	case DATAGRAMS:
		while (send_back(descriptor))
			;
		break;
	}
}

int main(void)
{
	poller = epoll_create1(EPOLL_CLOEXEC);
	for (uint16_t port = FIRST_PORT; port <= LAST_PORT; port++) {
		int listener = open_port(port, SOCK_STREAM);
		int datagrams = open_port(port, SOCK_DGRAM);
		if (listener < 0 || datagrams < 0) {
			perror("answerer");
			return 1;
		}
		watch(listener, LISTENER);
		watch(datagrams, DATAGRAMS);
	}
	puts("ready");
	fflush(stdout);
	for (;;) {
		struct epoll_event events[64];
		int ready = epoll_wait(poller, events, 64, -1);
		for (int each = 0; each < ready; each++)
			serve((enum kind)(events[each].data.u64 >> 32),
			      (int)(uint32_t)events[each].data.u64);
	}
}
