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

/* A taken-over fs process must not make us read from a device or a pipe, or hold a way to write. */
static bool readable_file(int fd)
{
	struct stat st;
	int fl = fcntl(fd, F_GETFL);
	return fl >= 0 && (fl & O_ACCMODE) == O_RDONLY && !(fl & O_PATH) && fstat(fd, &st) == 0 &&
	       S_ISREG(st.st_mode);
}

int fs_handle_add(struct fs_handles *t, int fd, uint64_t node, uint64_t *fh)
{
	if (!readable_file(fd))
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
	t->slot[i].node = node;
	t->slot[i].fd_plus1 = fd + 1;
	t->open++;
	*fh = ((uint64_t)t->slot[i].gen << 32) | i;
	return 0;
}

static struct fs_handle *handle_get(const struct fs_handles *t, uint64_t node, uint64_t fh)
{
	uint32_t i = (uint32_t)fh;
	if (i >= t->used)
		return NULL;
	struct fs_handle *h = &t->slot[i];
	return h->fd_plus1 > 0 && h->node == node && h->gen == (uint32_t)(fh >> 32) ? h : NULL;
}

int fs_handle_fd(const struct fs_handles *t, uint64_t node, uint64_t fh)
{
	const struct fs_handle *h = handle_get(t, node, fh);
	return h ? h->fd_plus1 - 1 : -EBADF;
}

static void handle_free(struct fs_handles *t, struct fs_handle *h)
{
	close(h->fd_plus1 - 1);
	h->fd_plus1 = 0;
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
		if (t->slot[i].fd_plus1 > 0)
			handle_free(t, &t->slot[i]);
}
