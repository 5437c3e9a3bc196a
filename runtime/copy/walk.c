// SPDX-License-Identifier: Apache-2.0
// walk.c - walks a file or a tree depth first and sends what it finds
//
// Theory of operation: the walk holds one open directory per level and looks at names only relative
// to it, without following links, so that nothing that is renamed meanwhile leads elsewhere. The
// connection carries this one stream; its socket is the back-pressure: the walk stops when the peer
// takes no more.
#include "copy/walk.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

/* Without a wait of the caller's there is no deadline: its process ends with the connection. */
static int wait_writable(struct walk *f)
{
	if (f->wait)
		return f->wait(f->arg);
	struct pollfd p = {.fd = f->conn->fd, .events = POLLOUT};
	return poll(&p, 1, -1) < 0 && errno != EINTR ? -errno : 0;
}

static int flush_all(struct walk *f, bool all)
{
	int left;
	while ((left = frame_flush(f->conn)) == 1 && (all || !frame_room(f->conn))) {
		int ret = wait_writable(f);
		if (ret < 0)
			return ret;
	}
	return left < 0 ? left : 0;
}

static int put(struct walk *f, const Mayfly__Frame *frame)
{
	int ret = frame_send(f->conn, frame);
	if (ret == 0 && !frame_room(f->conn))
		ret = flush_all(f, false);
	return ret;
}

/* The path below the top of the name that each level is at. */
static size_t path_of(const struct walk *f, const char *name, char buf[PATH_MAX])
{
	size_t n = 0;
	buf[0] = '\0';
	for (size_t i = 0; i < f->depth && n < PATH_MAX - 1; i++) {
		const struct walk_dir *d = &f->level[i];
		const char *part = i + 1 < f->depth ? d->name[d->next - 1] : name;
		n += (size_t)snprintf(buf + n, PATH_MAX - n, "%s%s", n ? "/" : "", part);
	}
	return MIN(n, (size_t)PATH_MAX - 1);
}

/* Something that is not copied; the walk goes on. */
static int note(struct walk *f, const char *name, bool lost, const char *text)
{
	char path[PATH_MAX];
	Mayfly__Frame frame = MAYFLY__FRAME__INIT;
	Mayfly__FetchNote m = MAYFLY__FETCH_NOTE__INIT;
	f->lost += lost;
	if (f->notes++ >= PROTO_TREE_NOTES_MAX)
		return 0;
	m.path.len = path_of(f, name, path);
	if (f->noted)
		f->noted(f->arg, path, text);
	m.path.data = (uint8_t *)path;
	m.text = (char *)(uintptr_t)text;
	m.lost = lost;
	frame.body_case = MAYFLY__FRAME__BODY_FETCH_NOTE;
	frame.fetch_note = &m;
	return put(f, &frame);
}

static int note_errno(struct walk *f, const char *name, const char *what, int code)
{
	char text[128];
	/* It was there when its directory was read: a process removed it. */
	if (code == ENOENT)
		return note(f, name, false, "gone meanwhile");
	snprintf(text, sizeof(text), "%s: %s", what, strerror(code));
	return note(f, name, true, text);
}

static int send_entry(struct walk *f, const char *name, const struct stat *st,
		      Mayfly__Entry__Kind kind, const char *link)
{
	Mayfly__Frame frame = MAYFLY__FRAME__INIT;
	Mayfly__Entry m = MAYFLY__ENTRY__INIT;
	m.kind = kind;
	m.name.data = (uint8_t *)(uintptr_t)name;
	/* The top is where the peer wants it. */
	m.name.len = f->depth == 0 ? 0 : strlen(name);
	m.mode = st->st_mode & 07777;
	m.mtime_s = st->st_mtim.tv_sec;
	m.mtime_ns = (uint32_t)st->st_mtim.tv_nsec;
	m.size = kind == MAYFLY__ENTRY__KIND__FILE ? (uint64_t)st->st_size : 0;
	if (link) {
		m.link.data = (uint8_t *)(uintptr_t)link;
		m.link.len = strlen(link);
	}
	frame.body_case = MAYFLY__FRAME__BODY_ENTRY;
	frame.entry = &m;
	f->sent++;
	return put(f, &frame);
}

