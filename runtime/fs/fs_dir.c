// SPDX-License-Identifier: Apache-2.0
// fs_dir.c - directory handles and listing
//
// A handle is a host directory descriptor; the offset of a record is the host's own d_off, so a
// listing needs no memory of ours between two requests: what was read and did not fit is read
// again. Each read asks for about as much as will fit.
#include "fs/fs_dir.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "fs/fs.h"
#include "fs/fs_attr.h"
#include "fs/fs_lookup.h"
#include "fs/fs_open.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define HANDLES_FIRST 16u
#define DIR_BUF 32768u

/* A plus record is this much larger than the host's record of the same name, roughly. */
#define PLUS_FACTOR 5u
#define DIR_ASK_MIN 1024u

/* "." and ".." of directories without a host one; their entries follow. */
#define SYNTH_DOTS 2u

struct host_dirent {
	uint64_t ino;
	int64_t off;
	uint16_t reclen;
	uint8_t type;
	char name[];
};

/* One listing in progress. */
struct fill {
	struct fs *fs;
	struct fs_node *dir;
	int fd;
	uint8_t *out;
	size_t room, used;
	bool plus;
};

void fs_dir_init(struct fs *fs, unsigned limit)
{
	fs->dirs = (struct fs_dirs){.limit = limit};
}

void fs_dir_destroy(struct fs *fs)
{
	fs_dir_close_all(fs);
	free(fs->dirs.dir);
	fs->dirs.dir = NULL;
	fs->dirs.used = fs->dirs.cap = 0;
}

static struct fs_dir *dir_get(struct fs *fs, uint64_t node, uint64_t fh)
{
	uint32_t i = (uint32_t)fh;
	if (i >= fs->dirs.used)
		return NULL;
	struct fs_dir *d = &fs->dirs.dir[i];
	return d->node == node && d->node != 0 && d->gen == (uint32_t)(fh >> 32) ? d : NULL;
}

static int dir_slot(struct fs *fs, uint32_t *slot)
{
	struct fs_dirs *t = &fs->dirs;
	if (t->free_head != 0) {
		*slot = t->free_head - 1;
		t->free_head = t->dir[*slot].next_free;
		return 0;
	}
	if (t->used == t->limit)
		return -ENFILE;
	if (t->used == t->cap) {
		uint32_t cap = MIN(t->cap ? t->cap * 2 : HANDLES_FIRST, t->limit);
		struct fs_dir *bigger = realloc(t->dir, cap * sizeof(*bigger));
		if (!bigger)
			return -ENOMEM;
		t->dir = bigger;
		t->cap = cap;
	}
	t->dir[t->used] = (struct fs_dir){.fd = -1, .gen = 1};
	*slot = t->used++;
	return 0;
}

int fs_dir_open(struct fs *fs, struct fs_node *n, uint64_t *fh)
{
	AUTO_CLOSE int fd = -1;
	uint32_t slot;
	if (n->key.type != FS_TYPE(S_IFDIR))
		return -ENOTDIR;
	if (n->key.kind == FS_KIND_REAL) {
		fd = fs_open_node(fs, n, O_DIRECTORY);
		if (fd < 0)
			return fd;
	}
	int ret = dir_slot(fs, &slot);
	if (ret < 0)
		return ret;
	struct fs_dir *d = &fs->dirs.dir[slot];
	d->fd = steal_fd(&fd);
	d->node = fs_node_id(n);
	d->pos = 0;
	*fh = ((uint64_t)d->gen << 32) | slot;
	return 0;
}

int fs_dir_fd(struct fs *fs, const struct fs_node *n, uint64_t fh)
{
	const struct fs_dir *d = dir_get(fs, fs_node_id(n), fh);
	return d && d->fd >= 0 ? d->fd : -EBADF;
}

static void dir_free(struct fs *fs, struct fs_dir *d)
{
	close_fd(&d->fd);
	d->node = 0;
	d->gen++;
	d->next_free = fs->dirs.free_head;
	fs->dirs.free_head = (uint32_t)(d - fs->dirs.dir) + 1;
}

int fs_dir_close(struct fs *fs, uint64_t node, uint64_t fh)
{
	struct fs_dir *d = dir_get(fs, node, fh);
	if (!d)
		return -EBADF;
	dir_free(fs, d);
	return 0;
}

void fs_dir_close_all(struct fs *fs)
{
	for (uint32_t i = 0; i < fs->dirs.used; i++)
		if (fs->dirs.dir[i].node != 0)
			dir_free(fs, &fs->dirs.dir[i]);
}

static size_t record_size(const struct fill *f, size_t namelen)
{
	size_t head = f->plus ? FUSE_NAME_OFFSET_DIRENTPLUS : FUSE_NAME_OFFSET;
	return FUSE_DIRENT_ALIGN(head + namelen);
}

static void record_put(struct fill *f, const struct fuse_entry_out *entry, uint64_t ino,
		       uint64_t off, uint8_t type, const char *name)
{
	size_t len = strlen(name);
	size_t size = record_size(f, len);
	uint8_t *p = f->out + f->used;
	struct fuse_dirent d = {.ino = ino, .off = off, .namelen = (uint32_t)len, .type = type};
	memset(p, 0, size);
	if (f->plus) {
		memcpy(p, entry, sizeof(*entry));
		p += FUSE_NAME_OFFSET_DIRENTPLUS - FUSE_NAME_OFFSET;
	}
	memcpy(p, &d, FUSE_NAME_OFFSET);
	memcpy(p + FUSE_NAME_OFFSET, name, len);
	f->used += size;
}

