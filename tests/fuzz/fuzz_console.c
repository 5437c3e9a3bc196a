// SPDX-License-Identifier: Apache-2.0
// fuzz_console.c - a hostile driver and a host of moods around the console device
// links: runtime/virtio/console.c runtime/virtio/virtio.c runtime/virtio/queue.c runtime/virtio/chain.c runtime/base/ratelimit.c runtime/vmm/gmem.c tests/lib/fake_guest.c
//
// Input: a list of steps, see step(). The device must survive any of them, do bounded work, keep
// both directions in order and without gaps while the driver keeps the rules, and tell the host
// when there is room.
#include "base/checked.h"
#include "lib/fake_guest.h"
#include "virtio/console.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum step { SAY, POST, KICK, TYPE, RESUME, LOOP, RESET, POKE, CONFIG, RESTART, STEPS };
enum { RXQ, TXQ };

#define MEM (1024u * 1024)
#define QSIZE 64

struct run {
	struct evloop loop;
	struct virtio_dev *dev;
	struct fake_guest g;
	struct fake_queue q[2];
	uint8_t *host[QSIZE]; /* receive buffers by head */
	size_t room_len[QSIZE];
	size_t host_room;
	bool blocked, refused;
	bool poked; /* the driver's own state is no measure any more */
	uint64_t said, heard, typed, got;
};

static void must(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "fuzz_console: %s\n", what);
		abort();
	}
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	log_init("fuzz", LOG_ERROR);
	return 0;
}

/* Text that looks different after a turn of any ring. */
static uint8_t byte_at(uint64_t i)
{
	return (uint8_t)(i % 251);
}

static size_t take_out(void *arg, const void *data, size_t len)
{
	struct run *r = arg;
	size_t n = MIN(len, r->host_room);
	must(!r->blocked, "output without room");
	must(len > 0, "no output");
	for (size_t i = 0; i < n && !r->poked; i++)
		must(((const uint8_t *)data)[i] == byte_at(r->heard++), "output out of order");
	r->host_room -= n;
	r->blocked = n < len;
	return n;
}

static void room(void *arg)
{
	struct run *r = arg;
	must(r->refused, "room that nobody asked for");
	r->refused = false;
}

static void start_queues(struct run *r)
{
	r->g.used = 0;
	for (unsigned q = 0; q < 2; q++)
		must(fake_queue_init(&r->q[q], &r->g, &r->dev->vq[q], QSIZE) == 0, "queue");
	r->poked = false;
	r->said = r->heard = 0;
}

static void start(struct run *r)
{
	memset(r, 0, sizeof(*r));
	struct virtio_console_io io = {.arg = r, .out = take_out, .room = room};
	r->host_room = 100000;
	must(evloop_init(&r->loop) == 0, "loop");
	must(virtio_console_create(&r->dev, &r->loop, &io) == 0, "device");
	must(fake_guest_init(&r->g, &r->dev->mem, MEM) == 0, "memory");
	start_queues(r);
}

static void stop_queues(struct run *r)
{
	fake_queue_destroy(&r->q[RXQ]);
	fake_queue_destroy(&r->q[TXQ]);
}

static void finish(struct run *r)
{
	stop_queues(r);
	gmem_clear(&r->dev->mem);
	virtio_console_destroy(r->dev);
	fake_guest_destroy(&r->g);
	evloop_close(&r->loop);
}

static void take_used(struct run *r)
{
	uint16_t head;
	uint32_t len;
	while (!r->poked && fake_queue_used(&r->q[TXQ], &head, &len))
		must(len == 0, "bytes written to a transmit chain");
	while (!r->poked && fake_queue_used(&r->q[RXQ], &head, &len)) {
		must(len <= r->room_len[head], "more written than there is room");
		for (uint32_t i = 0; i < len; i++)
			must(r->host[head][i] == byte_at(r->got++), "input out of order");
	}
	uint64_t kept = r->typed - r->got;
	must(r->poked || kept <= VIRTIO_CONSOLE_INPUT_MAX, "more input kept than there is room");
	must(r->poked || !r->refused || kept == VIRTIO_CONSOLE_INPUT_MAX, "room is not announced");
}

