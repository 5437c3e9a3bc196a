// SPDX-License-Identifier: Apache-2.0
// fs_link.c - slots and tags, the socket to the fs process, its death
#include "virtio/fs_link.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/fdpass.h"
#include "base/io.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#define SLOT_BITS 8
#define SLOT_MASK ((1u << SLOT_BITS) - 1)
_Static_assert(FS_LINK_SLOTS < SLOT_MASK, "slot numbers fit into the tag");

#define OWN_SLOT FS_LINK_SLOTS
#define TIMER_PERIOD_S 5
#define NS_PER_S 1000000000ull

/* Answers taken at one wake-up before the loop's other sources get their turn. */
#define RECV_BATCH (FS_LINK_SLOTS + 1)

static uint64_t tag_of(const struct fs_link *l, const struct fs_slot *s)
{
	return (s->seq << SLOT_BITS) | (uint64_t)(s - l->slot);
}

static struct fs_slot *slot_of_tag(struct fs_link *l, uint64_t tag)
{
	uint64_t i = tag & SLOT_MASK;
	if (i >= ARRAY_SIZE(l->slot))
		return NULL;
	struct fs_slot *s = &l->slot[i];
	return s->state != FS_SLOT_FREE && s->seq == tag >> SLOT_BITS ? s : NULL;
}

static void slot_free(struct fs_link *l, struct fs_slot *s)
{
	s->state = FS_SLOT_FREE;
	l->under_way--;
	if (s != &l->slot[OWN_SLOT]) {
		s->next_free = l->free_head;
		l->free_head = (uint32_t)(s - l->slot) + 1;
	}
}

static void slot_use(struct fs_link *l, struct fs_slot *s, enum fs_slot_state state)
{
	s->state = state;
	s->seq = ++l->seq;
	s->sent_ns = io_now_ns();
	l->under_way++;
}

/* The timer runs only while requests are under way, and stops itself. */
static void timer_set(struct fs_link *l, bool on)
{
	if (l->timer_on == on)
		return;
	struct itimerspec t = {0};
	if (on)
		t.it_value.tv_sec = t.it_interval.tv_sec = TIMER_PERIOD_S;
	if (timerfd_settime(l->timer.fd, 0, &t, NULL) == 0)
		l->timer_on = on;
}

/* Nothing comes from there any more: whoever waits is told, whoever comes later, too. */
static void link_gone(struct fs_link *l, const char *why)
{
	if (l->gone)
		return;
	l->gone = true;
	log_guest(&l->limit, "the fs process is lost: %s", why);
	evloop_del(l->loop, &l->sock);
	close_fd(&l->sock.fd);
	timer_set(l, false);
	for (unsigned i = 0; i < ARRAY_SIZE(l->slot); i++) {
		struct fs_slot *s = &l->slot[i];
		if (s->state == FS_SLOT_FREE)
			continue;
		bool wanted = s->state == FS_SLOT_WAITING;
		struct fs_request req = s->req;
		slot_free(l, s);
		if (wanted)
			l->ops->done(l->arg, &req, -EIO, NULL, 0, -1);
	}
}

static int send_msg(struct fs_link *l, uint64_t tag, const void *msg, size_t len, size_t room)
{
	struct fs_wire_req head = {
		.len = (uint32_t)(sizeof(head) + len),
		.room = (uint32_t)MIN(room, (size_t)UINT32_MAX),
		.tag = tag,
	};
	struct iovec iov[2] = {
		{.iov_base = &head, .iov_len = sizeof(head)},
		{.iov_base = (void *)(uintptr_t)msg, .iov_len = len},
	};
	ssize_t n = fdpass_send(l->sock.fd, iov, ARRAY_SIZE(iov), NULL, 0, MSG_DONTWAIT);
	if (n == -EAGAIN) {
		evloop_mod(l->loop, &l->sock, EPOLLIN | EPOLLOUT);
		return -EAGAIN;
	}
	/* This request fails. If the peer is gone the loop sees it and ends the others. */
	return n < 0 ? -EIO : 0;
}

/* Our own request that makes fs forget the old driver; must go before the new one's first. */
static int flush_destroy(struct fs_link *l)
{
	struct fs_slot *s = &l->slot[OWN_SLOT];
	if (!l->destroy_pending)
		return 0;
	if (s->state != FS_SLOT_FREE)
		return -EAGAIN;
	struct fuse_in_header in = {.len = sizeof(in), .opcode = FUSE_DESTROY};
	slot_use(l, s, FS_SLOT_ABANDONED);
	int ret = send_msg(l, tag_of(l, s), &in, sizeof(in), sizeof(struct fuse_out_header));
	if (ret < 0)
		slot_free(l, s);
	else
		l->destroy_pending = false;
	return ret;
}

int fs_link_send(struct fs_link *l, const struct fs_request *req, bool silent, const void *msg,
		 size_t len, size_t room)
{
	if (l->gone)
		return -EIO;
	int ret = flush_destroy(l);
	if (ret < 0)
		return ret;
	if (silent)
		return send_msg(l, 0, msg, len, 0);
	if (l->free_head == 0)
		return -EAGAIN;
	struct fs_slot *s = &l->slot[l->free_head - 1];
	l->free_head = s->next_free;
	s->req = *req;
	slot_use(l, s, FS_SLOT_WAITING);
	ret = send_msg(l, tag_of(l, s), msg, len, room);
	if (ret < 0)
		slot_free(l, s);
	else
		timer_set(l, true);
	return ret;
}

