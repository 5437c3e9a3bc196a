// SPDX-License-Identifier: Apache-2.0
// erofs_read.c - reads the EROFS images that erofs_write.c writes; trusts no number in them
//
// An image was written by the confined half of an import, which a hostile archive may have taken
// over. Whatever is outside of the file, or of a kind that we do not write, is an error.
#include "image/erofs_read.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "image/erofs_format.h"

#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_MAX_LEN 255u
#define PATH_LEN 4096u
#define LINKS_MAX 40u

static int read_at(const struct erofs *fs, uint64_t at, void *buf, size_t len, struct err *e)
{
	uint8_t *p = buf;
	if (!range_inside(at, len, fs->bytes))
		return err_set(e, EUCLEAN, "the image is damaged: something lies behind its end");
	while (len > 0) {
		ssize_t n = pread(fs->fd, p, len, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(e, errno, "can't read the image");
		if (n == 0)
			return err_set(e, EUCLEAN, "the image is shorter than it was");
		p += n;
		at += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

int erofs_open(struct erofs *fs, int fd, struct err *e)
{
	struct erofs_super s;
	struct stat st;
	if (fstat(fd, &st) < 0)
		return err_errno(e, errno, "can't look at the image");
	*fs = (struct erofs){.fd = fd, .bytes = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0};
	if (fs->bytes < EROFS_BLOCK)
		return err_set(e, EUCLEAN, "the image is no file, or too short");
	int ret = read_at(fs, EROFS_SUPER_AT, &s, sizeof(s), e);
	if (ret < 0)
		return ret;
	if (le32toh(s.magic) != EROFS_MAGIC || s.block_bits != EROFS_BLOCK_BITS ||
	    s.feature_incompat != 0 || s.meta_block != 0 ||
	    (uint64_t)le32toh(s.blocks) << EROFS_BLOCK_BITS != fs->bytes)
		return err_set(e, EUCLEAN, "the image is not one of ours, or damaged");
	fs->root = le16toh(s.root_nid);
	return 0;
}

int erofs_stat(const struct erofs *fs, uint64_t nid, struct erofs_file *out, struct err *e)
{
	struct erofs_inode d;
	if (nid >> 48)
		return err_set(e, EUCLEAN, "the image is damaged: inode %llu",
			       (unsigned long long)nid);
	uint64_t at = nid << EROFS_NID_SHIFT;
	int ret = read_at(fs, at, &d, sizeof(d), e);
	if (ret < 0)
		return ret;
	unsigned format = le16toh(d.format);
	unsigned count = le16toh(d.xattr_count);
	*out = (struct erofs_file){
		.nid = nid,
		.mode = le16toh(d.mode),
		.uid = le32toh(d.uid),
		.gid = le32toh(d.gid),
		.nlink = le32toh(d.nlink),
		.size = le64toh(d.size),
		.mtime = (int64_t)le64toh(d.mtime),
		.mtime_nsec = le32toh(d.mtime_nsec),
		.data = (uint64_t)le32toh(d.block) << EROFS_BLOCK_BITS,
		.xattrs = at + sizeof(d),
		.xattr_bytes = count ? EROFS_XATTR_HEADER + (count - 1) * 4 : 0,
	};
	if (format == (EROFS_EXTENDED | EROFS_FLAT_INLINE))
		out->data = out->xattrs + out->xattr_bytes;
	else if (format != (EROFS_EXTENDED | EROFS_FLAT_PLAIN))
		return err_set(e, EUCLEAN, "the image is damaged: inode %llu",
			       (unsigned long long)nid);
	if (!range_inside(out->data, out->size, fs->bytes) ||
	    !range_inside(out->xattrs, out->xattr_bytes, fs->bytes))
		return err_set(e, EUCLEAN, "the image is damaged: data of inode %llu",
			       (unsigned long long)nid);
	return 0;
}

int erofs_pread(const struct erofs *fs, const struct erofs_file *f, uint64_t at, void *buf,
		size_t len, struct err *e)
{
	if (!range_inside(at, len, f->size))
		return err_set(e, EINVAL, "behind the end of the file");
	return read_at(fs, f->data + at, buf, len, e);
}

static int bad_dir(const struct erofs_file *dir, struct err *e)
{
	return err_set(e, EUCLEAN, "the image is damaged: directory %llu",
		       (unsigned long long)dir->nid);
}

struct block {
	uint8_t data[EROFS_BLOCK];
	size_t len;
	size_t count;
};

static struct erofs_dirent entry_of(const struct block *b, size_t k)
{
	struct erofs_dirent d;
	memcpy(&d, b->data + k * sizeof(d), sizeof(d));
	return d;
}

/* The k-th name; false if it is none. */
static bool name_of(const struct block *b, size_t k, char name[NAME_MAX_LEN + 1])
{
	size_t at = le16toh(entry_of(b, k).name_at);
	size_t end = k + 1 < b->count ? le16toh(entry_of(b, k + 1).name_at) : b->len;
	if (at < b->count * sizeof(struct erofs_dirent) || at >= end || end > b->len)
		return false;
	size_t n = strnlen((const char *)b->data + at, end - at);
	if (n == 0 || n > NAME_MAX_LEN || memchr(b->data + at, '/', n))
		return false;
	memcpy(name, b->data + at, n);
	name[n] = '\0';
	return true;
}

static int each_in_block(const struct erofs_file *dir, const struct block *b, erofs_entry_fn *fn,
			 void *arg, struct err *e)
{
	char name[NAME_MAX_LEN + 1];
	int ret = 0;
	for (size_t k = 0; k < b->count && ret == 0; k++) {
		if (!name_of(b, k, name))
			return bad_dir(dir, e);
		if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
			ret = fn(name, le64toh(entry_of(b, k).nid), arg, e);
	}
	return ret;
}

int erofs_dir(const struct erofs *fs, const struct erofs_file *dir, erofs_entry_fn *fn, void *arg,
	      struct err *e)
{
	struct block b;
	if (!S_ISDIR(dir->mode))
		return err_set(e, ENOTDIR, "not a directory");
	int ret = 0;
	for (uint64_t at = 0; at < dir->size && ret == 0; at += EROFS_BLOCK) {
		b.len = (size_t)MIN(dir->size - at, EROFS_BLOCK);
		ret = erofs_pread(fs, dir, at, b.data, b.len, e);
		if (ret < 0)
			return ret;
		if (b.len < sizeof(struct erofs_dirent))
			return bad_dir(dir, e);
		b.count = 1;
		size_t first = le16toh(entry_of(&b, 0).name_at);
		if (first < sizeof(struct erofs_dirent) || first >= b.len ||
		    first % sizeof(struct erofs_dirent) != 0)
			return bad_dir(dir, e);
		b.count = first / sizeof(struct erofs_dirent);
		ret = each_in_block(dir, &b, fn, arg, e);
	}
	return ret;
}

/* One attribute at *at of buf; false if it does not fit. */
static bool xattr_at(const uint8_t *buf, size_t size, size_t *at, struct erofs_xattr *head,
		     char name[NAME_MAX_LEN + 16], const uint8_t **value)
{
	if (!range_inside(*at, sizeof(*head), size))
		return false;
	memcpy(head, buf + *at, sizeof(*head));
	size_t body = *at + sizeof(*head);
	size_t len = le16toh(head->value_len);
	if (!range_inside(body, head->name_len + len, size) ||
	    (head->index != EROFS_XATTR_USER && head->index != EROFS_XATTR_SECURITY) ||
	    memchr(buf + body, '\0', head->name_len))
		return false;
	snprintf(name, NAME_MAX_LEN + 16, "%s.%.*s",
		 head->index == EROFS_XATTR_USER ? "user" : "security", head->name_len,
		 (const char *)buf + body);
	*value = buf + body + head->name_len;
	*at = (body + head->name_len + len + 3) / 4 * 4;
	return true;
}

int erofs_xattrs(const struct erofs *fs, const struct erofs_file *f, erofs_xattr_fn *fn, void *arg,
		 struct err *e)
{
	char name[NAME_MAX_LEN + 16];
	struct erofs_xattr head;
	const uint8_t *value;
	if (f->xattr_bytes <= EROFS_XATTR_HEADER)
		return 0;
	AUTO_FREE uint8_t *buf = malloc(f->xattr_bytes);
	if (!buf)
		return err_set(e, ENOMEM, "out of memory");
	int ret = read_at(fs, f->xattrs, buf, f->xattr_bytes, e);
	for (size_t at = EROFS_XATTR_HEADER; ret == 0 && at < f->xattr_bytes;) {
		if (!xattr_at(buf, f->xattr_bytes, &at, &head, name, &value))
			return err_set(e, EUCLEAN, "the image is damaged: attributes of inode %llu",
				       (unsigned long long)f->nid);
		ret = fn(name, value, le16toh(head.value_len), arg, e);
	}
	return ret;
}

struct wanted {
	const char *name;
	uint64_t nid;
};

static int match(const char *name, uint64_t nid, void *arg, struct err *e)
{
	struct wanted *w = arg;
	(void)e;
	w->nid = nid;
	return strcmp(name, w->name) == 0;
}

/* The link's target and what is left of the path become the path. */
static int follow(const struct erofs *fs, const struct erofs_file *link, char *path,
		  const char *rest)
{
	char joined[PATH_LEN];
	size_t left = strlen(rest);
	if (link->size == 0 || link->size + left + 2 > sizeof(joined))
		return -ENAMETOOLONG;
	int ret = erofs_pread(fs, link, 0, joined, (size_t)link->size, NULL);
	if (ret < 0)
		return ret;
	joined[link->size] = '/';
	memcpy(joined + link->size + 1, rest, left + 1);
	memcpy(path, joined, link->size + 1 + left + 1);
	return 0;
}

struct way {
	uint64_t dir[PATH_LEN / 2]; /* nids from the root on */
	size_t depth;
};

/* One component of the path below the way's last directory. */
static int descend(const struct erofs *fs, struct way *w, const char *name, struct erofs_file *out)
{
	struct wanted want = {.name = name};
	if (strcmp(name, ".") == 0)
		return 0;
	if (strcmp(name, "..") == 0) {
		w->depth -= w->depth > 1;
		return erofs_stat(fs, w->dir[w->depth - 1], out, NULL);
	}
	int ret = erofs_dir(fs, out, match, &want, NULL);
	if (ret <= 0)
		return ret < 0 ? ret : -ENOENT;
	ret = erofs_stat(fs, want.nid, out, NULL);
	if (ret == 0 && S_ISDIR(out->mode)) {
		if (w->depth == ARRAY_SIZE(w->dir))
			return -ENAMETOOLONG;
		w->dir[w->depth++] = want.nid;
	}
	return ret;
}

static int walk(const struct erofs *fs, struct way *w, char *text, struct erofs_file *out)
{
	unsigned links = 0;
	int ret = erofs_stat(fs, fs->root, out, NULL);
	char *next = text;
	while (ret == 0) {
		next += strspn(next, "/");
		if (!*next)
			return 0;
		char *name = next;
		next += strcspn(next, "/");
		if (*next)
			*next++ = '\0';
		ret = descend(fs, w, name, out);
		if (ret == 0 && S_ISLNK(out->mode)) {
			ret = ++links > LINKS_MAX ? -ELOOP : follow(fs, out, text, next);
			next = text;
			w->depth = text[0] == '/' ? 1 : w->depth;
			if (ret == 0)
				ret = erofs_stat(fs, w->dir[w->depth - 1], out, NULL);
		}
	}
	return ret;
}

int erofs_find(const struct erofs *fs, const char *path, struct erofs_file *out)
{
	char text[PATH_LEN];
	if ((size_t)snprintf(text, sizeof(text), "%s", path) >= sizeof(text))
		return -ENAMETOOLONG;
	AUTO_FREE struct way *w = malloc(sizeof(*w));
	if (!w)
		return -ENOMEM;
	w->dir[0] = fs->root;
	w->depth = 1;
	return walk(fs, w, text, out);
}
