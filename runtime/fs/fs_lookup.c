// SPDX-License-Identifier: Apache-2.0
// fs_lookup.c - names to nodes: what is hidden, what stands in, what is the same file
#include "fs/fs_lookup.h"

#include "fs/fs.h"
#include "fs/fs_attr.h"

#include <errno.h>
#include <sys/stat.h>

#define MS_PER_S 1000u
#define NS_PER_MS 1000000u

/* How often a file may be replaced under our eyes before the guest gets what it gets. */
#define CAREFUL_TRIES 4u

static void entry_head(const struct fs *fs, const struct fs_node *dir, const struct fs_node *n,
		       struct fuse_entry_out *out)
{
	uint32_t entry_ms = fs_attr_ttl_ms(fs, dir);
	uint32_t attr_ms = fs_attr_ttl_ms(fs, n);
	*out = (struct fuse_entry_out){
		.nodeid = fs_node_id(n),
		.entry_valid = entry_ms / MS_PER_S,
		.entry_valid_nsec = entry_ms % MS_PER_S * NS_PER_MS,
		.attr_valid = attr_ms / MS_PER_S,
		.attr_valid_nsec = attr_ms % MS_PER_S * NS_PER_MS,
	};
}

static int lookup_synth(struct fs *fs, const struct fs_node *dir, const char *name,
			struct fuse_entry_out *out)
{
	struct fs_node *n = fs_tree_find(fs, dir, name);
	if (!n)
		return -ENOENT;
	struct fuse_attr_out attr;
	int ret = fs_lookup_attr(fs, n, &attr);
	if (ret < 0)
		return ret;
	entry_head(fs, dir, n, out);
	out->attr = attr.attr;
	return 0;
}

int fs_lookup_key(struct fs *fs, const struct fs_node *dir, const struct statx *stx,
		  struct fs_key *key)
{
	if (S_ISCHR(stx->stx_mode) || S_ISBLK(stx->stx_mode))
		return -ENOENT;
	int ret = fs_attr_key(fs, dir->key.view, stx, key);
	if (ret < 0)
		return ret;
	if (stx->stx_mnt_id == fs->tree.view[dir->key.view].mnt_id)
		return 0;
	/* Another mount: not crossed. A directory shows as an empty one, a file not at all. */
	if (!S_ISDIR(stx->stx_mode))
		return -ENOENT;
	key->kind = FS_KIND_STANDIN;
	return 0;
}

/* The node of a key, known or new, seen under this name now; counts the lookup. */
static int node_for(struct fs *fs, const struct fs_node *dir, const char *name,
		    const struct fs_key *key, struct fs_node **out)
{
	struct fs_node *n = fs_node_find(&fs->nodes, key);
	int ret;
	if (n)
		ret = fs_node_seen_as(&fs->nodes, n, dir->self, name);
	else
		ret = fs_node_new(&fs->nodes, key, dir->self, name, &n);
	if (ret < 0)
		return ret;
	fs_cache_seen(fs, n);
	n->nlookup++;
	*out = n;
	return 0;
}

int fs_lookup_stx(struct fs *fs, struct fs_node *dir, const char *name, const struct statx *stx,
		  struct fuse_entry_out *out)
{
	struct fs_key key;
	struct fs_node *n = NULL;
	int ret = fs_lookup_key(fs, dir, stx, &key);
	if (ret == 0)
		ret = node_for(fs, dir, name, &key, &n);
	if (ret < 0)
		return ret;
	entry_head(fs, dir, n, out);
	if (n->key.kind == FS_KIND_STANDIN)
		fs_attr_fill_synth(n, &out->attr);
	else
		fs_attr_fill(fs, n, stx, &out->attr);
	return 0;
}

int fs_lookup(struct fs *fs, struct fs_node *dir, int dirfd, const char *name,
	      struct fuse_entry_out *out)
{
	if (dir->key.type != FS_TYPE(S_IFDIR))
		return -ENOTDIR;
	if (dir->key.kind == FS_KIND_SYNTH)
		return lookup_synth(fs, dir, name, out);
	if (dir->key.kind == FS_KIND_STANDIN)
		return -ENOENT;
	if (dirfd < 0)
		dirfd = fs_cache_fd(fs, dir);
	if (dirfd < 0)
		return dirfd;
	struct statx stx;
	int ret = fs_attr_statx(dirfd, name, &stx);
	if (ret == 0 && fs_hide_hides(fs, dirfd, name, &stx))
		ret = -ENOENT;
	return ret < 0 ? ret : fs_lookup_stx(fs, dir, name, &stx, out);
}

int fs_lookup_careful(struct fs *fs, struct fs_node *dir, const char *name,
		      struct fuse_entry_out *out)
{
	int ret = 0;
	/* Forgetting the last child must not take the directory with it while we use it. */
	dir->nlookup++;
	for (unsigned i = 0; i < CAREFUL_TRIES; i++) {
		ret = fs_lookup(fs, dir, -1, name, out);
		if (ret < 0)
			break;
		struct fs_node *n = fs_node_get(&fs->nodes, out->nodeid);
		int fd = n->key.kind == FS_KIND_REAL ? fs_cache_fd(fs, n) : -EINVAL;
		if (fd >= 0)
			n->flags |= FS_NODE_TOLD;
		if (fd != -ESTALE || (n->flags & FS_NODE_PINNED) || i + 1 == CAREFUL_TRIES)
			break;
		/* Replaced between the two: this lookup never happened. */
		fs_node_forget(&fs->nodes, n, 1);
	}
	fs_node_forget(&fs->nodes, dir, 1);
	return ret;
}

int fs_lookup_attr(struct fs *fs, struct fs_node *n, struct fuse_attr_out *out)
{
	uint32_t ms = fs_attr_ttl_ms(fs, n);
	*out = (struct fuse_attr_out){
		.attr_valid = ms / MS_PER_S,
		.attr_valid_nsec = ms % MS_PER_S * NS_PER_MS,
	};
	if (n->key.kind != FS_KIND_REAL) {
		fs_attr_fill_synth(n, &out->attr);
		return 0;
	}
	struct statx stx;
	int ret = fs_attr_stat(fs, n, &stx);
	if (ret == 0)
		fs_attr_fill(fs, n, &stx, &out->attr);
	return ret;
}
