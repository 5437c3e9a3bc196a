// SPDX-License-Identifier: Apache-2.0
// out.c - writes the tree that a hostile peer sends, inside one target and nowhere else
//
// Theory of operation: the peer never sends a path, only single names in the directory it entered
// last, which is open here. So there is nothing to resolve, and what it made before, a link for
// one, is on no way to anything. Names ascend, so that one that comes twice is seen. A file gets
// its name when it is whole.
#include "copy/out.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "copy/out_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define NS_PER_S 1000000000u

void out_init(struct out *o, const struct out_target *t)
{
	*o = (struct out){.target = t,
			  .peer = "the guest",
			  .size_hint = "see ',size=' of --out in mayfly-run(1)",
			  .max_entries = PROTO_TREE_ENTRIES_MAX,
			  .file.fd = -1};
}

static int broken(const struct out *o, struct err *e, const char *what)
{
	return err_set(e, EPROTO, "%s sent %s", o->peer, what);
}

/* "can't DO 'HOST/a/b': why", for what is being made in the level that is open. */
static int failed(const struct out *o, int code, const char *what, struct err *e)
{
	char path[400];
	size_t n = (size_t)snprintf(path, sizeof(path), "%s%s%s", o->target->host,
				    o->target->into ? "/" : "",
				    o->target->into ? o->target->name : "");
	for (size_t i = 0; i < o->depth && n < sizeof(path); i++)
		if (o->level[i].last[0])
			n += (size_t)snprintf(path + n, sizeof(path) - n, "/%s", o->level[i].last);
	if (code == ELOOP)
		return err_set(e, code, "can't %s '%s': a symbolic link is in its place", what,
			       path);
	return err_errno(e, code, "can't %s '%s'", what, path);
}

/* One name that can't be anything but an entry of the directory it is used in. */
static bool name_ok(const ProtobufCBinaryData *n)
{
	if (n->len == 0 || n->len > NAME_MAX || memchr(n->data, '/', n->len) ||
	    memchr(n->data, '\0', n->len))
		return false;
	return !(n->data[0] == '.' && (n->len == 1 || (n->len == 2 && n->data[1] == '.')));
}

/* Takes the name of an entry below the top; it must come behind the one before it. */
static int take_name(struct out *o, const ProtobufCBinaryData *n, struct err *e)
{
	struct out_level *l = &o->level[o->depth - 1];
	char name[NAME_MAX + 1];
	if (!name_ok(n))
		return broken(o, e, "a name that is none");
	memcpy(name, n->data, n->len);
	name[n->len] = '\0';
	int order = strcmp(name, l->last);
	if (order == 0)
		return broken(o, e, "a name twice");
	if (order < 0)
		return broken(o, e, "names out of order");
	memcpy(l->last, name, n->len + 1);
	return 0;
}

static int check_entry(const struct out *o, const Mayfly__Entry *m, struct err *e)
{
	if (o->complete)
		return broken(o, e, "an entry behind the last");
	if (o->file.fd >= 0)
		return broken(o, e, "an entry inside a file");
	if (o->depth == 0 && m->name.len != 0)
		return broken(o, e, "a name for the top");
	if (m->mtime_ns >= NS_PER_S)
		return broken(o, e, "a time that is none");
	if (o->entries >= o->max_entries)
		return err_set(e, E2BIG, "more than %u files and directories", o->max_entries);
	return 0;
}

/* Makes a directory, or takes the one that is there, writable for its owner until it is full. */
static int make_dir(const struct out *o, int dir, const char *name, struct err *e)
{
	struct stat st;
	if (mkdirat(dir, name, 0700) < 0 && errno != EEXIST)
		return failed(o, errno, "make the directory", e);
	AUTO_CLOSE int at = out_open_dir(dir, name, O_PATH);
	if (at < 0)
		return failed(o, -at, "use the directory", e);
	if (fstat(at, &st) < 0)
		return failed(o, errno, "use the directory", e);
	if ((st.st_mode & 0700) != 0700 && st.st_uid == geteuid()) {
		char self[32];
		snprintf(self, sizeof(self), "/proc/self/fd/%d", at);
		if (chmod(self, (st.st_mode & 07777) | 0700) < 0)
			return failed(o, errno, "make room in", e);
	}
	int fd = out_open_dir(at, ".", O_RDONLY);
	return fd < 0 ? failed(o, -fd, "open the directory", e) : fd;
}

