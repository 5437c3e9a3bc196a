// SPDX-License-Identifier: Apache-2.0
// fs_handle.h - files the guest has open: its number for each, our descriptor behind it
#ifndef MAYFLY_VIRTIO_FS_HANDLE_H
#define MAYFLY_VIRTIO_FS_HANDLE_H

#include <stdbool.h>
#include <stdint.h>

struct fs_handle {
	uint64_t node;	 /* the guest's id of the file */
	uint64_t remote; /* fs's own number of it, valid if kept */
	int32_t fd;	 /* -1: none, only with kept */
	bool used;
	bool kept;    /* fs holds what can write: writes go there */
	bool rw;      /* in a writable view */
	uint32_t gen; /* differs each time the slot is used, so a stale number finds nothing */
	uint32_t next_free;
};

struct fs_handles {
	struct fs_handle *slot;
	uint32_t used, limit, open;
	uint32_t free_head; /* slot + 1 */
};

/* fs_handle_init() - room for limit files; memory is touched as it is used; 0 or -ENOMEM. */
int fs_handle_init(struct fs_handles *t, uint32_t limit);
void fs_handle_destroy(struct fs_handles *t);

/*
 * fs_handle_add() - takes what came from the fs process, if it is what was asked for: a regular
 * file, open as access says and for nothing else; for reading or not at all if fs keeps it.
 * @h: node, fd, kept, remote and rw; @access: O_RDONLY, O_WRONLY or O_RDWR
 * Returns 0 with the guest's number in *fh (fd is the table's now), -ENFILE if the table is
 * full, or -EPROTO for a wrong descriptor; then fd stays the caller's.
 */
int fs_handle_add(struct fs_handles *t, const struct fs_handle *h, int access, uint64_t *fh);

/* fs_handle_get() - what is behind fh, NULL if this node has no such handle. */
const struct fs_handle *fs_handle_get(const struct fs_handles *t, uint64_t node, uint64_t fh);

/* fs_handle_fd() - the descriptor behind fh, -EBADF if this node has no such handle. */
int fs_handle_fd(const struct fs_handles *t, uint64_t node, uint64_t fh);

/* fs_handle_close() - 0 or -EBADF. */
int fs_handle_close(struct fs_handles *t, uint64_t node, uint64_t fh);
void fs_handle_close_all(struct fs_handles *t);

#endif
