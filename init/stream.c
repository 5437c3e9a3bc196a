// SPDX-License-Identifier: Apache-2.0
// stream.c - pipes to frames and back; what can't go on is left where it came from
#include "stream.h"

#include "base/checked.h"
#include "base/cleanup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CREDIT_STEP (PROTO_WINDOW / 4)
/* Frames a call: the other streams and signals get their turn in between. */
#define PULL_BUDGET 4

void stream_close(struct evsource *src, struct evloop *loop)
{
	if (src->fd < 0)
		return;
	evloop_del(loop, src);
	close_fd(&src->fd);
}

int stream_in_add(struct stream_in *s, const uint8_t *data, size_t len)
{
	if (s->eof)
		return -EPROTO;
	if (s->src.fd < 0)
		return 0;
	if (len > PROTO_WINDOW - s->len)
		return -EPROTO;
	if (!s->buf) {
		s->buf = malloc(PROTO_WINDOW);
		if (!s->buf)
			return -ENOMEM;
	}
	while (len > 0) {
		uint32_t tail = (s->head + s->len) % PROTO_WINDOW;
		size_t part = MIN(len, (size_t)(PROTO_WINDOW - tail));
		memcpy(s->buf + tail, data, part);
		s->len += (uint32_t)part;
		data += part;
		len -= part;
	}
	return 0;
}

static int give_credit(struct stream_in *s, struct frame_conn *conn)
{
	if (s->eof || s->owed == 0 || (s->owed < CREDIT_STEP && s->len > 0))
		return 0;
	int ret = frame_send_credit(conn, MAYFLY__STREAM__STDIN, s->owed);
	if (ret == 0)
		s->owed = 0;
	return ret;
}

int stream_in_push(struct stream_in *s, struct evloop *loop, struct frame_conn *conn)
{
	if (s->src.fd < 0)
		return 0;
	while (s->len > 0) {
		uint32_t part = MIN(s->len, PROTO_WINDOW - s->head);
		ssize_t n = write(s->src.fd, s->buf + s->head, part);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) {
			/* The command has closed its stdin: the host need not send more. */
			stream_close(&s->src, loop);
			s->len = 0;
			return frame_send_closed(conn, MAYFLY__STREAM__STDIN);
		}
		s->head = (s->head + (uint32_t)n) % PROTO_WINDOW;
		s->len -= (uint32_t)n;
		s->owed += (uint32_t)n;
	}
	if (s->len == 0 && s->eof) {
		stream_close(&s->src, loop);
		return 0;
	}
	evloop_mod(loop, &s->src, s->len > 0 ? EPOLLOUT : 0);
	return give_credit(s, conn);
}

void stream_out_watch(struct stream_out *s, struct evloop *loop, const struct frame_conn *conn)
{
	if (s->src.fd >= 0)
		evloop_mod(loop, &s->src, s->credit > 0 && frame_room(conn) ? EPOLLIN : 0);
}

int stream_out_pull(struct stream_out *s, struct evloop *loop, struct frame_conn *conn)
{
	uint8_t buf[PROTO_DATA_MAX];
	for (int i = 0; i < PULL_BUDGET; i++) {
		if (s->src.fd < 0 || s->credit == 0 || !frame_room(conn))
			break;
		ssize_t n = read(s->src.fd, buf, MIN(sizeof(buf), (size_t)s->credit));
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		if (n <= 0) {
			stream_close(&s->src, loop);
			return frame_send_eof(conn, s->id);
		}
		s->credit -= (uint32_t)n;
		int ret = frame_send_data(conn, s->id, buf, (size_t)n);
		if (ret < 0)
			return ret;
	}
	stream_out_watch(s, loop, conn);
	return 0;
}
