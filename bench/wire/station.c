/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The station at the far end of the wire. Reads one command a line, answers each with a line of
 * JSON: "source=live rate=500000 seconds=2 size=60 flows=1000 family=4 to=02:00:00:00:02:d1".
 * usage: station INTERFACE OBJECT
 */
#include "station.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

/* How often the arrivals are looked at when the last frame has been sent. */
#define LOOK_US 20000
/*
 * The generator's memory is set up meanwhile: after 5 ms it was not always, and late first frames
 * were a trial's p99.
 */
#define LEAD_NS 50000000
/* An alarm that comes before the call it is to end is lost, so it comes again. */
#define ALARM_US 10000

struct maps {
	int plans, progresses, arrivals;
};

void fail(const char *what, int code)
{
	fprintf(stderr, "station: %s: %s\n", what, strerror(code));
	exit(1);
}

static void on_alarm(int signal)
{
	(void)signal;
}

/* A VIP whose flood port gets SYNs; none: UDP. */
static void read_target(const char *value, struct lab_plan *plan)
{
	struct in_addr vip;

	plan->syn = inet_aton(value, &vip) != 0;
	plan->vip4 = plan->syn ? ntohl(vip.s_addr) : 0;
}

static enum source read_source(const char *value)
{
	if (!strcmp(value, "socket"))
		return SOURCE_SOCKET;
	if (!strcmp(value, "none"))
		return SOURCE_NONE;
	if (strcmp(value, "live"))
		fail(value, EINVAL);
	return SOURCE_LIVE;
}

static void read_command(char *line, struct command *command)
{
	static const __u8 director[6] = LAB_DIRECTOR_MAC;
	unsigned mac[6];

	*command = (struct command){ .seconds = 1, .size = LAB_SMALLEST_FRAME4, .batch = 64,
				      .settle_ms = 200 };
	command->plan = (struct lab_plan){ .flows = 1, .family = 4 };
	memcpy(command->plan.destination, director, 6);
	for (char *word = strtok(line, " \n"); word; word = strtok(NULL, " \n")) {
		char *value = strchr(word, '=');

		if (!value)
			fail(word, EINVAL);
		*value++ = 0;
		if (!strcmp(word, "source"))
			command->source = read_source(value);
		else if (!strcmp(word, "rate"))
			command->plan.rate = strtoull(value, NULL, 10);
		else if (!strcmp(word, "seconds"))
			command->seconds = strtod(value, NULL);
		else if (!strcmp(word, "size"))
			command->size = strtoul(value, NULL, 10);
		else if (!strcmp(word, "batch"))
			command->batch = strtoul(value, NULL, 10);
		else if (!strcmp(word, "settle_ms"))
			command->settle_ms = strtoul(value, NULL, 10);
		else if (!strcmp(word, "queues"))
			command->queues = strtoul(value, NULL, 10);
		else if (!strcmp(word, "flows"))
			command->plan.flows = strtoul(value, NULL, 10);
		else if (!strcmp(word, "syn_to"))
			read_target(value, &command->plan);
		else if (!strcmp(word, "family"))
			command->plan.family = strtoul(value, NULL, 10);
		else if (!strcmp(word, "to") && sscanf(value, "%x:%x:%x:%x:%x:%x", mac, mac + 1,
						       mac + 2, mac + 3, mac + 4, mac + 5) == 6)
			for (int i = 0; i < 6; i++)
				command->plan.destination[i] = (__u8)mac[i];
		else
			fail(word, EINVAL);
	}
	command->plan.count =
		command->plan.rate ? (__u64)(command->plan.rate * command->seconds) : ~0ull;
}

/* Signals after that time and ever again; 0: no more. */
static void set_alarm(double seconds)
{
	struct itimerval alarm = { .it_interval = { .tv_usec = seconds > 0 ? ALARM_US : 0 } };

	alarm.it_value.tv_sec = (time_t)seconds;
	alarm.it_value.tv_usec = (suseconds_t)((seconds - alarm.it_value.tv_sec) * 1e6);
	setitimer(ITIMER_REAL, &alarm, NULL);
}

/* Frames by BPF_PROG_TEST_RUN until the alarm. */
static void send_live(int program, const char *interface, const struct command *command)
{
	__u8 frame[2048];
	struct xdp_md context = { .data_end = command->size,
				  .ingress_ifindex = if_nametoindex(interface) };
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame, .data_size_in = command->size,
		    .ctx_in = &context, .ctx_size_in = sizeof(context), .repeat = 0x7fffffff,
		    .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = command->batch);
	int status;

	write_template(frame, command);
	set_alarm(command->seconds + LEAD_NS / 1e9 + 0.001);
	status = bpf_prog_test_run_opts(program, &options);
	set_alarm(0);
	if (status && status != -EINTR)
		fail("BPF_PROG_TEST_RUN with live frames (Linux 5.18)", -status);
}

static struct lab_arrivals read_arrivals(const struct maps *maps)
{
	int cpus = libbpf_num_possible_cpus();
	struct lab_arrivals *each = calloc(cpus, sizeof(*each)), all = { 0 };
	__u32 first = 0;

