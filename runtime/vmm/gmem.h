// SPDX-License-Identifier: Apache-2.0
// gmem.h - guest memory: an address type of its own and the only way from it to host memory
#ifndef MAYFLY_VMM_GMEM_H
#define MAYFLY_VMM_GMEM_H

#include <stddef.h>
#include <stdint.h>

/* vhost-user allows 8 regions; the kvm engine needs 2. */
#define GMEM_MAX_REGIONS 8

/* A guest-physical address. A struct, so that nobody takes it for a host pointer. */
struct gpa {
	uint64_t v;
};

#define GPA(x) ((struct gpa){.v = (x)})

struct gmem_region {
	uint64_t gpa;
	uint64_t size;
	uint64_t uaddr; /* where the vhost-user front end has it; 0 for kvm */
	uint8_t *host;
	void *map; /* what to unmap, NULL if the region is borrowed */
	size_t map_len;
};

struct gmem {
	unsigned n;
	struct gmem_region region[GMEM_MAX_REGIONS];
};

/*
 * gmem_add() - takes over a mapped region; regions must not overlap or wrap.
 * Returns 0, -EINVAL, or -ENOSPC; on failure the mapping stays the caller's.
 */
int gmem_add(struct gmem *m, const struct gmem_region *r);

/* gmem_clear() - unmaps everything; pointers handed out before are dead. */
void gmem_clear(struct gmem *m);

/*
 * gmem_ptr() - host memory for [addr, addr + len), NULL unless all of it lies in one region.
 * The guest may change the bytes at any time: copy once, check the copy, use the copy.
 */
void *gmem_ptr(const struct gmem *m, struct gpa addr, uint64_t len);

/* gmem_read(), gmem_write() - copy out of and into the guest; 0 or -EFAULT, never in part. */
int gmem_read(const struct gmem *m, struct gpa addr, void *dst, size_t len);
int gmem_write(const struct gmem *m, struct gpa addr, const void *src, size_t len);

/* gmem_from_uaddr() - guest address of a front end's address; 0 or -EFAULT. */
int gmem_from_uaddr(const struct gmem *m, uint64_t uaddr, uint64_t len, struct gpa *out);

#endif