static int enter_dir(struct out *o, const Mayfly__Entry *m, struct err *e)
{
	const struct out_target *t = o->target;
	bool keep = o->depth == 0 && t->dir_fd >= 0;
	int fd;
	if (o->depth == PROTO_TREE_DEPTH_MAX)
		return err_set(e, EPROTO, "%s sent more than %d directories in each other", o->peer,
			       PROTO_TREE_DEPTH_MAX);
	if (keep) {
		fd = out_open_dir(t->dir_fd, ".", O_RDONLY);
		if (fd < 0)
			return failed(o, -fd, "open the directory", e);
	} else if (o->depth == 0) {
		fd = make_dir(o, t->parent_fd, t->name, e);
	} else {
		const struct out_level *up = &o->level[o->depth - 1];
		fd = make_dir(o, up->fd, up->last, e);
	}
	if (fd < 0)
		return fd;
	o->level[o->depth++] = (struct out_level){
		.fd = fd,
		.keep = keep,
		.mode = m->mode & 01777,
		.mtime = {.tv_sec = m->mtime_s, .tv_nsec = m->mtime_ns},
	};
	return 0;
}

/* Where a file or link goes: into the open directory, or to where the top belongs. */
static int place_of(struct out *o, struct out_file *f, struct err *e)
{
	const struct out_target *t = o->target;
	const char *name;
	if (o->depth > 0) {
		f->dir = o->level[o->depth - 1].fd;
		name = o->level[o->depth - 1].last;
	} else if (t->dir_fd >= 0) {
		if (!t->base[0])
			return err_set(e, EINVAL, "'%.300s' has no last name to use in '%.200s'",
				       t->guest, t->host);
		f->dir = t->dir_fd;
		name = t->base;
	} else if (t->must_be_dir) {
		return err_set(e, ENOTDIR, "'%.300s' is not there, and what is copied is a file",
			       t->host);
	} else {
		f->dir = t->parent_fd;
		name = t->name;
	}
	memcpy(f->name, name, strlen(name) + 1);
	return 0;
}

static int begin_file(struct out *o, const Mayfly__Entry *m, struct out_file *f, struct err *e)
{
	uint64_t max = o->target->max_bytes;
	if (m->size > INT64_MAX)
		return broken(o, e, "a size that is none");
	if (m->size > max || o->bytes > max - m->size)
		return err_set(e, EFBIG, "more than %llu MiB (%s)", (unsigned long long)(max >> 20),
			       o->size_hint);
	o->bytes += m->size;
	f->size = m->size;
	f->mode = m->mode & 0777;
	int ret = out_file_open(f);
	if (ret < 0)
		return failed(o, -ret, "make", e);
	o->file = *f;
	return 0;
}

static int make_link(struct out *o, const Mayfly__Entry *m, const struct out_file *f, struct err *e)
{
	char target[PATH_MAX];
	if (m->link.len == 0 || m->link.len >= sizeof(target) ||
	    memchr(m->link.data, '\0', m->link.len))
		return broken(o, e, "a symbolic link to nowhere");
	memcpy(target, m->link.data, m->link.len);
	target[m->link.len] = '\0';
	int ret = out_file_symlink(f, target);
	return ret < 0 ? failed(o, -ret, "make the link", e) : 0;
}

