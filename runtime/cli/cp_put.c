// SPDX-License-Identifier: Apache-2.0
// cp_put.c - `mayfly cp`: files of the host into the machine
//
// The guest may answer before everything is sent, and does when it can't go on: the answer is
// looked for whenever the socket is full, and last when the walk is over.
#include "cli/cp_put.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "copy/walk.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define NOTES_SHOWN 20

struct put {
	struct cp_conn *c;
	const char *local;
	unsigned noted;
	int broken; /* -errno: what the guest sent meanwhile was wrong, as e says */
	struct err e;
	bool answered;
	int code;
	char text[ERR_TEXT_MAX];
};

int cp_put_check(const char *local, struct err *e)
{
	struct stat st;
	if (fstatat(AT_FDCWD, local, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno(e, errno, "can't copy '%.300s'", local);
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode) && !S_ISLNK(st.st_mode))
		return err_set(e, EINVAL, "'%.300s' is neither a file nor a directory", local);
	return 0;
}

/* The last name of the source; none for "/", "DIR/." and "..": their content is what is meant. */
static size_t last_name(const char *local, const char **name)
{
	size_t end = strlen(local);
	while (end > 0 && local[end - 1] == '/')
		end--;
	size_t start = end;
	while (start > 0 && local[start - 1] != '/')
		start--;
	*name = local + start;
	size_t len = end - start;
	if ((len == 1 && **name == '.') || (len == 2 && memcmp(*name, "..", 2) == 0))
		return 0;
	return len;
}

static int send_put(struct put *p, const struct cp_put_to *to)
{
	const char *name;
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__Put m = MAYFLY__PUT__INIT;
	m.path.data = (uint8_t *)(uintptr_t)to->path;
	m.path.len = strlen(to->path);
	m.uid = to->uid;
	m.gid = to->gid;
	m.group = to->group;
	m.n_group = to->n_group;
	m.into = true;
	m.name.len = last_name(p->local, &name);
	m.name.data = (uint8_t *)(uintptr_t)name;
	f.body_case = MAYFLY__FRAME__BODY_PUT;
	f.put = &m;
	return frame_send(&p->c->frames, &f);
}

/* One frame of the guest, which says nothing but Hello and its answer. */
static int take_frame(struct put *p, const Mayfly__Frame *f, struct err *e)
{
	if (f->body_case == MAYFLY__FRAME__BODY_HELLO)
		return 0;
	if (f->body_case != MAYFLY__FRAME__BODY_FETCH_END)
		return err_set(e, EPROTO, "the guest sent what is not its turn");
	p->answered = true;
	p->code = f->fetch_end->code;
	snprintf(p->text, sizeof(p->text), "%.400s", f->fetch_end->text);
	return 0;
}

/* For the walk: room to send, or -ECANCELED if there is something to read instead. */
static int wait_for_room(void *arg)
{
	struct put *p = arg;
	Mayfly__Frame *f = NULL;
	for (;;) {
		int ret = cp_conn_wait(p->c, POLLIN | POLLOUT);
		if (ret < 0)
			return ret;
		if (!(ret & ~POLLOUT))
			return 0;
		if (!p->c->ok.done)
			ret = agent_ok_read(&p->c->ok, p->c->frames.fd);
		else
			ret = frame_fill(&p->c->frames);
		while (ret >= 0 && (ret = frame_next(&p->c->frames, &f)) == 1) {
			ret = p->broken = take_frame(p, f, &p->e);
			mayfly__frame__free_unpacked(f, NULL);
		}
		if (ret < 0 || p->answered)
			return -ECANCELED;
	}
}

static void on_note(void *arg, const char *path, const char *text)
{
	struct put *p = arg;
	if (p->noted++ >= NOTES_SHOWN)
		return;
	cp_conn_clear(p->c);
	log_warn("note: %.200s%s%.300s: %s", p->local, path[0] ? "/" : "", path, text);
}

/* Whatever ended the walk: what the guest has to say counts. */
static int take_answer(struct put *p, struct err *e)
{
	while (!p->answered) {
		Mayfly__Frame *f = NULL;
		int ret = cp_conn_next(p->c, &f, e);
		if (ret < 0)
			return ret;
		ret = take_frame(p, f, e);
		mayfly__frame__free_unpacked(f, NULL);
		if (ret < 0)
			return ret;
	}
	if (p->code != 0)
		return err_set(e, EIO, "in the machine: %.400s", p->text);
	return 0;
}

static int result(struct put *p, const struct walk *w, int sent, struct err *e)
{
	if (sent == -EINTR)
		return err_set(e, EINTR, "interrupted");
	if (sent == -ETIMEDOUT)
		return err_set(e, ETIMEDOUT, "the machine has taken nothing for %u s",
			       (unsigned)(p->c->stall_ns / 1000000000));
	if (sent == -ETIME)
		return err_set(e, ETIMEDOUT,
			       "the machine moves so little that the copy would never end");
	if (p->broken) {
		*e = p->e;
		return p->broken;
	}
	int ret = take_answer(p, e);
	if (ret < 0)
		return ret;
	if (sent < 0)
		return err_set(e, EPROTO, "the machine ended the copy before its end");
	if (w->notes > NOTES_SHOWN)
		log_warn("note: %llu more like these",
			 (unsigned long long)(w->notes - NOTES_SHOWN));
	if (w->code != 0)
		return err_set(e, w->code, "can't copy '%.300s': %.200s", p->local, w->text);
	if (w->lost > 0)
		return err_set(e, EIO, "%llu files or directories could not be copied",
			       (unsigned long long)w->lost);
	return 0;
}

int cp_put(struct cp_conn *c, const char *local, const struct cp_put_to *to, struct err *e)
{
	struct put p = {.c = c, .local = local};
	AUTO_FREE struct walk *w = calloc(1, sizeof(*w));
	if (!w || send_put(&p, to) < 0)
		return err_errno(e, ENOMEM, "a copy");
	w->conn = &c->frames;
	w->wait = wait_for_room;
	w->noted = on_note;
	w->arg = &p;
	c->files = &w->sent;
	c->bytes = c->data = &w->bytes;
	int sent = walk_send(w, local);
	cp_conn_clear(c);
	int ret = result(&p, w, sent, e);
	c->files = c->bytes = c->data = NULL;
	return ret;
}
