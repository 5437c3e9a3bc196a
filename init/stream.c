// SPDX-License-Identifier: Apache-2.0
// stream.c - pipes to frames and back; what can't go on is left where it came from
//
// Theory of operation: an output without keep goes from its pipe into a frame, and credit says how
// much of it. With keep it goes through a ring first, from which it leaves only when it is
// credited: the room in the ring is the credit, and a new connection begins at the ring's oldest
// byte.
#include "stream.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/io.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Frames a call: the other streams and signals get their turn in between. */
#define PULL_BUDGET 4

void stream_close(struct evsource *src, struct evloop *loop)
{
	if (src->fd < 0)
		return;
	evloop_del(loop, src);
	close_fd(&src->fd);
}

void stream_in_close(struct stream_in *s, struct evloop *loop)
{
	stream_close(&s->src, loop);
	free(s->buf);
	s->buf = NULL;
	s->len = 0;
}

int stream_in_type(struct stream_in *s, const uint8_t *data, size_t len)
{
	uint32_t cap = s->window + STREAM_IN_SLACK;
	if (!s->buf) {
		s->buf = malloc(cap);
		if (!s->buf)
			return -ENOMEM;
	}
	while (len > 0) {
		uint32_t tail = (s->head + s->len) % cap;
		size_t part = MIN(len, (size_t)(cap - tail));
		memcpy(s->buf + tail, data, part);
		s->len += (uint32_t)part;
		data += part;
		len -= part;
	}
	return 0;
}

int stream_in_add(struct stream_in *s, const uint8_t *data, size_t len)
{
	if (s->eof)
		return -EPROTO;
	if (s->src.fd < 0)
		return 0;
	if (len > s->window - s->len)
		return -EPROTO;
	return stream_in_type(s, data, len);
}

static int give_credit(struct stream_in *s, struct frame_conn *conn)
{
	if (!conn || s->eof || s->owed == 0 || (s->owed < s->window / 4 && s->len > 0))
		return 0;
	int ret = frame_send_credit(conn, MAYFLY__STREAM__STDIN, s->owed);
	if (ret == 0)
		s->owed = 0;
	return ret;
}

uint32_t stream_in_rewind(struct stream_in *s)
{
	s->owed = 0;
	return s->window - s->len;
}

int stream_in_push(struct stream_in *s, struct evloop *loop, struct frame_conn *conn)
{
	if (s->src.fd < 0)
		return 0;
	const uint32_t cap = s->window + STREAM_IN_SLACK;
	while (s->len > 0) {
		uint32_t part = MIN(s->len, cap - s->head);
		ssize_t n = write(s->src.fd, s->buf + s->head, part);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) {
			/* The command has closed its stdin: the host need not send more. */
			stream_in_close(s, loop);
			return conn ? frame_send_closed(conn, MAYFLY__STREAM__STDIN) : 0;
		}
		s->head = (s->head + (uint32_t)n) % cap;
		s->len -= (uint32_t)n;
		s->owed += (uint32_t)n;
	}
	if (s->len == 0 && s->eof) {
		stream_in_close(s, loop);
		return 0;
	}
	evloop_mod(loop, &s->src, s->len > 0 ? EPOLLOUT : 0);
	return give_credit(s, conn);
}

void stream_out_watch(struct stream_out *s, struct evloop *loop, const struct frame_conn *conn)
{
	bool room = s->keep ? held_room(&s->held) > 0 : conn && s->credit > 0 && frame_room(conn);
	if (s->src.fd >= 0)
		evloop_mod(loop, &s->src, room ? EPOLLIN : 0);
}

/* The end of what the pipe, or what is still read of it, has to say. */
static int at_end(struct stream_out *s, struct evloop *loop, struct frame_conn *conn)
{
	stream_close(&s->src, loop);
	if (s->keep)
		return 0;
	s->finished = true;
	return frame_send_eof(conn, s->id);
}

/* Was all of it read, and nobody is left who could write? */
static bool ended(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	return poll(&p, 1, 0) == 1 && (p.revents & POLLHUP) && !(p.revents & POLLIN);
}

