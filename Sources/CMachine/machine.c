/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "machine.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

int machine_memory_file(const char *name, size_t bytes, int huge)
{
	int descriptor = memfd_create(name, MFD_CLOEXEC | (huge ? MFD_HUGETLB : 0));

	if (descriptor < 0)
		return -1;
	if (ftruncate(descriptor, (off_t)bytes) != 0) {
		int code = errno;

		close(descriptor);
		errno = code;
		return -1;
	}
	return descriptor;
}

int machine_pin_thread(const char *name, int cpu)
{
	cpu_set_t set;

	pthread_setname_np(pthread_self(), name);
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

int machine_allowed_cpus(int *cpus, int limit)
{
	cpu_set_t set;
	int count = 0;

	if (sched_getaffinity(0, sizeof(set), &set) != 0)
		return -1;
	for (int cpu = 0; cpu < CPU_SETSIZE && count < limit; cpu++)
		if (CPU_ISSET(cpu, &set))
			cpus[count++] = cpu;
	return count;
}
