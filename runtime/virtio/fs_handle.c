// SPDX-License-Identifier: Apache-2.0
// fs_handle.c - bounded table of open files
#include "virtio/fs_handle.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int fs_handle_init(struct fs_handles *t, uint32_t limit)
{
	*t = (struct fs_handles){.limit = limit};
	t->slot = calloc(limit ? limit : 1, sizeof(*t->slot));
	return t->slot ? 0 : -ENOMEM;
}

void fs_handle_destroy(struct fs_handles *t)
{
	fs_handle_close_all(t);
	free(t->slot);
	*t = (struct fs_handles){0};
}

/*
 * A taken-over fs process must not make us read from a device or a pipe, or hold a way to write
 * that the guest has not asked for. With O_APPEND pwrite() would ignore the offset.
 */
static bool right_file(int fd, int access)
{
	struct stat st;
	int fl = fcntl(fd, F_GETFL);
	return fl >= 0 && (fl & O_ACCMODE) == access && !(fl & (O_PATH | O_APPEND)) &&
	       fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

int fs_handle_add(struct fs_handles *t, const struct fs_handle *h, int access, uint64_t *fh)
{
	bool none = h->kept && access == O_WRONLY;
	if (none ? h->fd >= 0 : !right_file(h->fd, h->kept ? O_RDONLY : access))
		return -EPROTO;
	uint32_t i;
	if (t->free_head != 0) {
		i = t->free_head - 1;
		t->free_head = t->slot[i].next_free;
	} else if (t->used < t->limit) {
		i = t->used++;
		t->slot[i].gen = 1;
	} else {
		return -ENFILE;
	}
	uint32_t gen = t->slot[i].gen;
	t->slot[i] = *h;
	t->slot[i].gen = gen;
	t->slot[i].used = true;
	t->open++;
	*fh = ((uint64_t)gen << 32) | i;
	return 0;
}

static struct fs_handle *handle_get(const struct fs_handles *t, uint64_t node, uint64_t fh)
{
	uint32_t i = (uint32_t)fh;
	if (i >= t->used)
		return NULL;
	struct fs_handle *h = &t->slot[i];
	return h->used && h->node == node && h->gen == (uint32_t)(fh >> 32) ? h : NULL;
}

const struct fs_handle *fs_handle_get(const struct fs_handles *t, uint64_t node, uint64_t fh)
{
	return handle_get(t, node, fh);
}

int fs_handle_fd(const struct fs_handles *t, uint64_t node, uint64_t fh)
{
	const struct fs_handle *h = handle_get(t, node, fh);
	return h && h->fd >= 0 ? h->fd : -EBADF;
}

static void handle_free(struct fs_handles *t, struct fs_handle *h)
{
	if (h->fd >= 0)
		close(h->fd);
	h->fd = -1;
	h->used = false;
	h->gen++;
	h->next_free = t->free_head;
	t->free_head = (uint32_t)(h - t->slot) + 1;
	t->open--;
}

int fs_handle_close(struct fs_handles *t, uint64_t node, uint64_t fh)
{
	struct fs_handle *h = handle_get(t, node, fh);
	if (!h)
		return -EBADF;
	handle_free(t, h);
	return 0;
}

void fs_handle_close_all(struct fs_handles *t)
{
	for (uint32_t i = 0; i < t->used; i++)
		if (t->slot[i].used)
			handle_free(t, &t->slot[i]);
}
