// SPDX-License-Identifier: Apache-2.0
// fuzz_blk.c - a hostile driver of a disk
// links: runtime/virtio/blk.c runtime/virtio/blk_req.c runtime/virtio/blk_io.c runtime/virtio/blk_uring.c runtime/virtio/blk_threads.c runtime/virtio/virtio.c runtime/virtio/queue.c runtime/virtio/chain.c runtime/vmm/gmem.c tests/lib/fake_guest.c tests/lib/blk_rig.c
//
// Input: [options], then a list of steps, see step(). Whatever comes, the file keeps its size, what
// lies behind a read-only disk its bytes, each status is one of three, and nothing stays under way.
#include "base/checked.h"
#include "lib/blk_rig.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum step { REQUEST, RAW, KICK, LOOP, RESET, POKE, CONFIG, FEATURES, STEPS };

#define DISK_SECTORS 64u
#define MARK 0x5a

struct run {
	struct blk_rig rig;
	bool poked; /* the driver's own state is no measure any more */
	uint8_t *status[FAKE_QUEUE_MAX];
};

static void must(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "fuzz_blk: %s\n", what);
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

static void take_answers(struct run *r)
{
	uint16_t head;
	uint32_t len;
	while (!r->poked && fake_queue_used(&r->rig.q[0], &head, &len))
		if (r->status[head])
			must(*r->status[head] <= BLK_UNSUPP, "status");
}

/* [type][sector][length]: framed as drivers do it */
static void request(struct run *r, const uint8_t *d)
{
	static const uint32_t types[] = {0, 1, 4, 8, 11, 13, 2, 99};
	static const uint64_t sectors[] = {0,	       1,	   DISK_SECTORS - 1, DISK_SECTORS,
					   UINT64_MAX, 1ull << 55, UINT64_MAX / 512, 32};
	static const size_t lens[] = {0, 512, 1024, 4096, 100, 16, 32, 65536};
	static uint8_t data[65536];
	uint32_t type = types[d[0] & 7];
	size_t len = lens[d[2] & 7];
	uint64_t range[4] = {sectors[d[1] >> 3 & 7], (uint64_t)d[2] << 28 | d[3], 1, 2};
	memcpy(data, range, sizeof(range));
	bool in = d[0] & 0x10;
	if (r->poked)
		return;
	if (r->rig.g.used > r->rig.g.size / 2)
		return;
	struct blk_rig_request q =
		blk_rig_add(&r->rig, 0, type, sectors[d[1] & 7], in ? NULL : data, len);
	if (q.head >= 0)
		r->status[q.head] = q.status;
}

/* [kinds][lengths]: up to four descriptors of any kind */
static void raw(struct run *r, const uint8_t *d)
{
	static const size_t lens[] = {0, 1, 15, 16, 17, 512, 513, 40000};
	static uint8_t text[40000];
	struct fake_buf b[4];
	unsigned n = 1 + (d[0] & 3);
	if (r->poked || r->rig.g.used > r->rig.g.size / 2)
		return;
	memcpy(text, d + 2, 4);
	for (unsigned i = 0; i < n; i++)
		b[i] = (struct fake_buf){
			.in = d[0] >> (4 + i) & 1, .data = text, .len = lens[(d[1] >> i * 2) & 7]};
	int head = fake_queue_add(&r->rig.q[0], b, n);
	if (head >= 0)
		r->status[head] = NULL;
}

static void settle(struct run *r)
{
	for (int i = 0; i < 20 && evloop_once(&r->rig.loop, 0) > 0; i++)
		;
	take_answers(r);
}

/* As a transport does it. */
static void reset(struct run *r)
{
	struct virtio_dev *dev = r->rig.dev;
	virtio_dev_quiesce(dev);
	fake_queue_destroy(&r->rig.q[0]);
	dev->needs_reset = false;
	dev->ops->reset(dev);
	r->rig.g.used = 0;
	r->poked = false;
	memset(r->status, 0, sizeof(r->status));
	must(fake_queue_init(&r->rig.q[0], &r->rig.g, &dev->vq[0], BLK_RIG_QSIZE) == 0, "queue");
}

static size_t step(struct run *r, const uint8_t *d)
{
	uint8_t config[256];
	struct virtio_dev *dev = r->rig.dev;
	switch ((enum step)(d[0] % STEPS)) {
	case REQUEST: request(r, d + 1); return 5;
	case RAW: raw(r, d + 1); return 7;
	case KICK:
		if (!dev->needs_reset)
			blk_rig_kick(&r->rig, 0);
		take_answers(r);
		return 1;
	case LOOP: settle(r); return 1;
	case RESET: reset(r); return 1;
	case POKE:
		r->poked = true;
		memcpy(r->rig.g.mem + (d[1] | (d[2] & 0x0f) << 8), d + 3, 2);
		dev->vq[0].event_idx = d[2] & 0x10;
		return 5;
	case CONFIG: dev->ops->get_config(dev, d[1] * 0x1010101u, config, d[2]); return 3;
	case FEATURES: dev->driver_features = d[1] & 1 ? 0 : dev->ops->features; return 2;
	default: return 1;
	}
}

static void check_file(struct run *r, bool read_only)
{
	uint8_t buf[DISK_SECTORS * BLK_SECTOR];
	struct stat st;
	must(fstat(r->rig.fd, &st) == 0 && st.st_size == sizeof(buf), "the file's size");
	must(pread(r->rig.fd, buf, sizeof(buf), 0) == sizeof(buf), "the file");
	for (size_t i = 0; read_only && i < sizeof(buf); i++)
		must(buf[i] == MARK, "a read-only disk is written");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct run r;
	uint8_t mark[DISK_SECTORS * BLK_SECTOR];
	if (size < 1)
		return 0;
	struct virtio_blk_options o = {
		.size = sizeof(mark), .read_only = data[0] & 1, .throwaway = data[0] & 2};
	uint8_t *copy = calloc(1, size + 8);
	must(copy, "memory");
	memcpy(copy, data, size);
	memset(&r, 0, sizeof(r));
	must(blk_rig_init(&r.rig, data[0] & 4, &o) == 0, "disk");
	memset(mark, MARK, sizeof(mark));
	must(pwrite(r.rig.fd, mark, sizeof(mark), 0) == sizeof(mark), "the file");
	size_t off = 1;
	for (unsigned i = 0; i < 200 && off < size; i++)
		off += step(&r, copy + off);
	virtio_dev_quiesce(r.rig.dev);
	settle(&r);
	check_file(&r, o.read_only);
	blk_rig_destroy(&r.rig);
	free(copy);
	return 0;
}
