// SPDX-License-Identifier: Apache-2.0
// boot_rig.c - guest RAM and kernel files for the tests of the loaders
#include "lib/boot_rig.h"

#include "base/checked.h"
#include "base/io.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096u

static void add(struct gmem *m, uint64_t gpa, uint64_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	/* Huge pages would be there as a whole after one touch. */
	if (p == MAP_FAILED || madvise(p, size, MADV_NOHUGEPAGE) < 0)
		abort();
	struct gmem_region r = {.gpa = gpa, .size = size, .host = p, .map = p, .map_len = size};
	if (gmem_add(m, &r) < 0)
		abort();
}

void boot_rig_ram(struct gmem *m, uint64_t size)
{
	m->n = 0;
	add(m, 0, MIN(size, 3 * GIB));
	if (size > 3 * GIB)
		add(m, 4 * GIB, size - 3 * GIB);
}

size_t boot_rig_touched(const struct gmem *m, uint64_t from, uint64_t to)
{
	unsigned char there[1024];
	size_t n = 0;
	while (from < to) {
		size_t len = MIN(to - from, sizeof(there) * PAGE);
		uint8_t *p = gmem_ptr(m, GPA(from), len);
		if (!p || mincore(p, len, there) < 0)
			abort();
		for (size_t i = 0; i < len / PAGE; i++)
			n += there[i] & 1;
		from += len;
	}
	return n;
}

bool boot_rig_zero(const struct gmem *m, uint64_t from, size_t len)
{
	const uint8_t *p = gmem_ptr(m, GPA(from), len);
	if (!p)
		return false;
	for (size_t i = 0; i < len; i++)
		if (p[i] != 0)
			return false;
	return true;
}

int boot_rig_file(const void *data, size_t len)
{
	int fd = memfd_create("file", MFD_CLOEXEC);
	if (fd < 0 || io_write_full(fd, data, len) < 0)
		abort();
	return fd;
}

int boot_rig_open(const char *path, uint64_t *size)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -1;
	*size = (uint64_t)st.st_size;
	return fd;
}

const char *boot_rig_verdict(const struct gmem *m, const struct boot_kernel *k)
{
	uint64_t ram = m->region[0].size;
	if (k->start < MIB || k->start >= k->end || k->end > ram)
		return "the kernel lies outside of the RAM";
	if (k->entry < k->start || k->entry >= k->end)
		return "the entry lies outside of the kernel";
	if (k->protocol != BOOT_LINUX64 && k->protocol != BOOT_PVH)
		return "no protocol";
	if (k->setup_header_len > BOOT_SETUP_HEADER_MAX || k->cmdline_max > 4095)
		return "a length";
	uint64_t first = k->start / PAGE * PAGE;
	uint64_t behind = (k->end + PAGE - 1) / PAGE * PAGE;
	if (boot_rig_touched(m, 0, first) != 0 || boot_rig_touched(m, behind, ram) != 0)
		return "memory outside of the kernel is touched";
	if (!boot_rig_zero(m, first, k->start - first) ||
	    !boot_rig_zero(m, k->end, behind - k->end))
		return "bytes beside the kernel are written";
	return NULL;
}
