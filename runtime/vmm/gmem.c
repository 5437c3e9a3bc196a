// SPDX-License-Identifier: Apache-2.0
// gmem.c - guest memory regions and the checked accessors
#include "vmm/gmem.h"

#include "base/checked.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

static bool ranges_overlap(uint64_t a, uint64_t alen, uint64_t b, uint64_t blen)
{
	return a < b + blen && b < a + alen;
}

int gmem_add(struct gmem *m, const struct gmem_region *r)
{
	uint64_t end;
	if (r->size == 0 || !r->host || add_overflows(r->gpa, r->size, &end) ||
	    add_overflows(r->uaddr, r->size, &end))
		return -EINVAL;
	for (unsigned i = 0; i < m->n; i++)
		if (ranges_overlap(r->gpa, r->size, m->region[i].gpa, m->region[i].size))
			return -EINVAL;
	if (m->n == GMEM_MAX_REGIONS)
		return -ENOSPC;
	m->region[m->n++] = *r;
	return 0;
}

void gmem_clear(struct gmem *m)
{
	for (unsigned i = 0; i < m->n; i++)
		if (m->region[i].map)
			munmap(m->region[i].map, m->region[i].map_len);
	m->n = 0;
}

void *gmem_ptr(const struct gmem *m, struct gpa addr, uint64_t len)
{
	for (unsigned i = 0; i < m->n; i++) {
		const struct gmem_region *r = &m->region[i];
		if (addr.v >= r->gpa && range_inside(addr.v - r->gpa, len, r->size))
			return r->host + (addr.v - r->gpa);
	}
	return NULL;
}

int gmem_read(const struct gmem *m, struct gpa addr, void *dst, size_t len)
{
	const void *src = gmem_ptr(m, addr, len);
	if (!src)
		return -EFAULT;
	memcpy(dst, src, len);
	return 0;
}

int gmem_write(const struct gmem *m, struct gpa addr, const void *src, size_t len)
{
	void *dst = gmem_ptr(m, addr, len);
	if (!dst)
		return -EFAULT;
	memcpy(dst, src, len);
	return 0;
}

int gmem_from_uaddr(const struct gmem *m, uint64_t uaddr, uint64_t len, struct gpa *out)
{
	for (unsigned i = 0; i < m->n; i++) {
		const struct gmem_region *r = &m->region[i];
		if (uaddr >= r->uaddr && range_inside(uaddr - r->uaddr, len, r->size)) {
			*out = GPA(r->gpa + (uaddr - r->uaddr));
			return 0;
		}
	}
	return -EFAULT;
}