int out_entry(struct out *o, const Mayfly__Entry *m, struct err *e)
{
	struct out_file f = {.fd = -1, .mtime = {.tv_sec = m->mtime_s, .tv_nsec = m->mtime_ns}};
	int ret = check_entry(o, m, e);
	if (ret == 0 && o->depth > 0)
		ret = take_name(o, &m->name, e);
	if (ret < 0)
		return ret;
	o->entries++;
	if (m->kind == MAYFLY__ENTRY__KIND__DIRECTORY)
		return enter_dir(o, m, e);
	ret = place_of(o, &f, e);
	if (ret < 0)
		return ret;
	if (m->kind == MAYFLY__ENTRY__KIND__FILE)
		return begin_file(o, m, &f, e);
	if (m->kind != MAYFLY__ENTRY__KIND__SYMLINK)
		return broken(o, e, "an entry of no known kind");
	o->complete = o->depth == 0;
	return make_link(o, m, &f, e);
}

int out_data(struct out *o, const Mayfly__EntryData *m, struct err *e)
{
	struct out_file *f = &o->file;
	if (f->fd < 0)
		return broken(o, e, "data of no file");
	if (m->offset < f->at || m->data.len == 0 || m->data.len > PROTO_DATA_MAX ||
	    !range_inside(m->offset, m->data.len, f->size))
		return broken(o, e, "data that lies outside its file");
	for (size_t done = 0; done < m->data.len;) {
		ssize_t n = pwrite(f->fd, m->data.data + done, m->data.len - done,
				   (off_t)(m->offset + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return failed(o, n < 0 ? errno : EIO, "write", e);
		done += (size_t)n;
	}
	f->at = m->offset + m->data.len;
	o->received += m->data.len;
	return 0;
}

static int end_file(struct out *o, bool discard, struct err *e)
{
	struct out_file *f = &o->file;
	o->complete = o->depth == 0;
	int ret = discard ? 0 : out_file_place(f);
	out_file_close(f);
	return ret < 0 ? failed(o, -ret, "write", e) : 0;
}

static int end_dir(struct out *o, struct err *e)
{
	struct out_level *l = &o->level[o->depth - 1];
	const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, l->mtime};
	int ret = 0;
	l->last[0] = '\0';
	if (!l->keep && (fchmod(l->fd, l->mode) < 0 || futimens(l->fd, times) < 0))
		ret = failed(o, errno, "set mode and time of", e);
	close_fd(&l->fd);
	o->depth--;
	o->complete = o->depth == 0;
	return ret;
}

int out_entry_end(struct out *o, const Mayfly__EntryEnd *m, struct err *e)
{
	if (o->file.fd >= 0)
		return end_file(o, m->discard, e);
	if (o->depth == 0 || m->discard)
		return broken(o, e, "an end of nothing");
	return end_dir(o, e);
}

int out_frame(struct out *o, const Mayfly__Frame *f, struct err *e)
{
	switch (f->body_case) {
	case MAYFLY__FRAME__BODY_HELLO: return 0;
	case MAYFLY__FRAME__BODY_ENTRY: return out_entry(o, f->entry, e);
	case MAYFLY__FRAME__BODY_ENTRY_DATA: return out_data(o, f->entry_data, e);
	case MAYFLY__FRAME__BODY_ENTRY_END: return out_entry_end(o, f->entry_end, e);
	default: return broken(o, e, "what is not its turn");
	}
}

int out_end(const struct out *o, const Mayfly__FetchEnd *m, struct err *e)
{
	if (m->code == ENOENT)
		return err_set(e, ENOENT, "there is nothing of this name in the guest");
	if (m->code != 0)
		return err_set(e, EIO, "%.200s", m->text);
	if (m->lost > 0)
		return err_set(e, EIO, "%llu files or directories could not be copied",
			       (unsigned long long)m->lost);
	if (!o->complete)
		return err_set(e, EPROTO, "%s ended the copy before its end", o->peer);
	return 0;
}

void out_close(struct out *o)
{
	out_file_close(&o->file);
	while (o->depth > 0)
		close_fd(&o->level[--o->depth].fd);
}
