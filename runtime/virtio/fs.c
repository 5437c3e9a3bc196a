// SPDX-License-Identifier: Apache-2.0
// fs.c - the virtio-fs device
//
// A request is copied out of its chain once, its frame checked on the copy. What concerns the
// data of an open file is served at once; the rest goes to the fs process (fs_link.c), and its
// chain stays with us until the answer comes. Then the chain is walked again: the guest may have
// changed it meanwhile, which hurts only itself, because every walk checks everything. Data that
// the guest writes goes from its memory to the file, or, where a quota must see it, into one
// message.
#include "virtio/fs.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "virtio/chain.h"
#include "virtio/fs_handle.h"
#include "virtio/fs_link.h"
#include "virtio/fs_local.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_fs.h>
#include <string.h>
#include <sys/eventfd.h>

/* Queue 0 takes FORGET and INTERRUPT past the others, queue 1 everything else. */
#define NUM_QUEUES 2u
#define REQUEST_QUEUES 1u

struct virtio_fs {
	struct virtio_dev dev;
	struct virtio_fs_config config;
	struct fs_link link;
	struct fs_handles files;
	struct fs_local local;
	unsigned opening;     /* files under way, for which there is room in the table */
	struct evsource more; /* an eventfd: go on with chains that were left for later */
	bool blocked[NUM_QUEUES];
	bool dirty[NUM_QUEUES];
	struct chain chain;
	uint8_t msg[FS_WIRE_BODY_MAX] __attribute__((aligned(8)));
};

static struct virtio_fs *fs_of(struct virtio_dev *dev)
{
	return container_of(dev, struct virtio_fs, dev);
}

static void push(struct virtio_fs *v, unsigned q, uint16_t head, size_t len)
{
	virtqueue_push(&v->dev.vq[q], head, (uint32_t)len);
	v->dirty[q] = true;
}

static void notify_dirty(struct virtio_fs *v)
{
	for (unsigned q = 0; q < NUM_QUEUES; q++) {
		if (v->dirty[q])
			virtqueue_notify(&v->dev.vq[q]);
		v->dirty[q] = false;
	}
}

/* A reply whose data, if any, is in the chain already: header in front, chain to the guest. */
static void finish(struct virtio_fs *v, unsigned q, const struct chain *c, uint64_t unique,
		   ssize_t ret)
{
	struct fuse_out_header out = {
		.len = (uint32_t)(sizeof(out) + (ret > 0 ? (size_t)ret : 0)),
		.error = ret < 0 ? (int32_t)ret : 0,
		.unique = unique,
	};
	/* A guest without room for a header gets an empty answer. */
	if (chain_write(c, 0, &out, sizeof(out)) < 0)
		push(v, q, c->head, 0);
	else
		push(v, q, c->head, out.len);
}

/* The private copy of the request; how much of it is wanted follows from its header. */
static int copy_request(struct virtio_fs *v, const struct chain *c, struct fuse_in_header *in,
			size_t *arg_len)
{
	if (chain_read(c, 0, in, sizeof(*in)) < 0)
		return -EPROTO;
	if (in->len != c->out_len)
		return -EINVAL;
	size_t want = c->out_len - sizeof(*in);
	if (in->opcode == FUSE_WRITE)
		want = MIN(want, sizeof(struct fuse_write_in)); /* its data is read in place */
	if (want > sizeof(v->msg) - sizeof(*in))
		return -EINVAL;
	memcpy(v->msg, in, sizeof(*in));
	*arg_len = want;
	return chain_read(c, sizeof(*in), v->msg + sizeof(*in), want);
}

static bool opens(uint32_t opcode)
{
	return opcode == FUSE_OPEN || opcode == FUSE_CREATE;
}

/* What copy_request() left where it was. */
static int copy_data(struct virtio_fs *v, const struct chain *c, const struct fuse_in_header *in)
{
	size_t have = sizeof(*in) + sizeof(struct fuse_write_in);
	if (in->len > sizeof(v->msg))
		return -EINVAL;
	return chain_read(c, have, v->msg + have, in->len - have);
}

static int forward(struct virtio_fs *v, unsigned q, const struct chain *c,
		   const struct fuse_in_header *in, bool silent)
{
	struct fs_request req = {
		.unique = in->unique,
		.node = in->nodeid,
		.opcode = in->opcode,
		.head = c->head,
		.queue = (uint8_t)q,
	};
	/* A driver that starts a session, or ends it, has no files open. */
	if (in->opcode == FUSE_INIT || in->opcode == FUSE_DESTROY)
		fs_handle_close_all(&v->files);
	if (opens(in->opcode)) {
		/* What fs has done must not fail here for want of room. */
		if (v->files.open + v->opening >= v->files.limit)
			return -ENFILE;
		memcpy(&req.flags, v->msg + sizeof(*in), sizeof(req.flags));
	}
	int ret = in->opcode == FUSE_WRITE ? copy_data(v, c, in) : 0;
	if (ret == 0)
		ret = fs_link_send(&v->link, &req, silent, v->msg, in->len, silent ? 0 : c->in_len);
	if (ret == 0 && opens(in->opcode))
		v->opening++;
	return ret;
}

