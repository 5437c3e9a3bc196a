// SPDX-License-Identifier: Apache-2.0
// erofs_write.c - lays a tree out as an EROFS image and writes it; the same tree, the same bytes
//
// Each inode is of the extended kind (for its mtime), its xattrs follow it. Small files, small
// directories and most link targets follow them in the same block ("inline"); everything else has
// blocks of its own, in one run. Nothing depends on the order in which an archive had its entries,
// nor on who runs this.
#include "image/erofs_write.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "image/erofs_format.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* More than this follows no inode: the blocks of inodes would fill badly. */
#define INLINE_MAX 2048u
#define OUT_SIZE 65536u

static_assert(sizeof(struct erofs_super) == 128, "EROFS superblock");
static_assert(sizeof(struct erofs_inode) == 64, "EROFS extended inode");
static_assert(sizeof(struct erofs_dirent) == 12, "EROFS directory entry");

static uint64_t round_up(uint64_t n, uint64_t unit)
{
	return (n + unit - 1) / unit * unit;
}

static bool stored(const struct tree_inode *i)
{
	return S_ISREG(i->mode) || S_ISDIR(i->mode) || S_ISLNK(i->mode) || S_ISFIFO(i->mode);
}

static uint32_t xattr_size(const struct tree_inode *i)
{
	uint32_t n = 0;
	for (const struct tree_xattr *x = i->xattrs; x; x = x->next) {
		const char *bare = strchr(x->name, '.');
		n += (uint32_t)round_up(sizeof(struct erofs_xattr) + strlen(bare ? bare + 1 : "") +
						x->value_len,
					4);
	}
	return n ? n + EROFS_XATTR_HEADER : 0;
}

/* --- order --- */

struct ordering {
	struct erofs_layout *l;
	struct tree_node *dir;
};

static void order_child(struct tree_node *n, void *arg)
{
	struct ordering *o = arg;
	if (!stored(n->inode)) {
		o->l->skipped++;
		return;
	}
	o->l->order[o->l->n++] = n;
	o->dir->count++;
	if (!n->inode->node) {
		n->inode->node = n;
		n->inode->nlink = 0;
		o->l->inodes++;
	}
	n->inode->nlink++;
	if (S_ISDIR(n->inode->mode)) {
		n->inode->nlink = 2;
		o->dir->inode->nlink++;
	}
}

static void make_order(struct tree *t, struct erofs_layout *l)
{
	l->order[l->n++] = t->root;
	l->inodes = 1;
	t->root->inode->node = t->root;
	t->root->inode->nlink = 2;
	for (size_t i = 0; i < l->n; i++) {
		struct tree_node *d = l->order[i];
		struct ordering o = {.l = l, .dir = d};
		d->first = (uint32_t)l->n;
		d->count = 0;
		if (S_ISDIR(d->inode->mode))
			tree_children(d, order_child, &o);
	}
}

/* --- directories --- */

/* A directory's names in order, with "." and "..", which are sorted in among the others. */
struct names {
	const struct erofs_layout *l;
	const struct tree_node *dir;
	uint32_t next; /* child */
	unsigned dots; /* already given */
};

struct entry {
	const char *name;
	const struct tree_inode *inode;
};

static bool names_next(struct names *s, struct entry *out)
{
	static const char *const dot[] = {".", ".."};
	const struct tree_node *kid =
		s->next < s->dir->count ? s->l->order[s->dir->first + s->next] : NULL;
	if (s->dots < 2 && (!kid || strcmp(dot[s->dots], kid->name) < 0)) {
		const struct tree_node *n = s->dots ? s->dir->parent : s->dir;
		*out = (struct entry){.name = dot[s->dots++], .inode = n->inode};
		return true;
	}
	if (!kid)
		return false;
	*out = (struct entry){.name = kid->name, .inode = kid->inode};
	s->next++;
	return true;
}

static uint64_t dir_size(const struct erofs_layout *l, const struct tree_node *dir)
{
	struct names s = {.l = l, .dir = dir};
	struct entry en;
	uint64_t full = 0;
	size_t used = 0;
	while (names_next(&s, &en)) {
		size_t need = sizeof(struct erofs_dirent) + strlen(en.name);
		if (used + need > EROFS_BLOCK) {
			full += EROFS_BLOCK;
			used = 0;
		}
		used += need;
	}
	return full + used;
}

