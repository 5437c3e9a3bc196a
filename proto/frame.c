// SPDX-License-Identifier: Apache-2.0
// frame.c - length-prefixed protobuf frames; lengths are checked before anything is allocated
#include "proto/frame.h"

#include "base/le.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define IN_CAP (FRAME_HDR + PROTO_FRAME_MAX)

void frame_conn_free(struct frame_conn *c)
{
	free(c->in);
	free(c->out);
	c->in = c->out = NULL;
	c->in_len = c->in_pos = c->out_cap = c->out_len = c->out_pos = 0;
}

/* What protobuf itself can't bound. */
static bool frame_ok(const Mayfly__Frame *f)
{
	switch (f->body_case) {
	case MAYFLY__FRAME__BODY__NOT_SET: return false;
	case MAYFLY__FRAME__BODY_DATA: return f->data->data.len <= PROTO_DATA_MAX;
	case MAYFLY__FRAME__BODY_EXEC_WORDS: return f->exec_words->data.len <= PROTO_DATA_MAX;
	case MAYFLY__FRAME__BODY_ENTRY_DATA: return f->entry_data->data.len <= PROTO_DATA_MAX;
	case MAYFLY__FRAME__BODY_EXEC_START:
		return f->exec_start->n_group <= PROTO_GROUPS_MAX &&
		       f->exec_start->n_rlimit <= PROTO_RLIMITS_MAX;
	case MAYFLY__FRAME__BODY_PUT: return f->put->n_group <= PROTO_GROUPS_MAX;
	default: return true;
	}
}

int64_t frame_decode(const uint8_t *buf, size_t len, Mayfly__Frame **out)
{
	if (len < FRAME_HDR)
		return 0;
	uint32_t body = le32_get(buf);
	if (body > PROTO_FRAME_MAX)
		return -EMSGSIZE;
	if (len - FRAME_HDR < body)
		return 0;
	Mayfly__Frame *f = mayfly__frame__unpack(NULL, body, buf + FRAME_HDR);
	if (!f)
		return -EPROTO;
	if (!frame_ok(f)) {
		mayfly__frame__free_unpacked(f, NULL);
		return -EPROTO;
	}
	*out = f;
	return (int64_t)FRAME_HDR + body;
}

int frame_fill(struct frame_conn *c)
{
	if (!c->in) {
		c->in = malloc(IN_CAP);
		if (!c->in)
			return -ENOMEM;
	}
	if (c->in_pos > 0) {
		memmove(c->in, c->in + c->in_pos, c->in_len - c->in_pos);
		c->in_len -= c->in_pos;
		c->in_pos = 0;
	}
	if (c->in_len == IN_CAP)
		return 1;
	ssize_t n = read(c->fd, c->in + c->in_len, IN_CAP - c->in_len);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0)
		return -ENODATA;
	c->in_len += (size_t)n;
	return 1;
}

int frame_next(struct frame_conn *c, Mayfly__Frame **out)
{
	if (!c->in)
		return 0;
	int64_t n = frame_decode(c->in + c->in_pos, c->in_len - c->in_pos, out);
	if (n <= 0)
		return (int)n;
	c->in_pos += (size_t)n;
	bool hello = (*out)->body_case == MAYFLY__FRAME__BODY_HELLO;
	int ret = 1;
	if (!c->got_hello && hello)
		c->peer_version = (*out)->hello->version;
	if (!c->got_hello && (!hello || (*out)->hello->version != PROTO_VERSION))
		ret = -EPROTONOSUPPORT;
	else if (c->got_hello && hello)
		ret = -EPROTO;
	c->got_hello = true;
	if (ret < 0) {
		mayfly__frame__free_unpacked(*out, NULL);
		*out = NULL;
	}
	return ret;
}

static int out_reserve(struct frame_conn *c, size_t need)
{
	if (c->out_pos > 0) {
		memmove(c->out, c->out + c->out_pos, c->out_len - c->out_pos);
		c->out_len -= c->out_pos;
		c->out_pos = 0;
	}
	if (c->out_len + need > FRAME_OUT_MAX)
		return -ENOBUFS;
	if (c->out_len + need <= c->out_cap)
		return 0;
	size_t cap = c->out_cap ? c->out_cap : 4096;
	while (cap < c->out_len + need)
		cap *= 2;
	uint8_t *bigger = realloc(c->out, cap);
	if (!bigger)
		return -ENOMEM;
	c->out = bigger;
	c->out_cap = cap;
	return 0;
}

int frame_send(struct frame_conn *c, const Mayfly__Frame *f)
{
	size_t len = mayfly__frame__get_packed_size(f);
	if (len > PROTO_FRAME_MAX)
		return -EMSGSIZE;
	int ret = out_reserve(c, FRAME_HDR + len);
	if (ret < 0)
		return ret;
	le32_put(c->out + c->out_len, (uint32_t)len);
	mayfly__frame__pack(f, c->out + c->out_len + FRAME_HDR);
	c->out_len += FRAME_HDR + len;
	return 0;
}

bool frame_room(const struct frame_conn *c)
{
	/* Half stays free for what must never wait: exit, credit, signals. */
	return c->out_len - c->out_pos + PROTO_FRAME_MAX <= FRAME_OUT_MAX / 2;
}

int frame_flush(struct frame_conn *c)
{
	while (c->out_pos < c->out_len) {
		ssize_t n = send(c->fd, c->out + c->out_pos, c->out_len - c->out_pos,
				 MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return 1;
		if (n < 0)
			return -errno;
		c->out_pos += (size_t)n;
	}
	c->out_pos = c->out_len = 0;
	return 0;
}

int frame_send_hello(struct frame_conn *c, const char *program)
{
	Mayfly__Hello hello = MAYFLY__HELLO__INIT;
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	hello.version = PROTO_VERSION;
	hello.program = (char *)(uintptr_t)program;
	f.body_case = MAYFLY__FRAME__BODY_HELLO;
	f.hello = &hello;
	return frame_send(c, &f);
}

int frame_send_data(struct frame_conn *c, Mayfly__Stream s, const void *data, size_t len)
{
	Mayfly__Data d = MAYFLY__DATA__INIT;
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	d.stream = s;
	d.data.data = (uint8_t *)(uintptr_t)data;
	d.data.len = len;
	f.body_case = MAYFLY__FRAME__BODY_DATA;
	f.data = &d;
	return frame_send(c, &f);
}

int frame_send_eof(struct frame_conn *c, Mayfly__Stream s)
{
	Mayfly__Eof eof = MAYFLY__EOF__INIT;
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	eof.stream = s;
	f.body_case = MAYFLY__FRAME__BODY_EOF;
	f.eof = &eof;
	return frame_send(c, &f);
}

int frame_send_credit(struct frame_conn *c, Mayfly__Stream s, uint32_t bytes)
{
	Mayfly__Credit cr = MAYFLY__CREDIT__INIT;
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	cr.stream = s;
	cr.bytes = bytes;
	f.body_case = MAYFLY__FRAME__BODY_CREDIT;
	f.credit = &cr;
	return frame_send(c, &f);
}

int frame_send_closed(struct frame_conn *c, Mayfly__Stream s)
{
	Mayfly__StreamClosed sc = MAYFLY__STREAM_CLOSED__INIT;
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	sc.stream = s;
	f.body_case = MAYFLY__FRAME__BODY_STREAM_CLOSED;
	f.stream_closed = &sc;
	return frame_send(c, &f);
}