void fs_link_reset(struct fs_link *l)
{
	for (unsigned i = 0; i < ARRAY_SIZE(l->slot); i++)
		if (l->slot[i].state == FS_SLOT_WAITING)
			l->slot[i].state = FS_SLOT_ABANDONED;
	l->destroy_pending = true;
	if (!l->gone)
		flush_destroy(l);
}

/* Checks the frame of an answer; NULL if it is fine, else what is wrong with it. */
static const char *bad_answer(const struct fs_wire_rep *rep, const struct fuse_out_header *out,
			      size_t n, size_t nfds)
{
	if (n < sizeof(*rep) + sizeof(*out) || rep->len != n)
		return "an answer of a wrong length";
	if (out->len != n - sizeof(*rep))
		return "a FUSE reply of a wrong length";
	if (out->error > 0 || out->error < -FS_WIRE_ERRNO_MAX)
		return "a FUSE reply with an error that is none";
	if (out->error != 0 && out->len != sizeof(*out))
		return "a failed FUSE reply with data";
	if (rep->nfds != nfds)
		return "a wrong number of descriptors";
	return NULL;
}

static void answer_done(struct fs_link *l, struct fs_slot *s, int error, size_t len, int fd)
{
	struct fs_request req = s->req;
	bool wanted = s->state == FS_SLOT_WAITING;
	slot_free(l, s);
	if (wanted)
		l->ops->done(l->arg, &req, error, l->buf + sizeof(struct fs_wire_rep), len, fd);
	else
		close_fd(&fd);
}

/* The requests whose answers bring a descriptor. */
static bool opens(uint32_t opcode)
{
	return opcode == FUSE_OPEN || opcode == FUSE_CREATE;
}

/* Takes one answer. Returns false if there is no more, or no link any more. */
static bool recv_one(struct fs_link *l)
{
	struct fs_wire_rep rep;
	struct fuse_out_header out;
	int fd = -1;
	size_t nfds = 0;
	struct iovec iov = {.iov_base = l->buf, .iov_len = sizeof(l->buf)};
	memset(l->buf, 0, sizeof(rep));
	ssize_t n = fdpass_recv(l->sock.fd, &iov, 1, &fd, 1, &nfds, MSG_DONTWAIT);
	if (n == -EAGAIN)
		return false;
	memcpy(&rep, l->buf, sizeof(rep));
	memcpy(&out, l->buf + sizeof(rep), sizeof(out));
	struct fs_slot *s = n == 0 ? NULL : slot_of_tag(l, rep.tag);
	/* Out of descriptors: the kernel dropped the one that came, the message is whole. */
	if (n == -EPROTO && s && opens(s->req.opcode) && rep.nfds == 1) {
		answer_done(l, s, -ENFILE, 0, -1);
		return true;
	}
	const char *bad = NULL;
	if (n <= 0)
		bad = n == 0 ? "it closed its socket" : strerror((int)-n);
	else
		bad = bad_answer(&rep, &out, (size_t)n, nfds);
	if (!bad && !s)
		bad = "an answer that nobody asked for";
	if (!bad && nfds != 0 && (!opens(s->req.opcode) || out.error != 0))
		bad = "a descriptor that nobody asked for";
	if (bad) {
		close_fd(&fd);
		link_gone(l, bad);
		return false;
	}
	answer_done(l, s, out.error, out.len, fd);
	return true;
}

static void on_sock(struct evsource *src, uint32_t events)
{
	struct fs_link *l = src->arg;
	bool more = (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0;
	/* An empty socket is not asked: the last answer under way was the last message. */
	for (unsigned i = 0; i < RECV_BATCH && more; i++)
		more = recv_one(l) && l->under_way > 0;
	if (!l->gone && (events & EPOLLOUT))
		evloop_mod(l->loop, &l->sock, EPOLLIN);
	if (!l->gone)
		flush_destroy(l);
	l->ops->ready(l->arg);
}

static void on_timer(struct evsource *src, uint32_t events)
{
	struct fs_link *l = src->arg;
	uint64_t ticks;
	uint64_t now = io_now_ns();
	(void)events;
	ssize_t n = read(src->fd, &ticks, sizeof(ticks));
	(void)n;
	if (l->gone || l->under_way == 0) {
		timer_set(l, false);
		return;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(l->slot); i++) {
		const struct fs_slot *s = &l->slot[i];
		if (s->state != FS_SLOT_FREE && now - s->sent_ns > FS_LINK_DEADLINE_S * NS_PER_S) {
			link_gone(l, "no answer in time");
			l->ops->ready(l->arg);
			return;
		}
	}
}

int fs_link_init(struct fs_link *l, struct evloop *loop, int sock, const struct fs_link_ops *ops,
		 void *arg)
{
	memset(l, 0, offsetof(struct fs_link, buf));
	l->loop = loop;
	l->ops = ops;
	l->arg = arg;
	l->sock = (struct evsource){.fd = sock, .fn = on_sock, .arg = l};
	l->timer = (struct evsource){.fd = -1, .fn = on_timer, .arg = l};
	for (uint32_t i = FS_LINK_SLOTS; i > 0; i--) {
		l->slot[i - 1].next_free = l->free_head;
		l->free_head = i;
	}
	l->timer.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (l->timer.fd < 0)
		return -errno;
	int ret = evloop_add(loop, &l->timer, EPOLLIN);
	if (ret == 0)
		ret = evloop_add(loop, &l->sock, EPOLLIN);
	return ret;
}

void fs_link_destroy(struct fs_link *l)
{
	evloop_del(l->loop, &l->timer);
	close_fd(&l->timer.fd);
	if (l->sock.fd >= 0)
		evloop_del(l->loop, &l->sock);
	close_fd(&l->sock.fd);
}