/* [length][shape] */
static void say(struct run *r, const uint8_t *d)
{
	static uint8_t text[255 * 80];
	size_t len = d[0] * (d[1] & 1 ? 80u : 1u);
	size_t part = len / (1 + (d[1] >> 4));
	if (r->poked)
		return;
	for (size_t i = 0; i < len; i++)
		text[i] = byte_at(r->said + i);
	struct fake_buf b[2] = {{.data = text, .len = part},
				{.data = text + part, .len = len - part}};
	if (fake_queue_add(&r->q[TXQ], b, 2) >= 0)
		r->said += len;
	else
		r->poked = true; /* out of memory with half a chain written */
}

static void post(struct run *r, size_t len, bool readable)
{
	struct fake_buf b = {.in = !readable, .data = "r", .len = readable ? 1 : len};
	int head = r->poked ? -1 : fake_queue_add(&r->q[RXQ], &b, 1);
	if (head < 0)
		return;
	r->host[head] = b.host;
	r->room_len[head] = readable ? 0 : len;
}

static void type(struct run *r, size_t len)
{
	uint8_t text[255 * 40];
	for (size_t i = 0; i < len; i++)
		text[i] = byte_at(r->typed + i);
	size_t n = virtio_console_input(r->dev, text, len);
	must(n <= len, "how much is typed");
	r->typed += n;
	if (n < len)
		r->refused = true;
}

static void run_loop(struct run *r)
{
	int i;
	for (i = 0; i < 100; i++)
		if (evloop_once(&r->loop, 0) <= 0)
			break;
	must(i < 100, "the device does not come to rest");
	take_used(r);
}

static void kick(struct run *r, unsigned q)
{
	if (!r->dev->needs_reset)
		r->dev->ops->queue_kick(r->dev, q);
	take_used(r);
}

static void restart(struct run *r)
{
	for (unsigned q = 0; q < 2; q++)
		virtqueue_stop(&r->dev->vq[q]);
	run_loop(r);
	type(r, 3);
	for (unsigned q = 0; q < 2; q++)
		must(virtqueue_start(&r->dev->vq[q], r->dev->vq[q].next_avail) == 0, "start");
}

static void reset(struct run *r)
{
	/* What is in the guest's hands and not looked at yet is lost count of. */
	bool lost = r->poked;
	stop_queues(r);
	r->dev->needs_reset = false;
	r->dev->ops->reset(r->dev);
	memset(r->g.mem, 0, MEM);
	start_queues(r);
	r->poked = lost;
}

static void poke(struct run *r, const uint8_t *d)
{
	r->poked = true;
	memcpy(r->g.mem + (d[0] | (d[1] & 0x1f) << 8), d + 2, 2);
	r->dev->vq[d[0] & 1].event_idx = d[1] & 0x20;
}

/* One step; the bytes it took. d holds at least 8 bytes behind its end that may be read. */
static size_t step(struct run *r, const uint8_t *d)
{
	uint8_t config[256];
	switch ((enum step)(d[0] % STEPS)) {
	case SAY: say(r, d + 1); return 3;
	case POST: post(r, d[1] * 20u, d[1] == 0xff); return 2;
	case KICK: kick(r, d[1] & 1); return 2;
	case TYPE:
		type(r, d[1] * 40u);
		take_used(r);
		return 2;
	case RESUME:
		r->host_room = d[1] * 100u;
		r->blocked = false;
		virtio_console_resume(r->dev);
		take_used(r);
		return 2;
	case LOOP: run_loop(r); return 1;
	case RESET: reset(r); return 1;
	case POKE: poke(r, d + 1); return 5;
	case CONFIG:
		virtio_console_resize(r->dev, d[1], d[2]);
		r->dev->ops->get_config(r->dev, d[1] * 0x1010101u, config, d[2]);
		return 3;
	case RESTART: restart(r); return 1;
	default: return 1;
	}
}

static int lowest_free(void)
{
	int fd = open("/", O_PATH | O_CLOEXEC);
	close(fd);
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct run r;
	int lowest = lowest_free();
	uint8_t *copy = calloc(1, size + 8);
	must(copy, "memory");
	if (size > 0)
		memcpy(copy, data, size);
	start(&r);
	size_t off = 0;
	for (unsigned i = 0; i < 200 && off < size; i++)
		off += step(&r, copy + off);
	run_loop(&r);
	finish(&r);
	free(copy);
	must(lowest_free() == lowest, "a descriptor is left open");
	return 0;
}
