// SPDX-License-Identifier: Apache-2.0
// fs_client.h - the device's end of the messages of runtime/fs/fs_wire.h, for fs_hostile.c alone
#ifndef MAYFLY_TESTS_FS_CLIENT_H
#define MAYFLY_TESTS_FS_CLIENT_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BODY_MAX (64u << 10)
#define WAIT_MS 5000
#define OUTSIDE_SIZE 999

struct wire {
	uint32_t len, room;
	uint64_t tag;
};

static struct {
	int sock;
	uint64_t tag;
	struct {
		struct wire w;
		struct fuse_in_header in;
		uint8_t body[BODY_MAX];
	} req;
	struct {
		struct wire w;
		struct fuse_out_header out;
		uint8_t body[BODY_MAX + 4096];
	} rep;
	int fd; /* that came with the last answer */
	uint64_t share;
	bool writable;
	char wrong[200];
} t;

static void wrong(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	if (!t.wrong[0])
		vsnprintf(t.wrong, sizeof(t.wrong), fmt, ap);
	va_end(ap);
}

static void report(const char *name)
{
	dprintf(2, "fsx: %s: %s\n", name, t.wrong[0] ? t.wrong : "ok");
	t.wrong[0] = '\0';
}

static _Noreturn void dead(const char *why)
{
	dprintf(2, "fsx: server: %s (errno %d)\n", why, errno);
	_exit(1);
}

/* One message with its descriptor; 0: none within ms. */
static size_t receive(int ms)
{
	union {
		struct cmsghdr c;
		char room[CMSG_SPACE(4 * sizeof(int))];
	} ctl;
	struct iovec iov = {&t.rep, sizeof(t.rep)};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &ctl};
	struct pollfd p = {.fd = t.sock, .events = POLLIN};
	m.msg_controllen = sizeof(ctl);
	if (t.fd >= 0)
		close(t.fd);
	t.fd = -1;
	if (poll(&p, 1, ms) != 1)
		return 0;
	ssize_t n = recvmsg(t.sock, &m, MSG_DONTWAIT);
	if (n <= 0)
		dead("it is gone");
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
		if (c->cmsg_type == SCM_RIGHTS)
			memcpy(&t.fd, CMSG_DATA(c), sizeof(int));
	return (size_t)n;
}

static void send_request(uint32_t opcode, uint64_t node, size_t len)
{
	t.req.w = (struct wire){(uint32_t)(sizeof(t.req) - BODY_MAX + len), 65536, ++t.tag};
	t.req.in = (struct fuse_in_header){.len = (uint32_t)(sizeof(t.req.in) + len),
					   .opcode = opcode,
					   .unique = t.tag,
					   .nodeid = node};
	if (send(t.sock, &t.req, t.req.w.len, MSG_NOSIGNAL) < 0 && errno != EMSGSIZE)
		dead("it takes nothing more");
}

/* Returns the bytes behind the answer's header, or its negative error. */
static int call(uint32_t opcode, uint64_t node, const void *arg, size_t len)
{
	memcpy(t.req.body, arg, len);
	send_request(opcode, node, len);
	for (;;) {
		size_t n = receive(WAIT_MS);
		if (n == 0)
			dead("no answer");
		if (t.rep.w.tag != t.tag)
			continue;
		if (n < sizeof(t.rep.w) + sizeof(t.rep.out))
			dead("a short answer");
		return t.rep.out.error < 0 ? t.rep.out.error
					   : (int)(n - sizeof(t.rep.w) - sizeof(t.rep.out));
	}
}

static int lookup_raw(uint64_t dir, const void *name, size_t len, struct fuse_entry_out *e)
{
	memset(e, 0, sizeof(*e));
	int ret = call(FUSE_LOOKUP, dir, name, len);
	if (ret >= (int)sizeof(*e))
		memcpy(e, t.rep.body, sizeof(*e));
	/* Node 0 is a missing name that may be remembered. */
	return ret < 0 ? ret : e->nodeid == 0 ? -ENOENT : 0;
}

static int lookup(uint64_t dir, const char *name, struct fuse_entry_out *e)
{
	return lookup_raw(dir, name, strlen(name) + 1, e);
}

/* What was opened is open for reading alone, and of the share. */
static void check_opened(const char *what)
{
	char buf[64] = "";
	if (t.fd < 0)
		return;
	int flags = fcntl(t.fd, F_GETFL);
	struct stat st;
	if (fstat(t.fd, &st) == 0 && !S_ISREG(st.st_mode))
		wrong("%s gave what is no file, mode %o", what, st.st_mode);
	if (fstat(t.fd, &st) == 0 && st.st_size == OUTSIDE_SIZE)
		wrong("%s gave a file of the size of one outside", what);
	if ((flags & (O_PATH | O_APPEND)) || (!t.writable && (flags & O_ACCMODE) != O_RDONLY))
		wrong("%s gave a descriptor with flags %x", what, flags);
	if (pread(t.fd, buf, sizeof(buf) - 1, 0) > 0 && strstr(buf, "OUTSIDE"))
		wrong("%s gave a file outside", what);
}

static int open_node(uint64_t node, uint32_t flags, const char *what)
{
	struct fuse_open_in in = {.flags = flags};
	struct fuse_open_out out;
	int ret = call(FUSE_OPEN, node, &in, sizeof(in));
	check_opened(what);
	if (ret < (int)sizeof(out))
		return ret;
	memcpy(&out, t.rep.body, sizeof(out));
	/* Where fs keeps files, so many of them are open at once and no more. */
	struct fuse_release_in re = {.fh = out.fh};
	int passed = t.fd;
	t.fd = -1;
	call(FUSE_RELEASE, node, &re, sizeof(re));
	t.fd = passed;
	return ret;
}

static uint64_t open_dir(uint64_t node)
{
	struct fuse_open_in in = {0};
	struct fuse_open_out out = {0};
	if (call(FUSE_OPENDIR, node, &in, sizeof(in)) >= (int)sizeof(out))
		memcpy(&out, t.rep.body, sizeof(out));
	return out.fh;
}

#endif
