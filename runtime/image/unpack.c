// SPDX-License-Identifier: Apache-2.0
// unpack.c - archives and directories into a tree, and their files' data into an image
//
// Layers from the lowest up, as docker applies them; see docs/design.md for what names and
// whiteouts mean. Each layer's digest is checked both times it is read.
#include "image/unpack.h"

#include "base/checked.h"
#include "image/unpack_dir.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define WHITEOUT ".wh."
#define OPAQUE ".wh..wh..opq"
#define AUFS ".wh..wh." /* other files of aufs, which mean nothing here */

int unpack_charge(struct unpack *u, uint64_t size, struct err *e)
{
	if (size > u->src->max_bytes - u->bytes)
		return err_set(e, EFBIG,
			       "it unpacks to more than %llu MiB (--max-size raises that)",
			       (unsigned long long)(u->src->max_bytes >> 20));
	u->bytes += size;
	return 0;
}

bool unpack_keeps(struct unpack *u, const char *name)
{
	if ((strncmp(name, "user.", 5) == 0 && name[5]) || strcmp(name, "security.capability") == 0)
		return true;
	u->attributes++;
	return false;
}

/* 1: path was a whiteout, and is done. */
static int whiteout(struct unpack *u, const char *path, uint32_t layer, struct err *e)
{
	char at[TREE_PATH_MAX];
	const char *slash = strrchr(path, '/');
	const char *last = slash ? slash + 1 : path;
	int dir = (int)(last - path);
	if (!u->manifest || strncmp(last, WHITEOUT, strlen(WHITEOUT)) != 0)
		return 0;
	const char *name = last + strlen(WHITEOUT);
	int n = snprintf(at, sizeof(at), "%.*s%s", dir, path, name);
	if (n < 0 || (size_t)n >= sizeof(at))
		return err_set(e, ENAMETOOLONG, "the name of a whiteout is too long");
	if (strcmp(last, OPAQUE) == 0) {
		at[dir] = '\0';
		int ret = tree_opaque(&u->tree, at, layer, e);
		return ret < 0 ? ret : 1;
	}
	if (strncmp(last, AUFS, strlen(AUFS)) == 0)
		return 1;
	if (!*name || strcmp(name, ".") == 0)
		return err_set(e, EINVAL, "a whiteout of nothing");
	int ret = tree_whiteout(&u->tree, at, layer, e);
	return ret < 0 ? ret : 1;
}

static int add_xattrs(struct unpack *u, struct archive_entry *entry, struct tree_inode *i,
		      struct err *e)
{
	const char *name;
	const void *value;
	size_t len;
	archive_entry_xattr_reset(entry);
	while (archive_entry_xattr_next(entry, &name, &value, &len) == ARCHIVE_OK) {
		if (!name || !unpack_keeps(u, name))
			continue;
		int ret = tree_xattr(&u->tree, i, name, value, len, e);
		if (ret < 0)
			return ret;
	}
	return 0;
}

static int add_entry(struct unpack *u, struct archive_entry *entry, const char *path,
		     uint32_t layer, uint32_t number, struct err *e)
{
	const char *target = archive_entry_hardlink(entry);
	struct tree_inode *i;
	la_int64_t size = archive_entry_size(entry);
	la_int64_t uid = archive_entry_uid(entry);
	la_int64_t gid = archive_entry_gid(entry);
	if (target)
		return tree_link(&u->tree, path, target, layer, e);
	/* The last id is "none" to system calls. */
	if (size < 0 || uid < 0 || uid >= UINT32_MAX || gid < 0 || gid >= UINT32_MAX)
		return err_set(e, EINVAL, "a size or an owner that can't be");
	struct tree_inode proto = {
		.mode = archive_entry_filetype(entry) | (archive_entry_perm(entry) & 07777),
		.uid = (uint32_t)uid,
		.gid = (uint32_t)gid,
		.mtime = archive_entry_mtime(entry),
		.size = (uint64_t)size,
		.layer = layer,
		.entry = number,
	};
	long nsec = archive_entry_mtime_nsec(entry);
	proto.mtime_nsec = nsec > 0 && nsec < 1000000000 ? (uint32_t)nsec : 0;
	if (!(proto.mode & S_IFMT))
		return err_set(e, EINVAL, "a file of no known kind");
	int ret = S_ISREG(proto.mode) ? unpack_charge(u, proto.size, e) : 0;
	if (ret == 0)
		ret = tree_add(&u->tree, path, &proto, archive_entry_symlink(entry), &i, e);
	return ret < 0 ? ret : add_xattrs(u, entry, i, e);
}

