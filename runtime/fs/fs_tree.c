// SPDX-License-Identifier: Apache-2.0
// fs_tree.c - configuration to pinned nodes
#include "fs/fs_tree.h"

#include "base/checked.h"
#include "fs/fs.h"
#include "fs/fs_attr.h"
#include "proto/config.pb-c.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int fs_tree_name_ok(const char *name)
{
	size_t len = strnlen(name, NAME_MAX + 1);
	if (len > NAME_MAX)
		return -ENAMETOOLONG;
	if (len == 0 || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strchr(name, '/'))
		return -EINVAL;
	return 0;
}

struct fs_node *fs_tree_find(struct fs *fs, const struct fs_node *dir, const char *name)
{
	uint64_t pos = 0;
	struct fs_node *n;
	while ((n = fs_tree_next(fs, dir, &pos)))
		if (strcmp(n->name, name) == 0)
			return n;
	return NULL;
}

struct fs_node *fs_tree_next(struct fs *fs, const struct fs_node *dir, uint64_t *pos)
{
	for (uint64_t i = *pos; i < fs->tree.nentries; i++) {
		struct fs_node *n = fs_node_at(&fs->nodes, fs->tree.entry[i]);
		if (n->parent == dir->self) {
			*pos = i + 1;
			return n;
		}
	}
	return NULL;
}

struct fs_view *fs_tree_view(const struct fs *fs, const struct fs_node *n)
{
	return &fs->tree.view[n->key.view];
}

bool fs_tree_writable(const struct fs *fs, const struct fs_node *n)
{
	return n->key.kind == FS_KIND_REAL && fs_tree_view(fs, n)->writable;
}

/* Identity and mount of a view's descriptor; adds the view. */
static int view_add(struct fs *fs, const Mayfly__FsEntry *e, struct fs_key *key, struct err *err)
{
	struct statx stx;
	int ret = fs_attr_statx(e->fd, "", &stx);
	if (ret < 0)
		return err_errno(err, -ret, "descriptor %d of '%s'", e->fd, e->name);
	int fl = fcntl(e->fd, F_GETFL);
	if (fl < 0 || !(fl & O_PATH))
		return err_set(err, EINVAL, "descriptor %d of '%s' is not O_PATH", e->fd, e->name);
	if (!S_ISDIR(stx.stx_mode) && !S_ISREG(stx.stx_mode) && !S_ISLNK(stx.stx_mode))
		return err_set(err, EINVAL, "'%s' is neither file, directory nor symlink", e->name);
	if (fcntl(e->fd, F_SETFD, FD_CLOEXEC) < 0)
		return err_errno(err, errno, "descriptor %d of '%s'", e->fd, e->name);
	ret = fs_attr_key(fs, (uint16_t)fs->tree.nviews, &stx, key);
	if (ret < 0)
		return err_errno(err, -ret, "device of '%s'", e->name);
	fs->tree.view[fs->tree.nviews++] = (struct fs_view){
		.mnt_id = stx.stx_mnt_id,
		.cache_ms = e->cache_ms,
		.writable = e->writable,
		.direct = e->direct,
		.quota = e->writable ? e->quota : 0,
	};
	fs->writable |= e->writable;
	fs->quota |= e->writable && e->quota > 0;
	return 0;
}

static int entry_add(struct fs *fs, const Mayfly__FsEntry *e, uint32_t parent, unsigned depth,
		     struct err *err)
{
	struct fs_key key = {.kind = FS_KIND_SYNTH, .type = FS_TYPE(S_IFDIR)};
	struct fs_node *n;
	int ret = 0;
	if (depth > FS_TREE_DEPTH_MAX || fs->tree.nentries == FS_TREE_ENTRIES_MAX)
		return err_set(err, E2BIG, "more than %u entries, or %u levels deep",
			       FS_TREE_ENTRIES_MAX, FS_TREE_DEPTH_MAX);
	if (parent != FS_NODE_NONE && fs_tree_name_ok(e->name) < 0)
		return err_set(err, EINVAL, "'%s' can't be a file name", e->name);
	if (parent != FS_NODE_NONE &&
	    fs_tree_find(fs, fs_node_at(&fs->nodes, parent), e->name) != NULL)
		return err_set(err, EEXIST, "two entries are called '%s'", e->name);
	if (e->fd < 0 && e->writable)
		return err_set(err, EINVAL, "'%s' is writable and has no descriptor", e->name);
	if (e->fd >= 0 && e->n_entry > 0)
		return err_set(err, EINVAL, "'%s' has a descriptor and entries", e->name);
	if (e->fd >= 0)
		ret = view_add(fs, e, &key, err);
	else
		key.ino = fs->tree.nentries;
	if (ret < 0)
		return ret;
	ret = fs_node_new(&fs->nodes, &key, parent, parent == FS_NODE_NONE ? "/" : e->name, &n);
	if (ret < 0)
		return err_errno(err, -ret, "node of '%s'", e->name);
	n->flags |= FS_NODE_PINNED;
	if (e->fd >= 0)
		n->fd = e->fd;
	fs->tree.entry[fs->tree.nentries++] = n->self;
	for (size_t i = 0; i < e->n_entry && ret == 0; i++)
		ret = entry_add(fs, e->entry[i], n->self, depth + 1, err);
	return ret;
}

int fs_tree_build(struct fs *fs, const Mayfly__FsEntry *root, struct err *err)
{
	fs->tree.view = calloc(FS_TREE_ENTRIES_MAX, sizeof(*fs->tree.view));
	fs->tree.entry = calloc(FS_TREE_ENTRIES_MAX, sizeof(*fs->tree.entry));
	if (!fs->tree.view || !fs->tree.entry)
		return err_set(err, ENOMEM, "out of memory");
	return entry_add(fs, root, FS_NODE_NONE, 0, err);
}

void fs_tree_destroy(struct fs *fs)
{
	free(fs->tree.view);
	free(fs->tree.entry);
	fs->tree = (struct fs_tree){0};
}
