// SPDX-License-Identifier: Apache-2.0
// unpack_dir.c - a directory of the host into a tree, and its files' data into an image
//
// Names are opened below the directory, never through a link, never into another mount: /proc of a
// tree that is somebody's root is an empty directory in the image.
#include "image/unpack_dir.h"

#include "base/checked.h"
#include "base/cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <search.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#define LAYER 1u
#define COPY_SIZE 262144u
#define XATTR_NAMES_MAX 65536u

struct seen { /* a file with several names */
	dev_t dev;
	ino_t ino;
	char *path;
};

struct scan {
	struct unpack *u;
	char **todo; /* paths of directories, relative to the root; "" is the root */
	size_t n, cap;
	void *seen; /* tsearch() */
	uint32_t next;
	char *xattr_names;
	char *xattr_value;
};

static int by_inode(const void *a, const void *b)
{
	const struct seen *x = a;
	const struct seen *y = b;
	if (x->ino != y->ino)
		return x->ino < y->ino ? -1 : 1;
	return (x->dev > y->dev) - (x->dev < y->dev);
}

static int open_below(int root, const char *path, uint64_t flags)
{
	struct open_how how = {.flags = flags | O_CLOEXEC | O_NOFOLLOW,
			       .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
					  RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV};
	long fd = syscall(SYS_openat2, root, *path ? path : ".", &how, sizeof(how));
	return fd < 0 ? -errno : (int)fd;
}

