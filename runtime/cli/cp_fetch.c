// SPDX-License-Identifier: Apache-2.0
// cp_fetch.c - `mayfly cp`: files of the machine onto the host
#include "cli/cp_fetch.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "base/log.h"
#include "copy/out.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NOTES_SHOWN 20
#define SIZE_HINT "see --max-size in mayfly-cp(1)"

static int ask(struct cp_conn *c, const char *path)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__Fetch m = MAYFLY__FETCH__INIT;
	m.path.data = (uint8_t *)(uintptr_t)path;
	m.path.len = strlen(path);
	f.body_case = MAYFLY__FRAME__BODY_FETCH;
	f.fetch = &m;
	return frame_send(&c->frames, &f);
}

static void say_note(struct cp_conn *c, const char *top, const Mayfly__FetchNote *m)
{
	cp_conn_clear(c);
	log_warn("note: %.200s%s%.*s: %.200s", top, m->path.len ? "/" : "",
		 (int)MIN(m->path.len, (size_t)300), m->path.data ? (char *)m->path.data : "",
		 m->text);
}

static int take_end(const struct out *o, const Mayfly__FetchEnd *m, uint64_t noted, struct err *e)
{
	uint64_t shown = MIN(noted, (uint64_t)NOTES_SHOWN);
	if (m->notes > shown)
		log_warn("note: %llu more like these", (unsigned long long)(m->notes - shown));
	return out_end(o, m, e);
}

/* The rest is a number in FetchEnd. */
static int too_many_notes(struct err *e)
{
	return err_set(e, EPROTO, "the guest sent more notes than it may");
}

static int take_walk(struct cp_conn *c, struct out *o, struct err *e)
{
	uint64_t noted = 0;
	for (;;) {
		Mayfly__Frame *f = NULL;
		int ret = cp_conn_next(c, &f, e);
		if (ret < 0)
			return ret;
		bool end = f->body_case == MAYFLY__FRAME__BODY_FETCH_END;
		if (end) {
			cp_conn_clear(c);
			ret = take_end(o, f->fetch_end, noted, e);
		} else if (f->body_case == MAYFLY__FRAME__BODY_FETCH_NOTE) {
			ret = noted++ < PROTO_TREE_NOTES_MAX ? 0 : too_many_notes(e);
			if (noted <= NOTES_SHOWN)
				say_note(c, o->target->guest, f->fetch_note);
		} else {
			ret = out_frame(o, f, e);
		}
		mayfly__frame__free_unpacked(f, NULL);
		if (end || ret < 0)
			return ret;
	}
}

int cp_fetch(struct cp_conn *c, const struct out_target *t, struct err *e)
{
	AUTO_FREE struct out *o = malloc(sizeof(*o));
	if (!o || ask(c, t->guest) < 0)
		return err_errno(e, ENOMEM, "a copy");
	out_init(o, t);
	o->size_hint = SIZE_HINT;
	c->files = &o->entries;
	c->bytes = &o->bytes;
	c->data = &o->received;
	int ret = take_walk(c, o, e);
	out_close(o);
	c->files = c->bytes = c->data = NULL;
	return ret;
}

/* The one file of a walk, as bytes. */
struct plain {
	int fd;
	bool begun, complete;
	uint64_t size, at, max_bytes;
	uint64_t files, received;
};

static int write_bytes(const struct plain *p, const void *data, size_t len, struct err *e)
{
	int ret = io_write_wait(p->fd, data, len);
	return ret < 0 ? err_errno(e, -ret, "can't write standard output") : 0;
}

static int write_zeros(struct plain *p, uint64_t to, struct err *e)
{
	static const char zeros[PROTO_DATA_MAX];
	int ret = 0;
	while (ret == 0 && p->at < to) {
		size_t n = MIN(to - p->at, (uint64_t)sizeof(zeros));
		if (cp_conn_stopped())
			return err_set(e, EINTR, "interrupted");
		ret = write_bytes(p, zeros, n, e);
		p->at += n;
	}
	return ret;
}

static int plain_entry(struct plain *p, const Mayfly__Entry *m, struct err *e)
{
	if (p->begun || m->name.len != 0)
		return err_set(e, EPROTO, "the guest sent more than one file");
	if (m->kind != MAYFLY__ENTRY__KIND__FILE)
		return err_set(e, EISDIR,
			       "only a file can be written to standard output, and it is %s",
			       m->kind == MAYFLY__ENTRY__KIND__SYMLINK ? "a symbolic link"
								       : "a directory");
	if (m->size > p->max_bytes)
		return err_set(e, EFBIG, "more than %llu MiB (" SIZE_HINT ")",
			       (unsigned long long)(p->max_bytes >> 20));
	p->begun = true;
	p->files = 1;
	p->size = m->size;
	return 0;
}

static int plain_data(struct plain *p, const Mayfly__EntryData *m, struct err *e)
{
	if (!p->begun || p->complete || m->offset < p->at || m->data.len == 0 ||
	    !range_inside(m->offset, m->data.len, p->size))
		return err_set(e, EPROTO, "the guest sent data that lies outside its file");
	int ret = write_zeros(p, m->offset, e);
	if (ret == 0)
		ret = write_bytes(p, m->data.data, m->data.len, e);
	p->at += m->data.len;
	p->received += m->data.len;
	return ret;
}

/* Returns 0, 1 at the end of the walk, -errno with text. */
static int plain_frame(struct plain *p, const Mayfly__Frame *f, struct err *e)
{
	switch (f->body_case) {
	case MAYFLY__FRAME__BODY_HELLO: return 0;
	case MAYFLY__FRAME__BODY_ENTRY: return plain_entry(p, f->entry, e);
	case MAYFLY__FRAME__BODY_ENTRY_DATA: return plain_data(p, f->entry_data, e);
	case MAYFLY__FRAME__BODY_ENTRY_END:
		if (!p->begun || p->complete)
			return err_set(e, EPROTO, "the guest sent an end of nothing");
		if (f->entry_end->discard)
			return err_set(e, EIO, "it could not be read to its end");
		p->complete = true;
		return write_zeros(p, p->size, e);
	case MAYFLY__FRAME__BODY_FETCH_NOTE: return err_set(e, EIO, "%.200s", f->fetch_note->text);
	case MAYFLY__FRAME__BODY_FETCH_END: {
		struct out o = {.peer = "the guest", .complete = p->complete};
		int ret = out_end(&o, f->fetch_end, e);
		return ret < 0 ? ret : 1;
	}
	default: return err_set(e, EPROTO, "the guest sent what is not its turn");
	}
}

int cp_fetch_stdout(struct cp_conn *c, const char *path, int fd, uint64_t max_bytes, struct err *e)
{
	AUTO_FREE struct plain *p = calloc(1, sizeof(*p));
	if (!p || ask(c, path) < 0)
		return err_errno(e, ENOMEM, "a copy");
	*p = (struct plain){.fd = fd, .max_bytes = max_bytes};
	c->files = &p->files;
	c->bytes = &p->at;
	c->data = &p->received;
	int ret = 0;
	while (ret == 0) {
		Mayfly__Frame *f = NULL;
		ret = cp_conn_next(c, &f, e);
		if (ret < 0)
			break;
		ret = plain_frame(p, f, e);
		mayfly__frame__free_unpacked(f, NULL);
	}
	cp_conn_clear(c);
	c->files = c->bytes = c->data = NULL;
	return ret < 0 ? ret : 0;
}