/* One chain: answered, or under way. Returns -EAGAIN if it must be taken again later. */
static int serve_chain(struct virtio_fs *v, unsigned q, const struct chain *c)
{
	struct fuse_in_header in;
	size_t arg_len = 0;
	int ret = copy_request(v, c, &in, &arg_len);
	if (ret == -EPROTO) {
		log_guest(&v->dev.limit, "fs: a request of %zu bytes has no header", c->out_len);
		push(v, q, c->head, 0);
		return 0;
	}
	uint8_t *arg = v->msg + sizeof(in);
	const struct fs_wire_op *op = fs_wire_op(in.opcode);
	bool silent = op && op->no_reply;
	if (ret == 0)
		ret = fs_wire_check(&in, arg, arg_len);
	if (ret == 0 && !silent && c->in_len < sizeof(struct fuse_out_header) + (size_t)op->reply)
		ret = -EINVAL;
	if (ret == -EINVAL)
		log_guest(&v->dev.limit, "fs: a malformed request, opcode %u", in.opcode);
	if (ret == 0 && v->link.gone)
		ret = -EIO;
	uint64_t release = 0;
	if (ret == 0 && in.opcode == FUSE_RELEASE)
		memcpy(&release, arg, sizeof(release));
	if (ret == 0 && fs_local_serves(in.opcode)) {
		ssize_t done = fs_local_serve(&v->local, &in, arg, c);
		if (done != FS_LOCAL_FORWARD) {
			finish(v, q, c, in.unique, done);
			return 0;
		}
	}
	bool sent = false;
	if (ret == 0 && in.opcode != FUSE_INTERRUPT) {
		ret = forward(v, q, c, &in, silent);
		if (ret == -EAGAIN)
			return ret;
		sent = ret == 0;
		if (sent && in.opcode == FUSE_RELEASE)
			fs_handle_close(&v->files, in.nodeid, release);
	}
	if (silent)
		push(v, q, c->head, 0);
	else if (!sent)
		finish(v, q, c, in.unique, ret);
	return 0;
}

/* Asks the loop to call us again. */
static void more_later(struct virtio_fs *v)
{
	uint64_t one = 1;
	ssize_t n = write(v->more.fd, &one, sizeof(one));
	(void)n;
}

/* The next chain; switches kicks off while there are any and on when there is none. */
static int next_chain(struct virtqueue *vq, struct chain *c)
{
	int ret = virtqueue_pop(vq, c);
	if (ret != 0)
		return ret;
	virtqueue_quiet(vq, false);
	ret = virtqueue_pop(vq, c);
	if (ret > 0)
		virtqueue_quiet(vq, true);
	return ret;
}

static void serve_queue(struct virtio_fs *v, unsigned q)
{
	struct virtqueue *vq = &v->dev.vq[q];
	int ret = 1;
	v->blocked[q] = false;
	if (!vq->started || v->dev.needs_reset)
		return;
	virtqueue_quiet(vq, true);
	for (unsigned left = vq->size; ret > 0; left--) {
		if (left == 0) {
			v->blocked[q] = true;
			more_later(v);
			break;
		}
		ret = next_chain(vq, &v->chain);
		if (ret > 0 && serve_chain(v, q, &v->chain) == -EAGAIN) {
			virtqueue_unpop(vq);
			v->blocked[q] = true;
			break;
		}
	}
	if (ret < 0)
		virtio_dev_fail(&v->dev, "broken request ring");
}

static void on_ready(void *arg)
{
	struct virtio_fs *v = arg;
	for (unsigned q = 0; q < NUM_QUEUES; q++)
		if (v->blocked[q])
			serve_queue(v, q);
	notify_dirty(v);
	if (v->link.gone)
		virtio_dev_ask_reset(&v->dev);
}

static void on_more(struct evsource *src, uint32_t events)
{
	uint64_t count;
	(void)events;
	ssize_t n = read(src->fd, &count, sizeof(count));
	(void)n;
	on_ready(src->arg);
}

/* OPEN and CREATE: the descriptor goes into our table, its number to the guest. */
static int take_file(struct virtio_fs *v, const struct fs_request *req, uint8_t *out, size_t len,
		     int fd)
{
	struct fuse_open_out o;
	struct fuse_entry_out e = {.nodeid = req->node};
	size_t at = sizeof(struct fuse_out_header);
	if (req->opcode == FUSE_CREATE)
		at += sizeof(e);
	if (len != at + sizeof(o))
		return -EPROTO;
	if (req->opcode == FUSE_CREATE)
		memcpy(&e, out + sizeof(struct fuse_out_header), sizeof(e));
	memcpy(&o, out + at, sizeof(o));
	struct fs_handle h = {
		.node = e.nodeid,
		.remote = o.fh,
		.fd = fd,
		.kept = o.open_flags & FS_WIRE_OPEN_KEPT,
		.rw = o.open_flags & FS_WIRE_OPEN_RW,
	};
	int access = (int)(req->flags & O_ACCMODE);
	if (!v->local.writable && (access != O_RDONLY || h.kept))
		return -EPROTO;
	int ret = fs_handle_add(&v->files, &h, access, &o.fh);
	if (ret < 0)
		return ret;
	o.open_flags &= FOPEN_KEEP_CACHE | FOPEN_DIRECT_IO;
	memcpy(out + at, &o, sizeof(o));
	return 0;
}

