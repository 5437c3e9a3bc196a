// SPDX-License-Identifier: Apache-2.0
// fs.h - the whole state of a mayfly-fs process
//
// Theory of operation. The guest sees one tree: directories that only the configuration knows
// (synthetic), and in them views: host files and directories of which we hold an O_PATH
// descriptor. Below a view every step is one name resolved relative to a directory descriptor
// that belongs to the view, never through a symlink, never onto another mount, never with "..".
// A LOOKUP costs one statx() and opens nothing; a descriptor is opened when a node is used as a
// directory or opened, and its identity is compared with what the LOOKUP saw. What
// changes something looks at the view first: only those that the configuration calls writable are
// ever changed. One thread; no request allocates but those that make a node or a handle.
#ifndef MAYFLY_FS_FS_H
#define MAYFLY_FS_FS_H

#include "base/err.h"
#include "base/log.h"
#include "fs/fs_cache.h"
#include "fs/fs_dir.h"
#include "fs/fs_file.h"
#include "fs/fs_hide.h"
#include "fs/fs_ino.h"
#include "fs/fs_node.h"
#include "fs/fs_tree.h"

#include <sys/types.h>

/* Answers for names that the configuration fixes never change. */
#define FS_TTL_FIXED_MS (3600u * 1000)

/* From here on the guest keeps data, directories and missing names cached between opens. */
#define FS_TTL_LONG_MS 10000u

#define FS_BUDGET_BYTES (256u << 20)

/* After an ESTALE the guest looks names up again: for so many lookups what is found is held open,
 * so that the request which then comes can't meet yet another file. */
#define FS_CAREFUL_LOOKUPS 64u

/* So many of the guest's threads that were told ESTALE at an open are remembered until the next. */
#define FS_TOLD_MAX 64u

struct fs_limits {
	size_t max_bytes;    /* nodes and names together */
	unsigned max_cached; /* O_PATH descriptors beside the views' own */
	unsigned max_dirs;   /* open directories */
	unsigned max_files;  /* open files of views with a quota */
};

struct fs {
	struct fs_nodes nodes;
	struct fs_inos inos;
	struct fs_cache cache;
	struct fs_tree tree;
	struct fs_dirs dirs;
	struct fs_files files;
	struct fs_hides hides;
	int proc_fd; /* /proc/self/fd; also the working directory */
	bool map_ids;
	bool no_xattr;
	bool writable;		    /* some view is */
	bool quota;		    /* some view has one */
	unsigned careful;	    /* lookups left of FS_CAREFUL_LOOKUPS */
	uint32_t caller;	    /* the guest's thread behind the present request; 0: none */
	uint32_t told[FS_TOLD_MAX]; /* callers; 0: free */
	unsigned told_next;
	uid_t own_uid;
	gid_t own_gid;
	uint32_t uid, gid;
	struct log_limit limit;
};

typedef struct Mayfly__FsConfig Mayfly__FsConfig;

/*
 * fs_init() - builds the state from a configuration. The descriptors of its tree become ours,
 * and the working directory becomes /proc/self/fd. fs is zeroed memory; call fs_destroy() after
 * a failure, too. Returns 0, or -errno with a text.
 */
int fs_init(struct fs *fs, const Mayfly__FsConfig *cfg, const struct fs_limits *limits,
	    struct err *err);
void fs_destroy(struct fs *fs);

#endif
