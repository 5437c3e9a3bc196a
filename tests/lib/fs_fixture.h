// SPDX-License-Identifier: Apache-2.0
// fs_fixture.h - a temporary tree, and the fs process's server over it, for tests
#ifndef MAYFLY_TESTS_FS_FIXTURE_H
#define MAYFLY_TESTS_FS_FIXTURE_H

#include "fs/fs.h"

#include <linux/fuse.h>
#include <stdbool.h>
#include <sys/types.h>

#define FX_LONG_MS 60000u
#define FX_SHORT_MS 1000u

/*
 * The guest's tree:  /sys (FX_LONG_MS), /share (FX_SHORT_MS), /now (0 ms): the same host directory;
 *                    /etc synthetic, with /etc/one: the file, /etc/link: the symlink
 * The host's:        file ("hello fs\n"), hard (same inode), link -> /etc/passwd, up -> ../..,
 *                    d1/d2/d3/deep ("deep\n"), suid (04755), empty/, fifo
 */
struct fs_fixture {
	char dir[64]; /* the host directory */
	int dirfd;
	struct fs *fs;	 /* served in this process, fx_start_inline() */
	pid_t pid;	 /* or in a child, fx_start_child() */
	uint32_t caller; /* the guest's thread that asks */
	int sock;
	uint64_t unique;
	uint8_t reply[70000];
	size_t reply_len;
	int reply_fd;
};

struct fx_options {
	struct fs_limits limits; /* zeros: large */
	bool map_ids, no_xattr;
	bool writable;	  /* share and now are */
	uint64_t quota;	  /* of share */
	unsigned nofile;  /* child only; 0: as it is */
	const char *hide; /* a name of the host directory that nothing shows */
};

void fx_tree(struct fs_fixture *fx);
void fx_write(struct fs_fixture *fx, const char *name, const char *text);

/* Both end the test on failure. */
void fx_start_inline(struct fs_fixture *fx, const struct fx_options *o);
void fx_start_child(struct fs_fixture *fx, const struct fx_options *o);

/* fx_stop() - ends the server and removes the tree; the child's exit status, 0 inline. */
int fx_stop(struct fs_fixture *fx);

/*
 * fx_call() - one request; its reply is in fx->reply, a passed descriptor in fx->reply_fd (closed
 * by the next call). Returns the length behind the header, the negative errno of the reply, or
 * -EPIPE without one.
 */
int fx_call(struct fs_fixture *fx, uint32_t opcode, uint64_t node, const void *arg, size_t len);
int fx_call_room(struct fs_fixture *fx, uint32_t opcode, uint64_t node, const void *arg, size_t len,
		 size_t room);

/* What follows the header of the last reply. */
const void *fx_data(const struct fs_fixture *fx);

int fx_init(struct fs_fixture *fx);
int fx_lookup(struct fs_fixture *fx, uint64_t dir, const char *name, struct fuse_entry_out *e);

/* fx_walk() - looks each component up from the root; the last one's id. Fails the test. */
uint64_t fx_walk(struct fs_fixture *fx, const char *path);
int fx_getattr(struct fs_fixture *fx, uint64_t node, struct fuse_attr *attr);
int fx_open(struct fs_fixture *fx, uint64_t node, uint32_t flags); /* 0 or -errno */
void fx_forget(struct fs_fixture *fx, uint64_t node, uint64_t count);
int64_t fx_opendir(struct fs_fixture *fx, uint64_t node);
int fx_releasedir(struct fs_fixture *fx, uint64_t node, uint64_t fh);

#endif
