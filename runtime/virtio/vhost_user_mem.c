// SPDX-License-Identifier: Apache-2.0
// vhost_user_mem.c - memory table checks: sealed memfd, regions inside, page aligned
#include "virtio/vhost_user_mem.h"

#include "base/checked.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

static int region_map(struct gmem *mem, const struct vu_mem_region *r, int fd)
{
	struct stat st;
	int seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || !(seals & F_SEAL_SHRINK) || fstat(fd, &st) < 0)
		return -EPERM;
	/* Without free huge pages a touch would be SIGBUS, whatever the size of the file. */
	struct statfs fs;
	if (fstatfs(fd, &fs) < 0 || fs.f_type == HUGETLBFS_MAGIC)
		return -EPERM;
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	/* Ring pointers are aligned as their guest addresses are only if the regions are. */
	if (r->mmap_offset % page != 0 || r->gpa % page != 0 || r->size == 0 ||
	    !range_inside(r->mmap_offset, r->size, (uint64_t)st.st_size))
		return -EINVAL;
	void *p = mmap(NULL, r->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd,
		       (off_t)r->mmap_offset);
	if (p == MAP_FAILED)
		return -errno;
	/* Guest memory has no place in a core file. */
	madvise(p, r->size, MADV_DONTDUMP);
	struct gmem_region g = {
		.gpa = r->gpa,
		.size = r->size,
		.uaddr = r->uaddr,
		.host = p,
		.map = p,
		.map_len = r->size,
	};
	int ret = gmem_add(mem, &g);
	if (ret < 0)
		munmap(p, r->size);
	return ret;
}

int vhost_user_mem_map(struct gmem *mem, const struct vu_msg *m, const int *fds, size_t nfds)
{
	uint32_t n = m->mem.nregions;
	if (n == 0 || n > VU_MEM_MAX_REGIONS || n != nfds ||
	    m->size != 8 + n * sizeof(struct vu_mem_region))
		return -EPROTO;
	int ret = 0;
	for (uint32_t i = 0; ret == 0 && i < n; i++) {
		struct vu_mem_region r;
		memcpy(&r, &m->mem.region[i], sizeof(r));
		ret = region_map(mem, &r, fds[i]);
	}
	if (ret < 0)
		gmem_clear(mem);
	return ret;
}