static uint8_t entry_type(mode_t mode)
{
	return S_ISREG(mode) ? 1 : S_ISDIR(mode) ? 2 : S_ISFIFO(mode) ? 5 : 7;
}

/* Entries for one block into buf, which is zeroed first; returns how many bytes they take. */
static size_t fill_block(struct names *s, uint8_t *buf)
{
	struct names ahead = *s;
	struct entry en;
	size_t count = 0;
	size_t used = 0;
	while (names_next(&ahead, &en)) {
		size_t need = sizeof(struct erofs_dirent) + strlen(en.name);
		if (used + need > EROFS_BLOCK)
			break;
		used += need;
		count++;
	}
	memset(buf, 0, EROFS_BLOCK);
	size_t at = count * sizeof(struct erofs_dirent);
	for (size_t i = 0; i < count && names_next(s, &en); i++) {
		size_t len = strlen(en.name);
		struct erofs_dirent d = {
			.nid = htole64(en.inode->pos >> EROFS_NID_SHIFT),
			.name_at = htole16((uint16_t)at),
			.type = entry_type(en.inode->mode),
		};
		memcpy(buf + i * sizeof(d), &d, sizeof(d));
		memcpy(buf + at, en.name, len);
		at += len;
	}
	return used;
}

/* --- places --- */

/* Other data begins with a block, and what is inline never does: its inode is there. */
static bool is_inline(const struct tree_inode *i)
{
	return i->data % EROFS_BLOCK != 0;
}

static void place_inode(struct tree_inode *i, uint64_t *at)
{
	uint64_t head = sizeof(struct erofs_inode) + xattr_size(i);
	uint64_t max = S_ISLNK(i->mode) ? EROFS_BLOCK : INLINE_MAX;
	bool in = i->size > 0 && i->size <= max && head + i->size <= EROFS_BLOCK;
	uint64_t need = in ? head + i->size : head;
	uint64_t room = EROFS_BLOCK - *at % EROFS_BLOCK;
	/* What is inline may not cross into the next block, nor may a bare inode. */
	if (room < (need <= EROFS_BLOCK ? need : sizeof(struct erofs_inode)))
		*at += room;
	i->pos = *at;
	i->data = in ? *at + head : 0;
	*at = round_up(*at + need, 1u << EROFS_NID_SHIFT);
}

static void place_data(struct tree_inode *i, uint64_t *at)
{
	if (i->size == 0 || i->data != 0)
		return;
	i->data = *at;
	*at = round_up(*at + i->size, EROFS_BLOCK);
}

static int by_entry(const void *a, const void *b)
{
	const struct tree_inode *x = *(struct tree_inode *const *)a;
	const struct tree_inode *y = *(struct tree_inode *const *)b;
	if (x->layer != y->layer)
		return x->layer < y->layer ? -1 : 1;
	return (x->entry > y->entry) - (x->entry < y->entry);
}

static void place_all(struct erofs_layout *l)
{
	uint64_t at = EROFS_INODES_AT;
	for (size_t k = 0; k < l->n; k++) {
		struct tree_inode *i = l->order[k]->inode;
		if (i->node != l->order[k])
			continue;
		if (S_ISDIR(i->mode))
			i->size = dir_size(l, l->order[k]);
		place_inode(i, &at);
	}
	at = round_up(at, EROFS_BLOCK);
	/* Directories together: a walk over the tree reads few blocks. */
	for (unsigned files = 0; files < 2; files++)
		for (size_t k = 0; k < l->n; k++) {
			struct tree_inode *i = l->order[k]->inode;
			if (i->node == l->order[k] && S_ISREG(i->mode) == (files == 1))
				place_data(i, &at);
		}
	l->bytes = at;
	for (size_t k = 0; k < l->n; k++) {
		struct tree_inode *i = l->order[k]->inode;
		if (i->node != l->order[k] || !S_ISREG(i->mode) || i->size == 0)
			continue;
		l->files[l->nfiles++] = i;
		l->data_bytes += i->size;
	}
	qsort(l->files, l->nfiles, sizeof(struct tree_inode *), by_entry);
}

