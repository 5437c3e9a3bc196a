// SPDX-License-Identifier: Apache-2.0
// bad_agent.c - PID 1 of a guest whose agent answers wrong, late, endlessly or never
//
// What it does is named by the guest's host name, which the host's Setup carries: "bad-HOW". The
// frames are made by hand, so that they can be wrong. Nothing here ends by itself: the host has to.
#define _GNU_SOURCE
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

/* As proto/limits.h and the numbers in proto/agent.proto have them. */
#define VERSION 2
#define PORT 1024
#define SOURCE_PORT 1023
#define FRAME_MAX 65536
enum {
	HELLO = 1,
	READY = 3,
	FAILED = 4,
	GOODBYE = 6,
	EXEC_START = 7,
	STARTED = 10,
	DATA = 11,
	EXIT = 16,
	CLOCK = 17,
	FETCH = 18,
	ENTRY = 19,
	ENTRY_DATA = 20,
	ENTRY_END = 21,
	NOTE = 22,
	EVENT = 26,
	ATTACH = 28,
	ATTACHED = 29,
	PUT = 31,
};
#define EVIL "\033[31mred\033]0;title\007 \302\233 words\nand a line"

static char how[64];
static unsigned char body[FRAME_MAX], in[FRAME_MAX + 4];
static size_t body_len, in_len;
static char big[60000];

static bool is(const char *name)
{
	return strcmp(how, name) == 0;
}

static void varint(uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		body[body_len++] = (unsigned char)(v | 0x80);
	body[body_len++] = (unsigned char)v;
}

static void number(unsigned field, uint64_t v)
{
	varint(field << 3);
	varint(v);
}

static void bytes(unsigned field, const void *data, size_t len)
{
	varint(field << 3 | 2);
	varint(len);
	memcpy(body + body_len, data, len);
	body_len += len;
}

static bool put(int fd, const void *data, size_t len)
{
	const char *p = data;
	while (len > 0) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);
		if (n <= 0)
			return false;
		p += n;
		len -= (size_t)n;
	}
	return true;
}

/* The message that was put together in body, as this field of a Frame. */
static bool say(int fd, unsigned field)
{
	static unsigned char frame[FRAME_MAX + 16];
	unsigned char message[FRAME_MAX];
	size_t len = body_len;
	memcpy(message, body, len);
	body_len = 0;
	bytes(field, message, len);
	uint32_t n = (uint32_t)body_len;
	for (int i = 0; i < 4; i++)
		frame[i] = (unsigned char)(n >> (8 * i));
	memcpy(frame + 4, body, n);
	body_len = 0;
	return put(fd, frame, n + 4);
}

static bool hello(int fd, unsigned version)
{
	number(1, version);
	bytes(2, EVIL, strlen(EVIL));
	return say(fd, HELLO);
}

static bool data(int fd, size_t len)
{
	number(1, 1);
	bytes(2, big, len);
	return say(fd, DATA);
}

static bool text(int fd, unsigned field, unsigned code, const char *t, size_t len)
{
	number(1, code);
	bytes(2, t, len);
	return say(fd, field);
}

static bool end_with(int fd, unsigned code)
{
	number(2, code);
	return say(fd, EXIT);
}

static bool event(int fd, unsigned kind, uint64_t session)
{
	number(1, kind);
	number(2, session);
	return say(fd, EVENT);
}

static bool entry(int fd, unsigned kind, const char *name, uint64_t size)
{
	number(1, kind);
	bytes(2, name, strlen(name));
	number(3, 0755);
	number(6, size);
	return say(fd, ENTRY);
}

static bool note(int fd)
{
	bytes(1, EVIL, strlen(EVIL));
	bytes(2, EVIL, strlen(EVIL));
	return say(fd, NOTE);
}

static void never(void)
{
	for (;;)
		pause();
}

/* The kind of the next frame that is no Hello; 0: the connection is over. */
static unsigned next_kind(int fd)
{
	in_len = 0;
	for (;;) {
		while (in_len >= 4) {
			size_t n = in[0] | in[1] << 8 | in[2] << 16 | (size_t)in[3] << 24;
			if (n > FRAME_MAX || in_len < 4 + n)
				break;
			unsigned tag = in[4] | (in[4] & 0x80 ? (in[5] << 7) - 0x80 : 0);
			in_len -= 4 + n;
			memmove(in, in + 4 + n, in_len);
			if (tag >> 3 != HELLO)
				return tag >> 3;
		}
		ssize_t got = read(fd, in + in_len, sizeof(in) - in_len);
		if (got <= 0)
			return 0;
		in_len += (size_t)got;
	}
}

static void garbage(int fd)
{
	put(fd, "\377\377\377\377 and then some", 18);
	never();
}

/* A command: what is called cmd-... */
static void command(int fd)
{
	if (is("bad-cmd-refuse")) {
		text(fd, FAILED, 87, EVIL, strlen(EVIL));
	} else if (is("bad-cmd-early")) {
		/* Output of a command that does not run, as long as somebody takes it. */
		while (data(fd, 1000))
			;
	} else if (is("bad-cmd-flood")) {
		say(fd, STARTED);
		while (data(fd, 32000))
			;
	} else if (is("bad-cmd-lies")) {
		say(fd, STARTED);
		data(fd, 40000);
	} else if (is("bad-cmd-twice")) {
		say(fd, STARTED);
		end_with(fd, 0);
		end_with(fd, 1);
	} else if (is("bad-cmd-words")) {
		number(1, 2);
		number(2, 2);
		bytes(4, EVIL, strlen(EVIL));
		say(fd, EXIT);
	} else if (is("bad-cmd-late")) {
		for (int i = 0; i < 3; i++)
			poll(NULL, 0, 1000);
		say(fd, STARTED);
		end_with(fd, 7);
	} else if (!is("bad-cmd-mute") && !is("bad-events")) {
		say(fd, STARTED);
		if (!is("bad-cmd-endless"))
			end_with(fd, 5);
	}
	never();
}