static int scan_entry(struct unpack *u, struct archive_entry *entry, uint32_t layer,
		      uint32_t number, struct err *e)
{
	const char *path = archive_entry_pathname(entry);
	if (!path)
		return err_set(e, EILSEQ, "a name that can't be read");
	if (number >= TREE_ENTRIES_MAX)
		return err_set(e, E2BIG, "more than %u entries", TREE_ENTRIES_MAX);
	int ret = whiteout(u, path, layer, e);
	if (ret == 0)
		ret = add_entry(u, entry, path, layer, number, e);
	return ret < 0 ? err_wrap(e, ret, "'%.200s'", path) : 0;
}

static int scan_archive(struct unpack *u, struct archive *a, uint32_t layer, struct err *e)
{
	struct archive_entry *entry;
	uint32_t number = 0;
	int ret;
	while ((ret = source_next(a, &entry, e)) > 0) {
		ret = scan_entry(u, entry, layer, number++, e);
		if (ret < 0)
			return ret;
	}
	return ret;
}

/* --- the second time --- */

struct writing {
	const struct erofs_layout *l;
	size_t next; /* of l->files */
	int fd;
};

static int write_file(struct unpack *u, struct archive *a, const struct tree_inode *i,
		      struct writing *w, struct err *e)
{
	const void *data;
	size_t n;
	la_int64_t off;
	int r;
	while ((r = archive_read_data_block(a, &data, &n, &off)) == ARCHIVE_OK) {
		int ret = off < 0 ? err_set(e, EBADMSG, "data at a negative place")
				  : erofs_write_data(w->fd, i, (uint64_t)off, data, n, e);
		if (ret < 0)
			return ret;
	}
	if (r != ARCHIVE_EOF)
		return err_set(e, EBADMSG, "the archive can't be read: %.300s",
			       archive_error_string(a) ? archive_error_string(a) : "it is damaged");
	u->written += i->size;
	if (u->progress)
		u->progress(u->arg, u->written, w->l->data_bytes);
	return 0;
}

static int write_archive(struct unpack *u, struct archive *a, uint32_t layer, struct writing *w,
			 struct err *e)
{
	struct archive_entry *entry;
	uint32_t number = 0;
	int ret;
	for (; (ret = source_next(a, &entry, e)) > 0; number++) {
		if (w->next == w->l->nfiles)
			continue;
		const struct tree_inode *i = w->l->files[w->next];
		if (i->layer != layer || i->entry != number)
			continue;
		if (archive_entry_filetype(entry) != AE_IFREG ||
		    (uint64_t)archive_entry_size(entry) != i->size)
			return err_set(e, EBADMSG, "the archive was changed while it was read");
		ret = write_file(u, a, i, w, e);
		if (ret < 0)
			return ret;
		w->next++;
	}
	if (ret == 0 && w->next < w->l->nfiles && w->l->files[w->next]->layer == layer)
		ret = err_set(e, EBADMSG, "the archive was changed while it was read");
	return ret;
}

/* One layer, to scan (w is NULL) or to write. */
static int one_layer(struct unpack *u, uint32_t layer, struct writing *w, struct err *e)
{
	const struct manifest_layer *m = u->manifest ? &u->manifest->layers[layer - 1] : NULL;
	struct blob *b = NULL;
	int ret = blob_open(u->src, m ? m->name : NULL, m != NULL, &b, e);
	if (ret < 0)
		return ret;
	struct archive *a = blob_archive(b, e);
	ret = !a ? -EBADMSG : w ? write_archive(u, a, layer, w, e) : scan_archive(u, a, layer, e);
	if (a)
		archive_read_free(a);
	if (ret == 0 && m)
		ret = blob_verify(b, m->hex, e);
	blob_close(b);
	return ret < 0 && m ? err_wrap(e, ret, "layer %u of %zu", layer, u->manifest->n) : ret;
}

static int all_layers(struct unpack *u, struct writing *w, struct err *e)
{
	size_t n = u->manifest ? u->manifest->n : 1;
	int ret = 0;
	for (size_t k = 0; k < n && ret == 0; k++)
		ret = one_layer(u, (uint32_t)k + 1, w, e);
	return ret;
}

int unpack_scan(struct unpack *u, struct err *e)
{
	if (u->src->kind == SOURCE_DIRECTORY)
		return unpack_dir_scan(u, e);
	return all_layers(u, NULL, e);
}

int unpack_write(struct unpack *u, const struct erofs_layout *l, int fd, struct err *e)
{
	struct writing w = {.l = l, .fd = fd};
	if (u->src->kind == SOURCE_DIRECTORY)
		return unpack_dir_write(u, l, fd, e);
	return all_layers(u, &w, e);
}
