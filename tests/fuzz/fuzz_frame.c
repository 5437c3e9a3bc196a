// SPDX-License-Identifier: Apache-2.0
// fuzz_frame.c - bytes of a hostile peer as agent frames, in pieces of every size
// links: proto/frame.c
//
// Input: a byte that sets the pieces' size, then the stream. What is taken must survive being
// sent again; buffers stay within their limits.
#include "base/checked.h"
#include "proto/frame.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int pair[2];

static void must(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "fuzz_frame: %s\n", what);
		abort();
	}
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0, "pair");
	return 0;
}

/*
 * What we took we must be able to send. It need not be taken again: protobuf-c keeps unknown
 * fields, and takes a tag of 0 only where it is spelled in two bytes.
 */
static void send_again(struct frame_conn *o, const Mayfly__Frame *f)
{
	Mayfly__Frame *twin = NULL;
	int ret = frame_send(o, f);
	if (ret == -ENOBUFS || ret == -EMSGSIZE) {
		o->out_pos = o->out_len = 0;
		return;
	}
	must(ret == 0, "sending what was received");
	must(o->out_cap <= FRAME_OUT_MAX && o->out_len <= o->out_cap, "the queue's limit");
	int64_t n = frame_decode(o->out + o->out_pos, o->out_len - o->out_pos, &twin);
	must(n != 0, "half a frame");
	if (n > 0) {
		must(twin->body_case == f->body_case, "receiving what was sent");
		mayfly__frame__free_unpacked(twin, NULL);
	}
	o->out_pos = o->out_len = 0;
}

/* Returns false when the connection is over. */
static bool take_all(struct frame_conn *c, struct frame_conn *o)
{
	int ret = 1;
	while (ret == 1) {
		Mayfly__Frame *f = NULL;
		ret = frame_next(c, &f);
		must((ret == 1) == (f != NULL), "a frame exactly with 1");
		if (ret == 1) {
			must(f->body_case != MAYFLY__FRAME__BODY__NOT_SET, "an empty frame");
			must(f->body_case != MAYFLY__FRAME__BODY_DATA ||
				     f->data->data.len <= PROTO_DATA_MAX,
			     "too much data");
			send_again(o, f);
			mayfly__frame__free_unpacked(f, NULL);
		}
	}
	must(c->in_pos <= c->in_len && c->in_len <= FRAME_HDR + PROTO_FRAME_MAX, "the buffer");
	must(ret == 0 || ret == -EMSGSIZE || ret == -EPROTO || ret == -EPROTONOSUPPORT, "result");
	return ret == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct frame_conn c = {.fd = pair[1]};
	struct frame_conn o = {.fd = -1};
	uint8_t drop[4096];
	if (size < 1)
		return 0;
	size_t piece = 1 + (size_t)data[0] * data[0];
	bool open = true;
	for (size_t off = 1; open && off < size;) {
		ssize_t n = send(pair[0], data + off, MIN(piece, size - off), 0);
		must(n > 0, "send");
		off += (size_t)n;
		must(frame_fill(&c) == 1, "fill");
		open = take_all(&c, &o);
	}
	frame_conn_free(&c);
	frame_conn_free(&o);
	while (recv(pair[1], drop, sizeof(drop), 0) > 0)
		;
	return 0;
}