/* Files that are asked for: what is called cp-... */
static void fetch(int fd)
{
	if (is("bad-cp-notes")) {
		entry(fd, 1, "", 0);
		while (note(fd))
			;
	} else if (is("bad-cp-huge")) {
		entry(fd, 0, "", INT64_MAX);
		say(fd, ENTRY_END);
	} else if (is("bad-cp-up")) {
		entry(fd, 1, "", 0);
		entry(fd, 0, "../../escaped", 4);
	} else if (is("bad-cp-link")) {
		/* A link, then the same name as a directory. */
		entry(fd, 1, "", 0);
		number(1, 2);
		bytes(2, "a", 1);
		bytes(7, "/tmp", 4);
		say(fd, ENTRY);
		entry(fd, 1, "a", 0);
		entry(fd, 0, "escaped", 0);
	} else if (is("bad-cp-deep")) {
		for (entry(fd, 1, "", 0); entry(fd, 1, "d", 0);)
			;
	} else if (is("bad-cp-words")) {
		text(fd, 23, 5, EVIL, strlen(EVIL));
	} else if (is("bad-cp-drip")) {
		entry(fd, 0, "", 1 << 30);
		for (uint64_t i = 0;; i++) {
			number(1, i);
			bytes(2, "x", 1);
			if (!say(fd, ENTRY_DATA))
				break;
			poll(NULL, 0, 500);
		}
	} else if (is("bad-cp-lies")) {
		entry(fd, 0, "", 10);
		number(1, UINT64_MAX - 2);
		bytes(2, "0123456789", 10);
		say(fd, ENTRY_DATA);
	}
	never();
}

static void serve(int fd)
{
	if (is("bad-mute"))
		never();
	if (is("bad-garbage"))
		garbage(fd);
	if (is("bad-close"))
		_exit(0);
	hello(fd, is("bad-version") ? 99 : VERSION);
	unsigned kind = next_kind(fd);
	if (kind == EXEC_START)
		command(fd);
	if (kind == FETCH)
		fetch(fd);
	if (kind == ATTACH && is("bad-events")) {
		say(fd, ATTACHED);
		while (data(fd, 32000))
			;
	}
	never();
}

static int make(int port)
{
	struct sockaddr_vm at = {
		.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = (unsigned)port};
	int fd = socket(AF_VSOCK, SOCK_STREAM, 0);
	return fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0 ? fd : -1;
}

/* Reads what the host says first until it has told the host name. */
static void learn(int fd)
{
	static char seen[FRAME_MAX];
	size_t len = 0;
	for (;;) {
		ssize_t n = read(fd, seen + len, sizeof(seen) - len);
		if (n <= 0)
			never();
		len += (size_t)n;
		char *p = memmem(seen, len, "bad-", 4);
		if (!p)
			continue;
		size_t k = 0;
		for (; k < sizeof(how) - 1 && (p[k] == '-' || (p[k] >= 'a' && p[k] <= 'z')); k++)
			how[k] = p[k];
		return;
	}
}

/* What is called boot-... : all that it says on the control connection. */
static void boot(int fd)
{
	if (is("bad-boot-mute"))
		never();
	if (is("bad-boot-garbage"))
		garbage(fd);
	hello(fd, is("bad-boot-version") ? 99 : VERSION);
	if (is("bad-boot-failed"))
		text(fd, FAILED, 5, EVIL, strlen(EVIL));
	if (is("bad-boot-long"))
		text(fd, FAILED, 5, big, sizeof(big));
	if (is("bad-boot-data"))
		data(fd, 100);
	if (is("bad-boot-bye"))
		say(fd, GOODBYE);
	while (is("bad-boot-clock") && say(fd, CLOCK))
		;
	while (is("bad-boot-drip")) {
		static const unsigned char head[4] = {0, 0xff};
		put(fd, head, 4);
		while (put(fd, "x", 1))
			poll(NULL, 0, 200);
	}
	if (strncmp(how, "bad-boot", 8) == 0)
		never();
}

int main(void)
{
	struct sockaddr_vm to = {
		.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_HOST, .svm_port = PORT};
	memset(big, 'x', sizeof(big));
	signal(SIGCHLD, SIG_IGN);
	int listener = make(PORT);
	int control = make(SOURCE_PORT);
	if (listener < 0 || control < 0 || listen(listener, 16) < 0 ||
	    connect(control, (struct sockaddr *)&to, sizeof(to)) < 0) {
		perror("bad_agent");
		never();
	}
	learn(control);
	boot(control);
	number(1, UINT64_MAX);
	number(2, UINT64_MAX);
	number(3, UINT64_MAX);
	say(control, READY);
	if (is("bad-events") && fork() == 0) {
		/* Of a session that nobody has started yet, and of others. */
		for (uint64_t i = 0; event(control, i % 2, i % 200); i++)
			if (i > 1000)
				poll(NULL, 0, 5);
		never();
	}
	for (;;) {
		int fd = accept(listener, NULL, NULL);
		if (fd >= 0 && fork() == 0)
			serve(fd);
		close(fd);
	}
}