static int send_data(struct walk *f, uint64_t offset, size_t len)
{
	Mayfly__Frame frame = MAYFLY__FRAME__INIT;
	Mayfly__EntryData m = MAYFLY__ENTRY_DATA__INIT;
	m.offset = offset;
	m.data.data = f->buf;
	m.data.len = len;
	f->bytes += len;
	frame.body_case = MAYFLY__FRAME__BODY_ENTRY_DATA;
	frame.entry_data = &m;
	return put(f, &frame);
}

static int send_end(struct walk *f, bool discard)
{
	Mayfly__Frame frame = MAYFLY__FRAME__INIT;
	Mayfly__EntryEnd m = MAYFLY__ENTRY_END__INIT;
	m.discard = discard;
	frame.body_case = MAYFLY__FRAME__BODY_ENTRY_END;
	frame.entry_end = &m;
	return put(f, &frame);
}

/* The next stretch of data at or behind *at; false if only a hole is left. */
static bool next_data(int fd, off_t *at, off_t *end, off_t size)
{
	off_t data = lseek(fd, *at, SEEK_DATA);
	if (data < 0 && errno == ENXIO)
		return false;
	/* A file system that does not know its holes has none. */
	off_t hole = data < 0 ? size : lseek(fd, data, SEEK_HOLE);
	*at = data < 0 ? *at : data;
	*end = hole < 0 ? size : MIN(hole, size);
	return *at < size;
}

/* Returns 0, 1 if the file could not be read (noted), -errno of the connection. */
static int send_content(struct walk *f, const char *name, int fd, off_t size)
{
	off_t at = 0;
	off_t end = 0;
	while (at < size && next_data(fd, &at, &end, size)) {
		while (at < end) {
			ssize_t n = pread(fd, f->buf, MIN(sizeof(f->buf), (size_t)(end - at)), at);
			if (n < 0 && errno == EINTR)
				continue;
			if (n < 0) {
				int ret = note_errno(f, name, "can't read it", errno);
				return ret < 0 ? ret : 1;
			}
			if (n == 0)
				return note(f, name, false, "became shorter while it was copied");
			int ret = send_data(f, (uint64_t)at, (size_t)n);
			if (ret < 0)
				return ret;
			at += n;
		}
	}
	return 0;
}

/* Opens what fstatat() has seen; nothing that waits, should it be something else by now. */
static int open_same(int dir, const char *name, int flags, struct stat *st)
{
	mode_t type = st->st_mode & S_IFMT;
	AUTO_CLOSE int fd = openat(
		dir, name, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW | O_CLOEXEC | flags);
	if (fd < 0 || fstat(fd, st) < 0)
		return -errno;
	return (st->st_mode & S_IFMT) == type ? steal_fd(&fd) : -ENOENT;
}

static int walk_file(struct walk *f, int dir, const char *name, struct stat *st)
{
	AUTO_CLOSE int fd = open_same(dir, name, 0, st);
	if (fd < 0)
		return note_errno(f, name, "can't open it", -fd);
	int ret = send_entry(f, name, st, MAYFLY__ENTRY__KIND__FILE, NULL);
	if (ret == 0)
		ret = send_content(f, name, fd, st->st_size);
	return ret < 0 ? ret : send_end(f, ret == 1);
}

static int walk_link(struct walk *f, int dir, const char *name, const struct stat *st)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(dir, name, target, sizeof(target) - 1);
	if (n < 0)
		return note_errno(f, name, "can't read the link", errno);
	target[n] = '\0';
	return send_entry(f, name, st, MAYFLY__ENTRY__KIND__SYMLINK, target);
}

