// SPDX-License-Identifier: Apache-2.0
// fuzz_chain.c - a hostile driver's rings: pops all chains of a memory image
// links: runtime/virtio/queue.c runtime/virtio/chain.c runtime/vmm/gmem.c
//
// Input: struct head, then the guest's memory from its start. What a chain hands out must lie in
// guest memory, be counted right and be bounded, whatever the rings say, even where the used ring
// overlaps the descriptors.
#include "base/checked.h"
#include "virtio/queue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOW_GPA 0x1000ull
#define LOW_SIZE 8192u
#define HIGH_GPA 0x100000000ull
#define HIGH_SIZE 4096u
#define POPS_MAX 3000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct head {
	uint8_t size_log2;
	uint8_t flags;
	uint16_t next_avail;
	uint16_t desc, avail, used; /* offsets from LOW_GPA */
	uint16_t probe;		    /* what is read and written of each chain */
};

static struct chain chain;
static struct iovec slice[CHAIN_MAX_IOV];

static void must(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "fuzz_chain: %s\n", what);
		abort();
	}
}

static bool inside(const struct gmem *m, const struct iovec *iov)
{
	const uint8_t *p = iov->iov_base;
	for (unsigned i = 0; i < m->n; i++) {
		const struct gmem_region *r = &m->region[i];
		if (p >= r->host && p < r->host + r->size)
			return iov->iov_len <= (size_t)(r->host + r->size - p);
	}
	return false;
}

static void check_chain(const struct gmem *m, uint16_t qsize)
{
	size_t sum[2] = {0, 0};
	must(chain.head < qsize, "head");
	must(chain.n_out <= CHAIN_MAX_IOV && chain.n_in <= CHAIN_MAX_IOV - chain.n_out, "pieces");
	for (unsigned i = 0; i < chain.n_out + chain.n_in; i++) {
		must(chain.iov[i].iov_len > 0, "an empty piece");
		must(inside(m, &chain.iov[i]), "a piece outside the guest");
		sum[i >= chain.n_out] += chain.iov[i].iov_len;
	}
	must(sum[0] == chain.out_len && sum[1] == chain.in_len, "lengths");
	must(chain.out_len + chain.in_len <= UINT32_MAX, "total");
}

static void check_slice(int n, const struct gmem *m, size_t off, size_t len, size_t total)
{
	size_t sum = 0;
	must((n >= 0) == (off <= total && len <= total - off), "slice bounds");
	for (int i = 0; i < n; i++) {
		must(inside(m, &slice[i]), "a slice outside the guest");
		sum += slice[i].iov_len;
	}
	must(n < 0 || sum == len, "slice length");
}

static void use_chain(const struct gmem *m, uint16_t probe)
{
	uint8_t buf[512] = {0};
	size_t off = probe & 0xff;
	size_t len = MIN((size_t)(probe >> 7), sizeof(buf));
	bool fits = off <= chain.out_len && len <= chain.out_len - off;
	must((chain_read(&chain, off, buf, len) == 0) == fits, "chain_read");
	check_slice(chain_out_slice(&chain, off, len, slice), m, off, len, chain.out_len);
	check_slice(chain_in_slice(&chain, off, len, slice), m, off, len, chain.in_len);
	fits = off <= chain.in_len && len <= chain.in_len - off;
	must((chain_write(&chain, off, buf, len) == 0) == fits, "chain_write");
}

static void serve(struct virtqueue *vq, const struct head *h)
{
	uint16_t start = vq->next_avail;
	unsigned n;
	for (n = 0; n < POPS_MAX; n++) {
		int got = virtqueue_pop(vq, &chain);
		must(got <= 1 && (got >= 0) == !vq->broken, "pop's result");
		if (got <= 0)
			break;
		check_chain(vq->mem, vq->size);
		if (n % 5 == 4 && (h->flags & 2)) {
			uint16_t head = chain.head;
			virtqueue_unpop(vq);
			if (virtqueue_pop(vq, &chain) != 1)
				break;
			must(chain.head == head, "unpop");
		}
		use_chain(vq->mem, h->probe);
		if (h->flags & 4)
			virtqueue_push(vq, chain.head, (uint32_t)chain.in_len);
		virtqueue_quiet(vq, n & 1);
		virtqueue_notify(vq);
	}
	/* Only a ring that feeds itself through the used ring may go on for longer. */
	must((h->flags & 4) || n <= vq->size || vq->broken ||
		     (uint16_t)(vq->next_avail - start) <= n,
	     "more chains than the ring holds");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct head h;
	struct gmem mem = {0};
	if (size < sizeof(h))
		return 0;
	memcpy(&h, data, sizeof(h));
	uint8_t *low = aligned_alloc(4096, LOW_SIZE);
	uint8_t *high = aligned_alloc(4096, HIGH_SIZE);
	must(low && high, "memory");
	memset(low, 0, LOW_SIZE);
	memset(high, 0x55, HIGH_SIZE);
	memcpy(low, data + sizeof(h), MIN(size - sizeof(h), (size_t)LOW_SIZE));
	struct gmem_region a = {.gpa = LOW_GPA, .size = LOW_SIZE, .host = low};
	struct gmem_region b = {.gpa = HIGH_GPA, .size = HIGH_SIZE, .host = high};
	must(gmem_add(&mem, &a) == 0 && gmem_add(&mem, &b) == 0, "regions");
	struct virtqueue vq = {
		.mem = &mem,
		.size = (uint16_t)(1u << (h.size_log2 % 12)),
		.desc = GPA(LOW_GPA + h.desc),
		.avail = GPA(LOW_GPA + h.avail),
		.used = GPA(LOW_GPA + h.used),
		.event_idx = h.flags & 1,
		.call_fd = -1,
	};
	if (virtqueue_start(&vq, h.next_avail) == 0)
		serve(&vq, &h);
	virtqueue_stop(&vq);
	free(low);
	free(high);
	return 0;
}
