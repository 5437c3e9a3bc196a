// SPDX-License-Identifier: Apache-2.0
// fuzz_jail_link.c - messages of a taken-over process to its supervisor, and answers of a confused
// one
// links: proto/jail_link.c jailer/link.c jailer/notify.c
//
// Input: messages, each behind a byte: its low six bits are the length, the next says whether a
// descriptor comes along, the highest that it is an answer to a waiting process instead. Whatever
// comes, no descriptor piles up, and what is taken keeps the rules of proto/jail_link.h.
#include "link.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/fdpass.h"
#include "base/log.h"
#include "proto/jail_link.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct evloop loop;
static int null_fd;
static int highest; /* descriptors are given lowest first: a leak shows in the next one's number */

static void must(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "fuzz_jail_link: %s\n", what);
		abort();
	}
}

static void on_call(void *arg, const struct notify_call *c)
{
	(void)arg;
	(void)c;
	must(false, "a call was reported without a listener");
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	log_init("fuzz", LOG_ERROR);
	must(evloop_init(&loop) == 0, "start");
	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	highest = dup(null_fd);
	close(highest);
	return 0;
}

static void check_request(const struct jail_link_request *r, int fd)
{
	if (r->kind == JAIL_LINK_DIAL) {
		must(fd < 0, "a descriptor beside a dial");
		return;
	}
	must(r->kind == JAIL_LINK_LISTENER && fd >= 0, "kind");
	size_t n = strnlen(r->label, sizeof(r->label));
	must(n > 0 && n < sizeof(r->label), "label's end");
	for (size_t i = 0; i < n; i++)
		must(r->label[i] == '-' || (r->label[i] >= 'a' && r->label[i] <= 'z') ||
			     (r->label[i] >= '0' && r->label[i] <= '9'),
		     "label");
}

static void send_one(int to, const uint8_t *data, size_t len, bool with)
{
	struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = len};
	fdpass_send(to, &iov, 1, &null_fd, with ? 1 : 0, MSG_DONTWAIT);
}

/* To a process that waits: its question is thrown away, the answer lies there before it. */
static void answer(const uint8_t *data, size_t len, bool with)
{
	int sv[2];
	must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) == 0, "pair");
	send_one(sv[0], data, len, with);
	if (len > 0) {
		int fd = jail_link_dial(sv[1], 1);
		int32_t code = 1;
		memcpy(&code, data, MIN(len, sizeof(code)));
		must(fd < 0 || (len == sizeof(code) && code == 0 && with), "a socket from nothing");
		close_fd(&fd);
	}
	close(sv[0]);
	close(sv[1]);
}

static void request(const uint8_t *data, size_t len, bool with)
{
	struct jail_link_request r;
	int sv[2];
	int fd = -1;
	must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) == 0, "pair");
	send_one(sv[0], data, len, with);
	int ret = jail_link_receive(sv[1], &r, &fd);
	if (ret == 1)
		check_request(&r, fd);
	else
		must(fd < 0, "a descriptor of a refused request");
	close_fd(&fd);
	close(sv[0]);
	close(sv[1]);
}

static void turn(void)
{
	for (unsigned i = 0; i < 4; i++)
		evloop_once(&loop, 0);
}

/* All of them at a supervisor's link. */
static void serve(const uint8_t *data, size_t size)
{
	struct notify set;
	struct link l;
	int sv[2];
	notify_init(&set, &loop, on_call, NULL);
	must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) == 0, "pair");
	must(link_start(&l, &loop, sv[1], "vmm", size & 1, &set) == 0, "start of the link");
	for (size_t at = 0; at < size;) {
		uint8_t head = data[at++];
		size_t len = MIN((size_t)(head & 63), size - at);
		send_one(sv[0], data + at, len, head & 64);
		turn();
		at += len;
	}
	must(notify_count(&set) == 0, "/dev/null as a listener");
	must(l.dropped <= 17, "the end of patience");
	link_close(&l);
	notify_close(&set);
	close(sv[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	for (size_t at = 0; at < size;) {
		uint8_t head = data[at++];
		size_t len = MIN((size_t)(head & 63), size - at);
		if (head & 128)
			answer(data + at, len, head & 64);
		else
			request(data + at, len, head & 64);
		at += len;
	}
	serve(data, size);
	int next = dup(null_fd);
	must(next == highest, "a descriptor is left open");
	close(next);
	return 0;
}