/* What the kernel makes up while it is read is no result, and not all of it ends. */
static bool made_up(int fd)
{
	struct statfs fs;
	if (fstatfs(fd, &fs) < 0)
		return false;
	switch ((unsigned long)fs.f_type) {
	case PROC_SUPER_MAGIC:
	case SYSFS_MAGIC:
	case CGROUP2_SUPER_MAGIC:
	case DEVPTS_SUPER_MAGIC:
	case DEBUGFS_MAGIC:
	case TRACEFS_MAGIC: return true;
	default: return false;
	}
}

static int walk_dir(struct walk *f, int dir, const char *name, struct stat *st)
{
	AUTO_CLOSE int fd = open_same(dir, name, O_DIRECTORY, st);
	if (fd < 0)
		return note_errno(f, name, "can't open it", -fd);
	if (f->depth == PROTO_TREE_DEPTH_MAX)
		return note(f, name, true, "too deep a directory");
	if ((f->depth == 0 || f->dev[f->depth - 1] != st->st_dev) && made_up(fd))
		return note(f, name, f->depth == 0, "not copied: files of the kernel");
	struct walk_dir *d = &f->level[f->depth];
	int ret = walk_dir_open(d, steal_fd(&fd), PROTO_TREE_ENTRIES_MAX - f->entries);
	if (ret < 0) {
		walk_dir_close(d);
		/* Nobody is to take a part of a directory for the whole. */
		if (ret == -E2BIG || ret == -ENOMEM)
			return ret;
		return note_errno(f, name, "can't list it", -ret);
	}
	f->entries += d->n;
	ret = send_entry(f, name, st, MAYFLY__ENTRY__KIND__DIRECTORY, NULL);
	f->dev[f->depth++] = st->st_dev;
	return ret;
}

static int walk_one(struct walk *f, int dir, const char *name)
{
	struct stat st;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return note_errno(f, name, "can't look at it", errno);
	switch (st.st_mode & S_IFMT) {
	case S_IFREG: return walk_file(f, dir, name, &st);
	case S_IFDIR: return walk_dir(f, dir, name, &st);
	case S_IFLNK: return walk_link(f, dir, name, &st);
	case S_IFIFO: return note(f, name, f->depth == 0, "not copied: a named pipe");
	case S_IFSOCK: return note(f, name, f->depth == 0, "not copied: a socket");
	default: return note(f, name, f->depth == 0, "not copied: a device");
	}
}

static int walk_tree(struct walk *f, const char *path)
{
	int ret = walk_one(f, AT_FDCWD, path);
	while (ret == 0 && f->depth > 0) {
		struct walk_dir *d = &f->level[f->depth - 1];
		if (d->next < d->n) {
			const char *name = d->name[d->next++];
			ret = walk_one(f, d->fd, name);
		} else {
			walk_dir_close(d);
			f->depth--;
			ret = send_end(f, false);
		}
	}
	while (f->depth > 0)
		walk_dir_close(&f->level[--f->depth]);
	return ret;
}

static int send_fetch_end(struct walk *f)
{
	Mayfly__Frame frame = MAYFLY__FRAME__INIT;
	Mayfly__FetchEnd m = MAYFLY__FETCH_END__INIT;
	m.code = f->code;
	m.text = f->text;
	m.notes = f->notes;
	m.lost = f->lost;
	frame.body_case = MAYFLY__FRAME__BODY_FETCH_END;
	frame.fetch_end = &m;
	int ret = put(f, &frame);
	return ret < 0 ? ret : flush_all(f, true);
}

int walk_send(struct walk *f, const char *path)
{
	struct stat st;
	int ret = 0;
	/* Not one note among others: there is nothing to copy. */
	if (fstatat(AT_FDCWD, path, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		f->code = errno;
		snprintf(f->text, sizeof(f->text), "%s", strerror(f->code));
	} else {
		ret = walk_tree(f, path);
	}
	if (ret == -E2BIG)
		snprintf(f->text, sizeof(f->text), "more than %u files and directories",
			 PROTO_TREE_ENTRIES_MAX);
	else if (ret == -ENOMEM)
		snprintf(f->text, sizeof(f->text), "no memory is left to list a directory");
	else if (ret < 0)
		return ret;
	if (ret < 0)
		f->code = -ret;
	return send_fetch_end(f);
}
