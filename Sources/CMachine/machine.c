/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "machine.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

int machine_memory_file(const char *name, size_t bytes, int huge)
{
	int descriptor = memfd_create(name, MFD_CLOEXEC | (huge ? MFD_HUGETLB : 0));

	if (descriptor < 0)
		return -1;
	/* A lack of memory is an error here, not a SIGBUS at the first touch. */
	if (fallocate(descriptor, 0, 0, (off_t)bytes) != 0) {
		int code = errno;

		close(descriptor);
		errno = code;
		return -1;
	}
	return descriptor;
}
