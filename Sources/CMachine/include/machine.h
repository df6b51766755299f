/* SPDX-License-Identifier: Apache-2.0 */
/* What Swift has no word for: prefetch, memory behind a file, pinned threads, eventfd. */
#ifndef MARTINET_MACHINE_H
#define MARTINET_MACHINE_H

#include <stddef.h>
#include <sys/eventfd.h>

/* Start loading the cache line at `address` for a read, into every level. */
static inline __attribute__((always_inline)) void machine_prefetch(const void *address)
{
	__builtin_prefetch(address, 0, 3);
}

/*
 * A new memfd of `bytes`, none of them there yet, close-on-exec; from huge pages if `huge`.
 * Returns the descriptor, or -1 with errno. memfd_create hides behind _GNU_SOURCE.
 */
int machine_memory_file(const char *name, size_t bytes, int huge);

/*
 * Name and pin the calling thread. Returns 0 or an errno.
 */
int machine_pin_thread(const char *name, int cpu);

/*
 * The CPUs this process may run on, ascending, at most `limit` of them. Returns how many, or -1
 * with errno.
 */
int machine_allowed_cpus(int *cpus, int limit);

#endif