	if (!each || bpf_map_lookup_elem(maps->arrivals, &first, each))
		fail("reading the arrivals", errno);
	for (int cpu = 0; cpu < cpus; cpu++) {
		for (int i = 0; i < LAB_REAL_SERVERS; i++)
			all.real_servers[i] += each[cpu].real_servers[i];
		for (int i = 0; i < LAB_BUCKETS; i++)
			all.buckets[i] += each[cpu].buckets[i];
		all.stray += each[cpu].stray;
		all.digest += each[cpu].digest;
		if (each[cpu].longest_ns > all.longest_ns)
			all.longest_ns = each[cpu].longest_ns;
	}
	free(each);
	return all;
}

static __u64 taken(const struct lab_arrivals *arrivals)
{
	__u64 sum = 0;

	for (int i = 0; i < LAB_REAL_SERVERS; i++)
		sum += arrivals->real_servers[i];
	return sum;
}

/* Until all that was sent is back, or nothing has come for a while. */
static struct lab_arrivals settle(const struct maps *maps, __u64 sent, unsigned settle_ms)
{
	struct lab_arrivals now = read_arrivals(maps);
	__u64 before = 0;

	for (unsigned quiet_us = 0; taken(&now) < sent && quiet_us < settle_ms * 1000;) {
		before = taken(&now);
		usleep(LOOK_US);
		now = read_arrivals(maps);
		quiet_us = taken(&now) == before ? quiet_us + LOOK_US : 0;
	}
	return now;
}

static void report(const struct lab_arrivals *all, const struct lab_progress *progress,
		   double seconds)
{
	printf("{\"sent\": %llu, \"seconds\": %.6f, \"sent_digest\": \"%016llx\", "
	       "\"taken_digest\": \"%016llx\", \"stray\": %llu, \"longest_ns\": %llu, "
	       "\"real_servers\": [%llu, %llu], \"buckets\": {",
	       progress->sent, seconds, progress->digest, all->digest, all->stray,
	       all->longest_ns, all->real_servers[0], all->real_servers[1]);
	for (int i = 0, some = 0; i < LAB_BUCKETS; i++)
		if (all->buckets[i])
			printf("%s\"%llu\": %llu", some++ ? ", " : "", bucket_ns(i),
			       all->buckets[i]);
	printf("}}\n");
	fflush(stdout);
}

static void run(const struct maps *maps, int program, const char *interface,
		struct command *command)
{
	int cpus = libbpf_num_possible_cpus();
	struct lab_arrivals *none = calloc(cpus, sizeof(*none));
	struct lab_progress progress = { 0 };
	struct lab_arrivals arrivals;
	__u32 first = 0;
	double seconds;

	command->plan.start_ns = now_ns() + LEAD_NS;
	if (bpf_map_update_elem(maps->plans, &first, &command->plan, BPF_ANY) ||
	    bpf_map_update_elem(maps->progresses, &first, &progress, BPF_ANY) ||
	    bpf_map_update_elem(maps->arrivals, &first, none, BPF_ANY))
		fail("writing the plan", errno);
	free(none);
	if (command->source == SOURCE_SOCKET)
		send_by_sockets(interface, command, &progress);
	else if (command->source == SOURCE_LIVE)
		send_live(program, interface, command);
	else
		usleep(command->seconds * 1e6);
	seconds = (now_ns() - command->plan.start_ns) / 1e9;
	if (command->source == SOURCE_LIVE &&
	    bpf_map_lookup_elem(maps->progresses, &first, &progress))
		fail("reading the progress", errno);
	arrivals = settle(maps, command->source == SOURCE_NONE ? ~0ull : progress.sent,
			  command->settle_ms);
	report(&arrivals, &progress, seconds < command->seconds ? seconds : command->seconds);
}

int main(int count, char **arguments)
{
	struct sigaction action = { .sa_handler = on_alarm };
	struct bpf_object *object;
	struct maps maps;
	char line[256];
	int take, generate;
	LIBBPF_OPTS(bpf_link_create_opts, options, .flags = XDP_FLAGS_DRV_MODE);

	if (count != 3)
		return fprintf(stderr, "usage: station INTERFACE OBJECT\n"), 2;
	sigaction(SIGALRM, &action, NULL);
	object = bpf_object__open_file(arguments[2], NULL);
	if (!object || bpf_object__load(object))
		fail("loading the eBPF program", errno);
	take = bpf_program__fd(bpf_object__find_program_by_name(object, "take"));
	generate = bpf_program__fd(bpf_object__find_program_by_name(object, "generate"));
	maps.plans = bpf_object__find_map_fd_by_name(object, "plans");
	maps.progresses = bpf_object__find_map_fd_by_name(object, "progresses");
	maps.arrivals = bpf_object__find_map_fd_by_name(object, "arrivals");
	if (bpf_link_create(take, if_nametoindex(arguments[1]), BPF_XDP, &options) < 0)
		fail("attaching to the interface", errno);
	printf("{\"ready\": true}\n");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		struct command command;

		read_command(line, &command);
		run(&maps, generate, arguments[1], &command);
	}
	return 0;
}