/* Returns 1 if something came, 0 if nothing more can be had now, -errno of the connection. */
static int pull_once(struct stream_out *s, struct evloop *loop, struct frame_conn *conn)
{
	uint8_t buf[PROTO_DATA_MAX];
	int64_t n;
	uint32_t max = s->cutting ? MIN(s->cut_left, PROTO_DATA_MAX) : PROTO_DATA_MAX;
	if (s->cutting && s->cut_left == 0) {
		s->was_cut = !ended(s->src.fd);
		return at_end(s, loop, conn);
	}
	if (s->keep) {
		n = held_read(&s->held, s->src.fd, max);
	} else {
		n = read(s->src.fd, buf, MIN(max, s->credit));
		n = n < 0 ? -errno : n;
	}
	if (n == -EINTR || (n == -EAGAIN && !s->cutting))
		return 0;
	if (n == -ENOMEM)
		return -ENOMEM;
	/* A terminal ends with EIO. */
	if (n <= 0) {
		s->was_cut = n == -EAGAIN;
		return at_end(s, loop, conn);
	}
	s->heard_ns = io_now_ns();
	if (s->cutting)
		s->cut_left -= (uint32_t)n;
	if (s->keep)
		return 1;
	s->credit -= (uint32_t)n;
	int ret = frame_send_data(conn, s->id, buf, (size_t)n);
	return ret < 0 ? ret : 1;
}

static int send_held(struct stream_out *s, struct frame_conn *conn)
{
	const uint8_t *data;
	uint32_t len;
	while (frame_room(conn) && (len = held_next(&s->held, &data)) > 0) {
		int ret = frame_send_data(conn, s->id, data, len);
		if (ret < 0)
			return ret;
		held_sent(&s->held, len);
	}
	if (s->src.fd >= 0 || s->finished || s->held.sent < s->held.len)
		return 0;
	s->finished = true;
	return frame_send_eof(conn, s->id);
}

int stream_out_pull(struct stream_out *s, struct evloop *loop, struct frame_conn *conn)
{
	int ret = 1;
	for (int i = 0; ret > 0 && i < PULL_BUDGET && s->src.fd >= 0; i++) {
		if (s->keep ? held_room(&s->held) == 0
			    : !conn || s->credit == 0 || !frame_room(conn))
			break;
		ret = pull_once(s, loop, conn);
	}
	if (ret >= 0 && s->keep && conn)
		ret = send_held(s, conn);
	stream_out_watch(s, loop, conn);
	return MIN(ret, 0);
}

int stream_out_resume(struct stream_out *s, struct evloop *loop, struct frame_conn *conn)
{
	int ret = s->keep && conn ? send_held(s, conn) : 0;
	stream_out_watch(s, loop, conn);
	return ret;
}

int stream_out_credit(struct stream_out *s, uint32_t bytes)
{
	if (s->keep && s->held.len == 0 && s->src.fd < 0)
		/* Stopped, or rewound and empty: credit that was under way. */
		return bytes <= PROTO_KEEP_WINDOW ? 0 : -EPROTO;
	if (s->keep) {
		int ret = held_credit(&s->held, bytes);
		if (s->src.fd < 0 && s->held.len == 0)
			held_free(&s->held);
		return ret;
	}
	if (bytes > PROTO_WINDOW || s->credit + bytes > PROTO_WINDOW)
		return -EPROTO;
	s->credit += bytes;
	return 0;
}

void stream_out_stop(struct stream_out *s, struct evloop *loop)
{
	stream_close(&s->src, loop);
	held_free(&s->held);
	s->finished = true;
}

void stream_out_rewind(struct stream_out *s)
{
	held_rewind(&s->held);
	s->finished = false;
}

void stream_out_cut(struct stream_out *s, struct evloop *loop)
{
	int there = 0;
	if (s->src.fd < 0 || s->cutting)
		return;
	if (ioctl(s->src.fd, FIONREAD, &there) < 0 || there < 0)
		there = 0;
	s->cutting = true;
	s->cut_left = (uint32_t)there;
	if (there == 0) {
		s->was_cut = !ended(s->src.fd);
		stream_close(&s->src, loop);
	}
}

bool stream_out_done(const struct stream_out *s)
{
	return s->src.fd < 0 && (!s->keep || (s->finished && s->held.sent == s->held.len));
}