int erofs_layout(struct tree *t, struct erofs_layout *l, struct err *e)
{
	uint64_t sum = 0;
	memset(l, 0, sizeof(*l));
	l->order = calloc(t->entries + 1, sizeof(struct tree_node *));
	l->files = calloc(t->entries + 1, sizeof(struct tree_inode *));
	if (!l->order || !l->files) {
		erofs_layout_free(l);
		return err_set(e, ENOMEM, "out of memory");
	}
	make_order(t, l);
	for (size_t k = 0; k < l->n; k++)
		if (add_overflows(sum, l->order[k]->inode->size, &sum) || sum >> 43) {
			erofs_layout_free(l);
			return err_set(e, EFBIG, "the files are larger than an image can be");
		}
	place_all(l);
	return 0;
}

void erofs_layout_free(struct erofs_layout *l)
{
	free(l->order);
	free(l->files);
	memset(l, 0, sizeof(*l));
}

/* --- writing --- */

/* Collects what is written at growing offsets; gaps are left alone. */
struct out {
	int fd;
	uint64_t at; /* of the buffer */
	size_t n;
	uint8_t buf[OUT_SIZE];
};

static int write_at(int fd, const void *data, size_t len, uint64_t at)
{
	const uint8_t *p = data;
	while (len > 0) {
		ssize_t n = pwrite(fd, p, len, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		p += n;
		at += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

static int out_flush(struct out *o)
{
	int ret = write_at(o->fd, o->buf, o->n, o->at);
	o->at += o->n;
	o->n = 0;
	return ret;
}

static int out_put(struct out *o, uint64_t at, const void *data, size_t len)
{
	int ret = 0;
	if (len == 0)
		return 0;
	if (at != o->at + o->n || len > OUT_SIZE - o->n) {
		ret = out_flush(o);
		o->at = at;
	}
	if (ret == 0 && len > OUT_SIZE) {
		ret = write_at(o->fd, data, len, at);
		o->at = at + len;
	} else if (ret == 0) {
		memcpy(o->buf + o->n, data, len);
		o->n += len;
	}
	return ret;
}

static int put_super(const struct erofs_layout *l, struct out *o)
{
	struct erofs_super s = {
		.magic = htole32(EROFS_MAGIC),
		.feature_compat = htole32(EROFS_COMPAT_MTIME),
		.block_bits = EROFS_BLOCK_BITS,
		.root_nid = htole16(EROFS_INODES_AT >> EROFS_NID_SHIFT),
		.inodes = htole64(l->inodes),
		.blocks = htole32((uint32_t)(l->bytes >> EROFS_BLOCK_BITS)),
	};
	return out_put(o, EROFS_SUPER_AT, &s, sizeof(s));
}

static int put_xattrs(const struct tree_inode *i, struct out *o)
{
	static const uint8_t zero[EROFS_XATTR_HEADER];
	uint64_t at = i->pos + sizeof(struct erofs_inode);
	int ret = i->xattrs ? out_put(o, at, zero, EROFS_XATTR_HEADER) : 0;
	at += EROFS_XATTR_HEADER;
	for (const struct tree_xattr *x = i->xattrs; x && ret == 0; x = x->next) {
		const char *dot = strchr(x->name, '.');
		const char *bare = dot ? dot + 1 : "";
		size_t len = strlen(bare);
		struct erofs_xattr head = {
			.name_len = (uint8_t)len,
			.index = x->name[0] == 'u' ? EROFS_XATTR_USER : EROFS_XATTR_SECURITY,
			.value_len = htole16(x->value_len),
		};
		ret = out_put(o, at, &head, sizeof(head));
		at += sizeof(head);
		if (ret == 0)
			ret = out_put(o, at, bare, len);
		at += len;
		if (ret == 0)
			ret = out_put(o, at, x->value, x->value_len);
		at += x->value_len;
		size_t pad = (size_t)(round_up(at, 4) - at);
		if (ret == 0)
			ret = out_put(o, at, zero, pad);
		at += pad;
	}
	return ret;
}

static int put_inode(const struct tree_inode *i, uint32_t ino, struct out *o)
{
	uint32_t xattrs = xattr_size(i);
	uint32_t count = xattrs ? (xattrs - EROFS_XATTR_HEADER) / 4 + 1 : 0;
	bool in = is_inline(i);
	struct erofs_inode d = {
		.format = htole16(EROFS_EXTENDED | (in ? EROFS_FLAT_INLINE : EROFS_FLAT_PLAIN)),
		.xattr_count = htole16((uint16_t)count),
		.mode = htole16((uint16_t)i->mode),
		.size = htole64(i->size),
		.block = htole32(in ? 0 : (uint32_t)(i->data >> EROFS_BLOCK_BITS)),
		.ino = htole32(ino),
		.uid = htole32(i->uid),
		.gid = htole32(i->gid),
		.mtime = htole64((uint64_t)i->mtime),
		.mtime_nsec = htole32(i->mtime_nsec),
		.nlink = htole32(i->nlink),
	};
	int ret = out_put(o, i->pos, &d, sizeof(d));
	return ret < 0 ? ret : put_xattrs(i, o);
}

static int put_dir(const struct erofs_layout *l, const struct tree_node *n, struct out *o)
{
	uint8_t block[EROFS_BLOCK];
	struct names s = {.l = l, .dir = n};
	uint64_t left = n->inode->size;
	int ret = 0;
	for (uint64_t at = n->inode->data; left > 0 && ret == 0; at += EROFS_BLOCK) {
		fill_block(&s, block);
		size_t len = (size_t)MIN(left, EROFS_BLOCK);
		ret = out_put(o, at, block, len);
		left -= len;
	}
	return ret;
}

/* What is inline goes with the inodes, the rest in a second round: offsets grow in each. */
static int put_all(const struct erofs_layout *l, bool in, struct out *o)
{
	uint32_t ino = 0;
	int ret = 0;
	for (size_t k = 0; k < l->n && ret == 0; k++) {
		const struct tree_node *n = l->order[k];
		const struct tree_inode *i = n->inode;
		if (i->node != n)
			continue;
		if (in)
			ret = put_inode(i, ++ino, o);
		if (ret < 0 || is_inline(i) != in)
			continue;
		if (S_ISDIR(i->mode))
			ret = put_dir(l, n, o);
		else if (S_ISLNK(i->mode))
			ret = out_put(o, i->data, i->target, (size_t)i->size);
	}
	return ret;
}

int erofs_write_meta(const struct erofs_layout *l, int fd, struct err *e)
{
	AUTO_FREE struct out *o = calloc(1, sizeof(*o));
	if (!o)
		return err_set(e, ENOMEM, "out of memory");
	o->fd = fd;
	int ret = ftruncate(fd, (off_t)l->bytes) < 0 ? -errno : put_super(l, o);
	if (ret == 0)
		ret = put_all(l, true, o);
	if (ret == 0)
		ret = put_all(l, false, o);
	if (ret == 0)
		ret = out_flush(o);
	return ret < 0 ? err_errno(e, -ret, "can't write the image") : 0;
}

static bool all_zero(const uint8_t *p, size_t n)
{
	return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}

int erofs_write_data(int fd, const struct tree_inode *i, uint64_t at, const void *data, size_t len,
		     struct err *e)
{
	const uint8_t *p = data;
	int ret = 0;
	if (!range_inside(at, len, i->size))
		return err_set(e, EFBIG, "more data than the file's size");
	at += i->data;
	/* In runs of blocks that are not zero: one call for each. */
	while (len > 0 && ret == 0) {
		size_t run = 0;
		size_t skip = 0;
		while (run < len) {
			size_t n = MIN(len - run, EROFS_BLOCK - (at + run) % EROFS_BLOCK);
			if (all_zero(p + run, n)) {
				skip = n;
				break;
			}
			run += n;
		}
		ret = run > 0 ? write_at(fd, p, run, at) : 0;
		p += run + skip;
		at += run + skip;
		len -= run + skip;
	}
	return ret < 0 ? err_errno(e, -ret, "can't write the image") : 0;
}
