// SPDX-License-Identifier: Apache-2.0
// tree.h - a file system tree in memory, as layers build it up; holds no file data
#ifndef MAYFLY_IMAGE_TREE_H
#define MAYFLY_IMAGE_TREE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What one image may hold; an archive that wants more is refused. */
#define TREE_ENTRIES_MAX 2000000u
#define TREE_TEXT_MAX (512u << 20) /* names, link targets and xattrs together */
#define TREE_NAME_MAX 255
#define TREE_PATH_MAX 4096    /* with the NUL */
#define TREE_LINKS_MAX 40     /* symbolic links followed for one name */
#define TREE_XATTRS_MAX 65536 /* bytes per file, as EROFS stores them */
#define TREE_NOT_A_LAYER 0u   /* layers count from 1 */

struct tree_xattr {
	struct tree_xattr *next; /* sorted by name */
	uint16_t value_len;
	char *value;
	char name[]; /* "user.x" */
};

/* A file; several names can lead to one that is not a directory. */
struct tree_inode {
	mode_t mode;
	uint32_t uid, gid;
	int64_t mtime;
	uint32_t mtime_nsec;
	uint32_t nlink;
	uint64_t size; /* of a regular file or a link's target */
	uint32_t refs; /* nodes */
	uint32_t layer;
	uint32_t entry; /* where its data is: which entry of the layer */
	uint32_t xattr_bytes;
	struct tree_xattr *xattrs;
	char *target;		/* of a symbolic link */
	struct tree_node *node; /* set by erofs_layout(): the first name */
	uint64_t pos;		/* set by erofs_layout(): of the inode, in bytes */
	uint64_t data;		/* and of the data */
};

struct tree_node {
	struct tree_node *parent; /* the root's is the root */
	struct tree_inode *inode;
	void *kids;	/* a tsearch() tree, by name */
	uint32_t layer; /* the last one that touched it */
	uint32_t first; /* set by erofs_layout(): its children in the order */
	uint32_t count;
	char name[];
};

struct tree {
	struct tree_node *root;
	uint64_t entries;
	uint64_t text;
	unsigned skipped; /* files of a kind that images do not hold; counted by who adds */
};

/* tree_init() - an empty root directory, 0755 of root; 0 or -ENOMEM. */
int tree_init(struct tree *t);
void tree_free(struct tree *t);

/*
 * tree_find() - the node that a path leads to, without following a link at its end; links on the
 * way are followed inside of the tree, whose root nothing leaves.
 * Returns the node, or NULL.
 */
struct tree_node *tree_find(const struct tree *t, const char *path);

/*
 * tree_add() - puts a file at path and replaces what is there, as unpacking over it would; a
 * directory over a directory keeps its children. Missing directories on the way are made.
 * @path: may begin with "/" or "./"; ".." is refused
 * @proto: mode, owner, times, size, layer, entry; the rest is ignored
 * @target: of a symbolic link, else NULL
 * Returns 0 with *out set, or -errno with text: -EINVAL, -ENAMETOOLONG, -ENOTDIR, -ELOOP, -E2BIG.
 */
int tree_add(struct tree *t, const char *path, const struct tree_inode *proto, const char *target,
	     struct tree_inode **out, struct err *e);

/* tree_link() - a second name for the file at target, which is no directory; as tree_add(). */
int tree_link(struct tree *t, const char *path, const char *target, uint32_t layer, struct err *e);

/* tree_xattr() - adds or replaces one attribute; 0 or -errno with text. */
int tree_xattr(struct tree *t, struct tree_inode *i, const char *name, const void *value,
	       size_t len, struct err *e);

/* tree_clear_xattrs() - removes all of them. */
void tree_clear_xattrs(struct tree *t, struct tree_inode *i);

/*
 * tree_whiteout() - removes path, and everything below it, as far as older layers put it there.
 * tree_opaque() - the same for the children of the directory at path only.
 * A path that is not there is fine. Returns 0 or -errno with text.
 */
int tree_whiteout(struct tree *t, const char *path, uint32_t layer, struct err *e);
int tree_opaque(struct tree *t, const char *path, uint32_t layer, struct err *e);

/*
 * tree_children() - calls fn for each child, in the order of their names' bytes.
 * fn must not change the tree.
 */
void tree_children(const struct tree_node *n, void (*fn)(struct tree_node *child, void *arg),
		   void *arg);

#endif