static void on_done(void *arg, const struct fs_request *req, int error, const uint8_t *out,
		    size_t len, int passed_fd)
{
	struct virtio_fs *v = arg;
	struct virtqueue *vq = &v->dev.vq[req->queue];
	AUTO_CLOSE int fd = passed_fd;
	if (opens(req->opcode))
		v->opening--;
	if (!vq->started || vq->broken || v->dev.needs_reset)
		return;
	if (chain_walk(vq->mem, vq->desc_h, vq->size, req->head, &v->chain) < 0) {
		virtio_dev_fail(&v->dev, "a chain changed while it was served");
		return;
	}
	if (error == 0) {
		/* The link's buffer is ours until the next message. */
		uint8_t *reply = (uint8_t *)(uintptr_t)out;
		struct fuse_out_header head = {.len = (uint32_t)len, .unique = req->unique};
		memcpy(reply, &head, sizeof(head));
		if (len > v->chain.in_len)
			error = -EIO;
		else if (opens(req->opcode))
			error = take_file(v, req, reply, len, fd);
		if (error == -EPROTO)
			log_guest(&v->dev.limit, "fs: the fs process opened something wrong");
	}
	if (error < 0) {
		finish(v, req->queue, &v->chain, req->unique, error == -EPROTO ? -EIO : error);
		return;
	}
	if (opens(req->opcode))
		(void)steal_fd(&fd);
	chain_write(&v->chain, 0, out, len);
	push(v, req->queue, req->head, len);
}

static void fs_queue_kick(struct virtio_dev *dev, unsigned q)
{
	struct virtio_fs *v = fs_of(dev);
	if (q >= NUM_QUEUES)
		return;
	serve_queue(v, q);
	notify_dirty(v);
}

static void fs_reset(struct virtio_dev *dev)
{
	struct virtio_fs *v = fs_of(dev);
	fs_handle_close_all(&v->files);
	fs_link_reset(&v->link);
	v->opening = 0;
	memset(v->blocked, 0, sizeof(v->blocked));
	memset(v->dirty, 0, sizeof(v->dirty));
}

static void fs_get_config(struct virtio_dev *dev, uint32_t off, void *buf, uint32_t len)
{
	struct virtio_fs *v = fs_of(dev);
	virtio_config_copy(&v->config, sizeof(v->config), off, buf, len);
}

static const struct virtio_dev_ops fs_dev_ops = {
	.name = "fs",
	.id = VIRTIO_ID_FS_DEV,
	.num_queues = NUM_QUEUES,
	.queue_kick = fs_queue_kick,
	.reset = fs_reset,
	.get_config = fs_get_config,
};

static const struct fs_link_ops link_ops = {.done = on_done, .ready = on_ready};

int virtio_fs_create(struct virtio_dev **out, struct evloop *loop, int server_sock, const char *tag,
		     unsigned max_open_files, bool writable)
{
	AUTO_CLOSE int sock = server_sock;
	size_t tag_len = strlen(tag);
	if (tag_len == 0 || tag_len > VIRTIO_FS_TAG_MAX)
		return -EINVAL;
	struct virtio_fs *v = calloc(1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	virtio_dev_init(&v->dev, &fs_dev_ops, loop);
	memcpy(v->config.tag, tag, tag_len);
	v->config.num_request_queues = htole32(REQUEST_QUEUES);
	v->local.files = &v->files;
	v->local.writable = writable;
	v->more = (struct evsource){.fn = on_more, .arg = v};
	v->more.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int ret = v->more.fd < 0 ? -errno : evloop_add(loop, &v->more, EPOLLIN);
	if (ret == 0)
		ret = fs_handle_init(&v->files, max_open_files);
	if (ret == 0)
		ret = fs_link_init(&v->link, loop, steal_fd(&sock), &link_ops, v);
	if (ret < 0) {
		virtio_fs_destroy(&v->dev);
		return ret;
	}
	*out = &v->dev;
	return 0;
}

void virtio_fs_destroy(struct virtio_dev *dev)
{
	if (!dev)
		return;
	struct virtio_fs *v = fs_of(dev);
	if (v->link.loop)
		fs_link_destroy(&v->link);
	fs_handle_destroy(&v->files);
	evloop_del(dev->loop, &v->more);
	close_fd(&v->more.fd);
	free(v);
}

bool virtio_fs_server_gone(const struct virtio_dev *dev)
{
	return container_of(dev, const struct virtio_fs, dev)->link.gone;
}
