// SPDX-License-Identifier: Apache-2.0
// place.c - file pages into guest RAM: whole ones mapped, the rest copied
#include "boot/place.h"

#include "base/checked.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096u
#define MIB ((uint64_t)1 << 20)

int boot_file_size(int fd, const char *what, const char *name, uint64_t *size, struct err *e)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return err_errno(e, errno, "%s '%s': can't be looked at", what, name);
	if (!S_ISREG(st.st_mode) || st.st_size < 0)
		return err_set(e, EINVAL, "%s '%s' is not a regular file but a %s", what, name,
			       S_ISDIR(st.st_mode)    ? "directory"
			       : S_ISFIFO(st.st_mode) ? "pipe"
			       : S_ISSOCK(st.st_mode) ? "socket"
						      : "device");
	*size = (uint64_t)st.st_size;
	return 0;
}

int boot_read(int fd, uint64_t off, void *buf, size_t len)
{
	uint8_t *p = buf;
	if (off > INT64_MAX || len > (uint64_t)INT64_MAX - off)
		return -ENODATA;
	while (len > 0) {
		ssize_t n = pread(fd, p, len, (off_t)off);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ENODATA;
		p += n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

uint64_t boot_low_ram(const struct gmem *m)
{
	for (unsigned i = 0; i < m->n; i++)
		if (m->region[i].gpa == 0)
			return m->region[i].size;
	return 0;
}

uint64_t boot_ram_size(const struct gmem *m)
{
	uint64_t sum = 0;
	for (unsigned i = 0; i < m->n; i++)
		sum += m->region[i].size;
	return sum;
}

static uint64_t mib_up(uint64_t bytes)
{
	return bytes / MIB + (bytes % MIB != 0);
}

int boot_check_fit(const struct gmem *m, const char *name, uint64_t end, struct err *e)
{
	if (end <= boot_low_ram(m))
		return 0;
	return err_set(e, ENOMEM,
		       "kernel '%s' needs at least %" PRIu64
		       " MiB of memory, the machine has %" PRIu64 " MiB",
		       name, mib_up(end), boot_ram_size(m) / MIB);
}

/* Pages of borrowed memory belong to somebody else's mapping: they are never replaced. */
static bool owned(const struct gmem *m, const uint8_t *p)
{
	for (unsigned i = 0; i < m->n; i++) {
		const struct gmem_region *r = &m->region[i];
		if (p >= r->host && p < r->host + r->size)
			return r->map != NULL;
	}
	return false;
}

static size_t to_page(const uint8_t *p)
{
	return -(uintptr_t)p % PAGE;
}

static int map_zeros(uint8_t *p, size_t len)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
	return mmap(p, len, PROT_READ | PROT_WRITE, flags, -1, 0) == MAP_FAILED ? -errno : 0;
}

/* 1: mapped, 0: this file can't be mapped, -errno: nothing is there any more. */
static int map_file(uint8_t *p, size_t len, int fd, uint64_t off)
{
	const int flags = MAP_PRIVATE | MAP_NORESERVE | MAP_FIXED;
	if (mmap(p, len, PROT_READ | PROT_WRITE, flags, fd, (off_t)off) != MAP_FAILED)
		return 1;
	/* A failed mmap() may have taken away what was there. */
	return map_zeros(p, len);
}

/* Only pages that lie in the file as a whole are mapped: a touch behind its end is SIGBUS. */
static int place_bytes(uint8_t *p, bool own, int fd, uint64_t off, size_t len, uint64_t *mapped,
		       uint64_t *copied)
{
	size_t head = to_page(p);
	size_t whole = len > head ? (len - head) / PAGE * PAGE : 0;
	int ret = 0;
	if (own && whole > 0 && (uintptr_t)p % PAGE == off % PAGE)
		ret = map_file(p + head, whole, fd, off + head);
	if (ret < 0)
		return ret;
	if (ret == 0) {
		*copied += len;
		return boot_read(fd, off, p, len);
	}
	*mapped += whole;
	*copied += len - whole;
	ret = boot_read(fd, off, p, head);
	size_t tail = head + whole;
	return ret < 0 ? ret : boot_read(fd, off + tail, p + tail, len - tail);
}

static int place_zeros(uint8_t *p, bool own, size_t len)
{
	size_t head = MIN(to_page(p), len);
	size_t whole = own ? (len - head) / PAGE * PAGE : 0;
	memset(p, 0, head);
	memset(p + head + whole, 0, len - head - whole);
	return whole > 0 ? map_zeros(p + head, whole) : 0;
}

int boot_place(struct gmem *m, struct gpa at, int fd, uint64_t off, uint64_t filesz, uint64_t memsz,
	       uint64_t *mapped, uint64_t *copied)
{
	struct stat st;
	if (filesz > memsz)
		return -EINVAL;
	if (memsz == 0)
		return 0;
	uint8_t *p = gmem_ptr(m, at, memsz);
	if (!p)
		return -EFAULT;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size < 0 || !range_inside(off, filesz, (uint64_t)st.st_size))
		return -ENODATA;
	bool own = owned(m, p);
	int ret = place_bytes(p, own, fd, off, filesz, mapped, copied);
	return ret < 0 ? ret : place_zeros(p + filesz, own, memsz - filesz);
}
