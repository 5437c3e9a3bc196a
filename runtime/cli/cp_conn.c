// SPDX-License-Identifier: Apache-2.0
// cp_conn.c - `mayfly cp`: one connection to the agent that waits with a deadline
#include "cli/cp_conn.h"

#include "base/cleanup.h"
#include "base/io.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>

#define TICK_MS 200
#define PROGRESS_AFTER_NS 2000000000ull

static volatile sig_atomic_t stopped;

static void on_signal(int number)
{
	stopped = number;
}

void cp_conn_signals(void)
{
	static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESETHAND};
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		struct sigaction old;
		/* What the caller ignores, as nohup(1) does, stays ignored. */
		if (sigaction(numbers[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
			sigaction(numbers[i], &sa, NULL);
	}
	signal(SIGPIPE, SIG_IGN);
}

int cp_conn_stopped(void)
{
	return stopped;
}

int cp_conn_init(struct cp_conn *c, int fd)
{
	uint64_t now = io_now_ns();
	*c = (struct cp_conn){
		.frames.fd = fd, .stall_ns = CP_STALL_NS, .start_ns = now, .moved_ns = now};
	int ret = io_set_nonblock(fd, 1);
	if (ret == 0)
		ret = agent_ok_ask(fd);
	return ret < 0 ? ret : frame_send_hello(&c->frames, "mayfly");
}

void cp_conn_clear(struct cp_conn *c)
{
	if (c->shown_ns)
		fputs("\r\033[K", stderr);
	c->shown_ns = 0;
}

static void show_progress(struct cp_conn *c, uint64_t now)
{
	if (c->quiet || !c->files || now - c->start_ns < PROGRESS_AFTER_NS ||
	    now - c->shown_ns < TICK_MS * 1000000ull || !isatty(STDERR_FILENO))
		return;
	fprintf(stderr, "\rmayfly: cp: %llu files, %llu MiB\033[K", (unsigned long long)*c->files,
		(unsigned long long)(*c->bytes >> 20));
	c->shown_ns = now;
}

int cp_conn_wait(struct cp_conn *c, short events)
{
	for (;;) {
		struct pollfd p = {.fd = c->frames.fd, .events = events};
		if (stopped)
			return -EINTR;
		/* A signal between the two is seen a tick later. */
		int n = poll(&p, 1, TICK_MS);
		uint64_t now = io_now_ns();
		size_t left = c->frames.out_len - c->frames.out_pos;
		show_progress(c, now);
		if (c->data && pace_too_slow(&c->pace, now, *c->files, *c->data))
			return -ETIME;
		if (c->end_ns && now >= c->end_ns)
			return -ETIMEDOUT;
		if (n > 0 || left != c->left)
			c->moved_ns = now;
		c->left = left;
		if (n > 0)
			return p.revents;
		if (n < 0 && errno != EINTR)
			return -errno;
		if (now - c->moved_ns >= c->stall_ns)
			return -ETIMEDOUT;
	}
}

static int read_some(struct cp_conn *c)
{
	int ret = c->ok.done ? 1 : agent_ok_read(&c->ok, c->frames.fd);
	return ret == 1 ? frame_fill(&c->frames) : ret;
}

int cp_conn_next(struct cp_conn *c, Mayfly__Frame **f, struct err *e)
{
	for (;;) {
		int ret = frame_next(&c->frames, f);
		if (ret == 1)
			return 0;
		if (ret < 0)
			return err_errno(e, -ret, "the machine's agent broke the protocol");
		int left = frame_flush(&c->frames);
		/* A broken connection is seen by the read. */
		ret = cp_conn_wait(c, (short)(POLLIN | (left == 1 ? POLLOUT : 0)));
		if (ret == -EINTR)
			return err_set(e, EINTR, "interrupted");
		if (ret == -ETIMEDOUT)
			return err_set(e, ETIMEDOUT, "the machine has not answered for %u s",
				       (unsigned)(c->stall_ns / 1000000000));
		if (ret == -ETIME)
			return err_set(e, ETIMEDOUT,
				       "the machine moves so little that the copy would never end");
		if (ret >= 0 && (ret & ~POLLOUT))
			ret = read_some(c);
		if (ret == -ENODATA)
			return err_set(
				e, ECONNRESET,
				"the machine's agent is gone; the machine has ended, or ends");
		if (ret < 0)
			return err_errno(e, -ret, "the machine's agent is gone");
	}
}

void cp_conn_close(struct cp_conn *c)
{
	cp_conn_clear(c);
	close_fd(&c->frames.fd);
	frame_conn_free(&c->frames);
}
