// SPDX-License-Identifier: Apache-2.0
// fetch.c - copies a file or a tree of the guest to the host, in a process of its own
#include "fetch.h"

#include "copy/walk.h"
#include "proc_alone.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

int fetch_check(const Mayfly__Fetch *m)
{
	const ProtobufCBinaryData *p = &m->path;
	if (p->len == 0 || p->len >= PATH_MAX || p->data[0] != '/' || memchr(p->data, '\0', p->len))
		return -EPROTO;
	return 0;
}

int fetch_serve(struct frame_conn *conn, const Mayfly__Fetch *m)
{
	static struct walk w;
	char path[PATH_MAX];
	w = (struct walk){.conn = conn};
	memcpy(path, m->path.data, m->path.len);
	path[m->path.len] = '\0';
	return walk_send(&w, path);
}

pid_t fetch_spawn(struct frame_conn *conn, const Mayfly__Fetch *m)
{
	pid_t pid = fork();
	if (pid == 0) {
		proc_alone(conn->fd);
		_exit(fetch_serve(conn, m) == 0 ? 0 : 1);
	}
	if (pid < 0)
		return -errno;
	/* What is queued is the child's to send. */
	conn->out_pos = conn->out_len = 0;
	return pid;
}