static bool hidden(const struct fill *f, const char *name)
{
	struct statx stx;
	/* Names that the configuration made are not the host's. */
	if (f->fs->hides.n == 0 || f->fd < 0)
		return false;
	bool there = fs_attr_statx(f->fd, name, &stx) == 0;
	return fs_hide_hides(f->fs, f->fd, name, there ? &stx : NULL);
}

/*
 * One name into the buffer. "." and ".." carry no node: the guest knows them.
 * Returns false if it doesn't fit, true if it was put or is not shown.
 */
static bool put(struct fill *f, uint64_t ino, uint64_t off, uint8_t type, const char *name)
{
	struct fuse_entry_out e = {0};
	bool dot = strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
	if (record_size(f, strlen(name)) > f->room - f->used)
		return false;
	if (type == DT_BLK || type == DT_CHR || (!dot && !f->plus && hidden(f, name)))
		return true;
	if (!dot && f->plus) {
		int ret = fs_lookup(f->fs, f->dir, f->fd, name, &e);
		if (ret == -ENOENT)
			return true;
		/* Shown without attributes: whoever wants them will hear the error. */
		if (ret < 0)
			e = (struct fuse_entry_out){0};
		else
			ino = e.attr.ino;
	} else if (type == DT_UNKNOWN) {
		struct statx stx;
		if (statx(f->fd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_TYPE, &stx) ==
		    0)
			type = FS_TYPE(stx.stx_mode);
		if (type == DT_BLK || type == DT_CHR)
			return true;
	}
	record_put(f, &e, ino, off, type, name);
	return true;
}

static int list_synth(struct fill *f, uint64_t off)
{
	static const char *const dots[SYNTH_DOTS] = {".", ".."};
	uint64_t ino = fs_ino_synth(f->dir->self);
	for (; off < SYNTH_DOTS; off++)
		if (!put(f, ino, off + 1, DT_DIR, dots[off]))
			return (int)f->used;
	if (f->dir->key.kind != FS_KIND_SYNTH)
		return (int)f->used;
	uint64_t pos = off - SYNTH_DOTS;
	struct fs_node *n;
	while ((n = fs_tree_next(f->fs, f->dir, &pos))) {
		ino = n->key.kind == FS_KIND_REAL ? fs_ino_map(&f->fs->inos, n->key.dev, n->key.ino)
						  : fs_ino_synth(n->self);
		if (!put(f, ino, pos + SYNTH_DOTS, n->key.type, n->name))
			break;
	}
	return (int)f->used;
}

/* The host's record at p, checked although the kernel wrote it; NULL at the end. */
static const struct host_dirent *record_at(const uint8_t *buf, size_t len, size_t at)
{
	const struct host_dirent *h = (const struct host_dirent *)(buf + at);
	if (len - at < sizeof(*h) || h->reclen < sizeof(*h) || h->reclen > len - at)
		return NULL;
	return h;
}

static uint64_t shown_ino(const struct fill *f, const struct host_dirent *h)
{
	/* The parent of a view is none of the guest's business. */
	if ((f->dir->flags & FS_NODE_PINNED) && strcmp(h->name, "..") == 0)
		return fs_ino_map(&f->fs->inos, f->dir->key.dev, f->dir->key.ino);
	return fs_ino_map(&f->fs->inos, f->dir->key.dev, h->ino);
}

/* Returns 1 to go on, 0 at the end or when out is full, -errno. */
static int list_some(struct fill *f, struct fs_dir *d, uint64_t *off)
{
	static uint8_t buf[DIR_BUF] __attribute__((aligned(8)));
	size_t left = f->room - f->used;
	size_t ask = MIN(MAX(f->plus ? left / PLUS_FACTOR : left, DIR_ASK_MIN), sizeof(buf));
	if (d->pos != *off) {
		if (lseek(d->fd, (off_t)*off, SEEK_SET) < 0)
			return -errno;
		d->pos = *off;
	}
	long n = syscall(SYS_getdents64, d->fd, buf, ask);
	if (n <= 0)
		return n < 0 ? -errno : 0;
	const struct host_dirent *h;
	for (size_t at = 0; (h = record_at(buf, (size_t)n, at)); at += h->reclen) {
		d->pos = (uint64_t)h->off;
		if (!put(f, shown_ino(f, h), (uint64_t)h->off, h->type, h->name)) {
			d->pos = UINT64_MAX; /* the descriptor is ahead of what was taken */
			return f->used > 0 ? 0 : -EINVAL;
		}
		*off = (uint64_t)h->off;
	}
	return 1;
}

int fs_dir_read(struct fs *fs, struct fs_node *n, uint64_t fh, uint64_t off, uint8_t *out,
		size_t room, bool plus)
{
	struct fs_dir *d = dir_get(fs, fs_node_id(n), fh);
	if (!d)
		return -EBADF;
	if (off > INT64_MAX)
		return -EINVAL;
	struct fill f = {.fs = fs, .dir = n, .fd = d->fd, .out = out, .room = room, .plus = plus};
	if (d->fd < 0)
		return list_synth(&f, off);
	int ret;
	do {
		ret = list_some(&f, d, &off);
	} while (ret > 0);
	return ret < 0 && f.used == 0 ? ret : (int)f.used;
}
