// SPDX-License-Identifier: Apache-2.0
// fuzz_rng.c - a hostile driver of the entropy device
// links: runtime/virtio/rng.c runtime/virtio/virtio.c runtime/virtio/queue.c runtime/virtio/chain.c runtime/base/ratelimit.c runtime/vmm/gmem.c tests/lib/fake_guest.c
//
// Input: a list of steps, see step(). The device must survive any of them, answer no more than was
// asked for and than its bounds allow, do bounded work, and leave nothing open.
#include "base/checked.h"
#include "lib/fake_guest.h"
#include "virtio/rng.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum step { ADD, KICK, LOOP, RESET, POKE, CONFIG, RESTART, STEPS };

#define MEM (1024u * 1024)
#define QSIZE 64

struct run {
	struct evloop loop;
	struct virtio_dev *dev;
	struct fake_guest g;
	struct fake_queue q;
	size_t room[QSIZE]; /* writable bytes by head */
	struct fake_buf first[QSIZE];
	bool poked; /* the driver's own state is no measure any more */
};

static const uint8_t text[64] = "readable";

static void must(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "fuzz_rng: %s\n", what);
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

static void start_queue(struct run *r)
{
	r->g.used = 0;
	must(fake_queue_init(&r->q, &r->g, &r->dev->vq[0], QSIZE) == 0, "queue");
	r->poked = false;
}

static void start(struct run *r)
{
	memset(r, 0, sizeof(*r));
	must(evloop_init(&r->loop) == 0, "loop");
	must(virtio_rng_create(&r->dev, &r->loop) == 0, "device");
	must(fake_guest_init(&r->g, &r->dev->mem, MEM) == 0, "memory");
	start_queue(r);
}

static void finish(struct run *r)
{
	fake_queue_destroy(&r->q);
	gmem_clear(&r->dev->mem);
	virtio_rng_destroy(r->dev);
	fake_guest_destroy(&r->g);
	evloop_close(&r->loop);
}

static void take_answers(struct run *r)
{
	uint16_t head;
	uint32_t len;
	while (!r->poked && fake_queue_used(&r->q, &head, &len)) {
		must(len == MIN(r->room[head], VIRTIO_RNG_MAX_REQUEST), "length of an answer");
		const struct fake_buf *b = &r->first[head];
		must(b->in || memcmp(b->host, text, b->len) == 0, "a readable part is written");
	}
}

/* [kinds][lengths]: up to four descriptors */
static void add(struct run *r, const uint8_t *d)
{
	static const size_t lens[] = {0, 1, 64, 4096, 70000, 5, 30000, 17};
	struct fake_buf b[4];
	unsigned n = 1 + (d[0] & 3);
	size_t room = 0;
	for (unsigned i = 0; i < n; i++) {
		size_t len = lens[(d[1] >> i * 2) % ARRAY_SIZE(lens)];
		bool in = d[0] >> (4 + i) & 1;
		b[i] = (struct fake_buf){
			.in = in, .data = text, .len = in ? len : MIN(len, sizeof(text))};
		/* A readable piece after a writable one breaks the ring, and is meant to. */
		room += in ? len : 0;
	}
	int head = r->poked ? -1 : fake_queue_add(&r->q, b, n);
	if (head >= 0) {
		r->room[head] = room;
		r->first[head] = b[0];
	}
}

static void run_loop(struct run *r)
{
	int i;
	for (i = 0; i < 50; i++)
		if (evloop_once(&r->loop, 0) <= 0)
			break;
	must(i < 50, "the device does not come to rest");
	take_answers(r);
}

static void reset(struct run *r)
{
	fake_queue_destroy(&r->q);
	r->dev->needs_reset = false;
	r->dev->ops->reset(r->dev);
	memset(r->g.mem, 0, MEM);
	start_queue(r);
}

/* One step; the bytes it took. d holds at least 8 bytes behind its end that may be read. */
static size_t step(struct run *r, const uint8_t *d)
{
	uint8_t config[256];
	switch ((enum step)(d[0] % STEPS)) {
	case ADD: add(r, d + 1); return 3;
	case KICK:
		if (!r->dev->needs_reset)
			r->dev->ops->queue_kick(r->dev, 0);
		take_answers(r);
		return 1;
	case LOOP: run_loop(r); return 1;
	case RESET: reset(r); return 1;
	case POKE:
		r->poked = true;
		memcpy(r->g.mem + (d[1] | (d[2] & 0x0f) << 8), d + 3, 2);
		r->dev->vq[0].event_idx = d[2] & 0x10;
		return 5;
	case CONFIG: r->dev->ops->get_config(r->dev, d[1] * 0x1010101u, config, d[2]); return 3;
	case RESTART:
		/* As a transport does it when memory changes. */
		virtqueue_stop(&r->dev->vq[0]);
		run_loop(r);
		must(virtqueue_start(&r->dev->vq[0], r->dev->vq[0].next_avail) == 0, "start");
		return 1;
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