static int push(struct scan *s, const char *path)
{
	if (s->n == s->cap) {
		size_t cap = s->cap ? 2 * s->cap : 256;
		char **grown = reallocarray(s->todo, cap, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		s->todo = grown;
		s->cap = cap;
	}
	s->todo[s->n] = strdup(path);
	return s->todo[s->n++] ? 0 : -ENOMEM;
}

/* Of an open file or directory; a file system without attributes has none. */
static int add_xattrs(struct scan *s, int fd, struct tree_inode *i, struct err *e)
{
	ssize_t n = flistxattr(fd, s->xattr_names, XATTR_NAMES_MAX);
	int ret = 0;
	if (n < 0)
		return errno == ENOTSUP ? 0 : err_errno(e, errno, "its attributes");
	for (const char *name = s->xattr_names; name < s->xattr_names + n && ret == 0;
	     name += strlen(name) + 1) {
		if (!unpack_keeps(s->u, name))
			continue;
		ssize_t len = fgetxattr(fd, name, s->xattr_value, UINT16_MAX);
		ret = len < 0 ? err_errno(e, errno, "attribute '%.60s'", name)
			      : tree_xattr(&s->u->tree, i, name, s->xattr_value, (size_t)len, e);
	}
	return ret;
}

static int fill(struct scan *s, const struct stat *st, struct tree_inode *out)
{
	*out = (struct tree_inode){
		.mode = st->st_mode & (S_IFMT | 07777),
		.uid = st->st_uid,
		.gid = st->st_gid,
		.mtime = st->st_mtim.tv_sec,
		.mtime_nsec = (uint32_t)st->st_mtim.tv_nsec,
		.size = (uint64_t)st->st_size,
		.layer = LAYER,
		.entry = s->next++,
	};
	return 0;
}

/* 1: another name of a file that is there already. */
static int maybe_link(struct scan *s, const char *path, const struct stat *st, struct err *e)
{
	struct seen key = {.dev = st->st_dev, .ino = st->st_ino};
	if (st->st_nlink < 2 || S_ISDIR(st->st_mode))
		return 0;
	void *const *found = tfind(&key, &s->seen, by_inode);
	if (found) {
		const struct seen *first = *found;
		int ret = tree_link(&s->u->tree, path, first->path, LAYER, e);
		return ret < 0 ? ret : 1;
	}
	struct seen *one = malloc(sizeof(*one));
	if (!one)
		return err_set(e, ENOMEM, "out of memory");
	*one = key;
	one->path = strdup(path);
	if (!one->path || !tsearch(one, &s->seen, by_inode)) {
		free(one->path);
		free(one);
		return err_set(e, ENOMEM, "out of memory");
	}
	return 0;
}

static int add_file(struct scan *s, const char *path, const struct stat *st, struct err *e)
{
	struct tree_inode proto;
	struct tree_inode *i = NULL;
	char target[TREE_PATH_MAX];
	fill(s, st, &proto);
	int ret = maybe_link(s, path, st, e);
	if (ret != 0)
		return MIN(ret, 0);
	if (S_ISLNK(st->st_mode)) {
		AUTO_CLOSE int fd = open_below(s->u->src->fd, path, O_PATH);
		ssize_t n = fd < 0 ? -1 : readlinkat(fd, "", target, sizeof(target) - 1);
		if (n < 0)
			return err_errno(e, fd < 0 ? -fd : errno, "a symbolic link");
		target[n] = '\0';
	}
	if (S_ISREG(st->st_mode))
		ret = unpack_charge(s->u, proto.size, e);
	if (ret == 0)
		ret = tree_add(&s->u->tree, path, &proto, S_ISLNK(st->st_mode) ? target : NULL, &i,
			       e);
	if (ret < 0 || !S_ISREG(st->st_mode))
		return ret;
	AUTO_CLOSE int fd = open_below(s->u->src->fd, path, O_RDONLY | O_NONBLOCK);
	return fd < 0 ? err_errno(e, -fd, "can't open it") : add_xattrs(s, fd, i, e);
}

static int scan_entry(struct scan *s, int dir, const char *above, const char *name, struct err *e)
{
	char path[TREE_PATH_MAX];
	struct stat st;
	int n = snprintf(path, sizeof(path), "%s%s%s", above, *above ? "/" : "", name);
	if (n < 0 || (size_t)n >= sizeof(path))
		return err_set(e, ENAMETOOLONG, "a name below '%.100s' is too long", above);
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno(e, errno, "'%.200s'", path);
	int ret;
	if (S_ISDIR(st.st_mode))
		ret = push(s, path) < 0 ? err_set(e, ENOMEM, "out of memory") : 0;
	else
		ret = add_file(s, path, &st, e);
	return ret < 0 ? err_wrap(e, ret, "'%.200s'", path) : 0;
}

static int scan_names(struct scan *s, int fd, const char *path, struct err *e)
{
	const struct dirent *de;
	int ret = 0;
	int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	DIR *d = own < 0 ? NULL : fdopendir(own);
	if (!d) {
		ret = err_errno(e, errno, "'%.200s'", path);
		if (own >= 0)
			close(own);
		return ret;
	}
	while (ret == 0 && (errno = 0, de = readdir(d)))
		if (strcmp(de->d_name, ".") != 0 && strcmp(de->d_name, "..") != 0)
			ret = scan_entry(s, fd, path, de->d_name, e);
	if (ret == 0 && errno != 0)
		ret = err_errno(e, errno, "'%.200s'", path);
	closedir(d);
	return ret;
}

/* A directory that is a mount point shows what is mounted: only it is kept, with what is known. */
static int scan_dir(struct scan *s, const char *path, struct err *e)
{
	struct tree_inode proto;
	struct tree_inode *i;
	struct stat st;
	int opened = open_below(s->u->src->fd, path, O_RDONLY | O_DIRECTORY);
	AUTO_CLOSE int fd = opened;
	bool mount = opened == -EXDEV;
	if (opened < 0 && !mount)
		return err_errno(e, -opened, "directory '%.200s'", path);
	if ((mount ? fstatat(s->u->src->fd, path, &st, AT_SYMLINK_NOFOLLOW) : fstat(fd, &st)) < 0)
		return err_errno(e, errno, "directory '%.200s'", path);
	fill(s, &st, &proto);
	int ret = tree_add(&s->u->tree, path, &proto, NULL, &i, e);
	if (ret == 0 && !mount)
		ret = add_xattrs(s, fd, i, e);
	if (ret < 0)
		return err_wrap(e, ret, "directory '%.200s'", path);
	return mount ? 0 : scan_names(s, fd, path, e);
}

static void free_seen(void *p)
{
	struct seen *one = p;
	free(one->path);
	free(one);
}

int unpack_dir_scan(struct unpack *u, struct err *e)
{
	struct scan s = {.u = u};
	s.xattr_names = malloc(XATTR_NAMES_MAX);
	s.xattr_value = malloc(UINT16_MAX);
	int ret = s.xattr_names && s.xattr_value && push(&s, "") == 0
			  ? 0
			  : err_set(e, ENOMEM, "out of memory");
	while (s.n > 0) {
		AUTO_FREE char *path = s.todo[--s.n];
		if (ret == 0)
			ret = scan_dir(&s, path, e);
	}
	free(s.todo);
	free(s.xattr_names);
	free(s.xattr_value);
	tdestroy(s.seen, free_seen);
	return ret;
}

/* --- data --- */

/* The path of a node; false if it is too long. */
static bool path_of(const struct tree_node *n, char out[TREE_PATH_MAX])
{
	size_t at = TREE_PATH_MAX - 1;
	out[at] = '\0';
	for (; n->parent != n; n = n->parent) {
		size_t len = strlen(n->name);
		if (at < len + 1)
			return false;
		if (out[at])
			out[--at] = '/';
		at -= len;
		memcpy(out + at, n->name, len);
	}
	memmove(out, out + at, TREE_PATH_MAX - at);
	return true;
}

static int copy_data(struct unpack *u, const struct erofs_layout *l, int from,
		     const struct tree_inode *i, int to, char *buf, struct err *e)
{
	uint64_t at = 0;
	while (at < i->size) {
		ssize_t n = pread(from, buf, (size_t)MIN(i->size - at, COPY_SIZE), (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(e, errno, "can't read it");
		if (n == 0)
			return err_set(e, EBADMSG, "it was changed while it was read");
		int ret = erofs_write_data(to, i, at, buf, (size_t)n, e);
		if (ret < 0)
			return ret;
		at += (uint64_t)n;
		u->written += (uint64_t)n;
		if (u->progress)
			u->progress(u->arg, u->written, l->data_bytes);
	}
	return 0;
}

static int write_one(struct unpack *u, const struct erofs_layout *l, const struct tree_inode *i,
		     int to, char *buf, struct err *e)
{
	char path[TREE_PATH_MAX];
	struct stat st;
	if (!path_of(i->node, path))
		return err_set(e, ENAMETOOLONG, "a name is too long");
	AUTO_CLOSE int fd = open_below(u->src->fd, path, O_RDONLY | O_NONBLOCK);
	int ret = fd;
	if (fd < 0)
		err_errno(e, -fd, "can't open it");
	else if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size != i->size ||
		 st.st_mtim.tv_sec != i->mtime || st.st_mtim.tv_nsec != i->mtime_nsec)
		ret = err_set(e, EBADMSG, "it was changed while it was read");
	else
		ret = copy_data(u, l, fd, i, to, buf, e);
	return ret < 0 ? err_wrap(e, ret, "'%.200s'", path) : 0;
}

int unpack_dir_write(struct unpack *u, const struct erofs_layout *l, int fd, struct err *e)
{
	AUTO_FREE char *buf = malloc(COPY_SIZE);
	int ret = buf ? 0 : err_set(e, ENOMEM, "out of memory");
	for (size_t k = 0; k < l->nfiles && ret == 0; k++)
		ret = write_one(u, l, l->files[k], fd, buf, e);
	return ret;
}
