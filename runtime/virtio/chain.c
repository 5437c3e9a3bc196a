// SPDX-License-Identifier: Apache-2.0
// chain.c - descriptor chains to iovecs, every step counted and every piece checked
#include "virtio/chain.h"

#include "base/checked.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#define DESC_F_NEXT 1
#define DESC_F_WRITE 2
#define DESC_F_INDIRECT 4

#define CHAIN_MAX_BYTES UINT32_MAX

struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};
_Static_assert(sizeof(struct desc) == CHAIN_DESC_SIZE, "descriptor layout");

static struct desc desc_load(const void *table, size_t i)
{
	struct desc d;
	/* One copy: the guest may write the table at any moment. */
	memcpy(&d, (const uint8_t *)table + i * CHAIN_DESC_SIZE, sizeof(d));
	__asm__ volatile("" ::: "memory");
	d.addr = le64toh(d.addr);
	d.len = le32toh(d.len);
	d.flags = le16toh(d.flags);
	d.next = le16toh(d.next);
	return d;
}

static int chain_add(const struct gmem *mem, struct chain *c, const struct desc *d)
{
	bool in = d->flags & DESC_F_WRITE;
	if (!in && c->n_in > 0)
		return -EPROTO;
	if (d->len == 0)
		return 0;
	if (c->out_len + c->in_len + d->len > CHAIN_MAX_BYTES)
		return -EPROTO;
	uint8_t *host = gmem_ptr(mem, GPA(d->addr), d->len);
	if (!host)
		return -EFAULT;
	unsigned n = c->n_out + c->n_in;
	struct iovec *last = n > 0 ? &c->iov[n - 1] : NULL;
	bool same_side = in ? c->n_in > 0 : c->n_out > 0;
	if (last && same_side && (uint8_t *)last->iov_base + last->iov_len == host) {
		last->iov_len += d->len;
	} else {
		if (n == CHAIN_MAX_IOV)
			return -EPROTO;
		c->iov[n] = (struct iovec){.iov_base = host, .iov_len = d->len};
		if (in)
			c->n_in++;
		else
			c->n_out++;
	}
	if (in)
		c->in_len += d->len;
	else
		c->out_len += d->len;
	return 0;
}

/* An indirect table replaces the rest of the chain; it must not nest or have a NEXT beside it. */
static int indirect_table(const struct gmem *mem, const struct desc *d, const void **table,
			  uint32_t *size)
{
	if ((d->flags & DESC_F_NEXT) || d->len == 0 || d->len % CHAIN_DESC_SIZE != 0 ||
	    d->len / CHAIN_DESC_SIZE > VIRTQUEUE_MAX_SIZE)
		return -EPROTO;
	*table = gmem_ptr(mem, GPA(d->addr), d->len);
	*size = d->len / CHAIN_DESC_SIZE;
	return *table ? 0 : -EFAULT;
}

int chain_walk(const struct gmem *mem, const void *table, uint16_t size, uint16_t head,
	       struct chain *c)
{
	uint32_t entries = size;
	uint32_t i = head;
	uint32_t steps = 0;
	bool indirect = false;

	c->head = head;
	c->n_out = c->n_in = 0;
	c->out_len = c->in_len = 0;
	for (;;) {
		if (i >= entries || steps++ >= entries)
			return -EPROTO;
		struct desc d = desc_load(table, i);
		if (d.flags & DESC_F_INDIRECT) {
			if (indirect)
				return -EPROTO;
			int ret = indirect_table(mem, &d, &table, &entries);
			if (ret < 0)
				return ret;
			indirect = true;
			i = 0;
			steps = 0;
			continue;
		}
		int ret = chain_add(mem, c, &d);
		if (ret < 0)
			return ret;
		if (!(d.flags & DESC_F_NEXT))
			return 0;
		i = d.next;
	}
}

static int slice(const struct iovec *src, unsigned n, size_t total, size_t off, size_t len,
		 struct iovec *out)
{
	int used = 0;
	if (!range_inside(off, len, total))
		return -EFAULT;
	for (unsigned i = 0; i < n && len > 0; i++) {
		if (off >= src[i].iov_len) {
			off -= src[i].iov_len;
			continue;
		}
		size_t part = MIN(len, src[i].iov_len - off);
		out[used++] = (struct iovec){
			.iov_base = (uint8_t *)src[i].iov_base + off,
			.iov_len = part,
		};
		len -= part;
		off = 0;
	}
	return used;
}

int chain_in_slice(const struct chain *c, size_t off, size_t len, struct iovec *iov)
{
	return slice(c->iov + c->n_out, c->n_in, c->in_len, off, len, iov);
}

int chain_out_slice(const struct chain *c, size_t off, size_t len, struct iovec *iov)
{
	return slice(c->iov, c->n_out, c->out_len, off, len, iov);
}

/* Walks [off, off + len) of one side and copies to or from buf. */
static int chain_copy(const struct iovec *iov, unsigned n, size_t total, size_t off, uint8_t *buf,
		      size_t len, bool to_guest)
{
	if (!range_inside(off, len, total))
		return -EFAULT;
	for (unsigned i = 0; i < n && len > 0; i++) {
		if (off >= iov[i].iov_len) {
			off -= iov[i].iov_len;
			continue;
		}
		size_t part = MIN(len, iov[i].iov_len - off);
		uint8_t *guest = (uint8_t *)iov[i].iov_base + off;
		memcpy(to_guest ? guest : buf, to_guest ? buf : guest, part);
		buf += part;
		len -= part;
		off = 0;
	}
	return 0;
}

int chain_read(const struct chain *c, size_t off, void *dst, size_t len)
{
	return chain_copy(c->iov, c->n_out, c->out_len, off, dst, len, false);
}

int chain_write(const struct chain *c, size_t off, const void *src, size_t len)
{
	return chain_copy(c->iov + c->n_out, c->n_in, c->in_len, off, (uint8_t *)(uintptr_t)src,
			  len, true);
}
