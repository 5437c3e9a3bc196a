// SPDX-License-Identifier: Apache-2.0
// fs_wire.h - messages between the virtio-fs device and the fs process, and what a FUSE frame is
//
// One SOCK_SEQPACKET message is one FUSE request or one FUSE reply behind a small header of ours.
// The device chooses the tag, the reply brings it back; the guest's own `unique` is never used to
// find anything. FORGET, BATCH_FORGET and INTERRUPT have no reply. A reply to OPEN or CREATE
// carries the opened descriptor beside it (SCM_RIGHTS), no other message carries any. Where a quota
// must see the bytes fs keeps the descriptor that can write: it says FS_WIRE_OPEN_KEPT, its own
// number of the file is in fh, what is passed can only be read (nothing for a file opened for
// writing alone), and WRITE, FALLOCATE, FSYNC, RELEASE and SETATTR of this file come with that
// number.
#ifndef MAYFLY_FS_WIRE_H
#define MAYFLY_FS_WIRE_H

#include <linux/fuse.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The largest FUSE message that travels, header included. READ data never do, WRITE data only where
 * fs keeps the file. */
#define FS_WIRE_BODY_MAX (64u << 10)

struct fs_wire_req {
	uint32_t len;  /* of the whole message, this header included */
	uint32_t room; /* bytes the guest has for the FUSE reply, its header included */
	uint64_t tag;
};

struct fs_wire_rep {
	uint32_t len;
	uint32_t nfds;
	uint64_t tag;
};

#define FS_WIRE_MAX (FS_WIRE_BODY_MAX + sizeof(struct fs_wire_req))
_Static_assert(sizeof(struct fs_wire_req) == 16 && sizeof(struct fs_wire_rep) == 16, "wire layout");

/* Between fs and the device only, in open_flags of the replies to OPEN and CREATE. */
#define FS_WIRE_OPEN_KEPT (1u << 31)
#define FS_WIRE_OPEN_RW (1u << 30) /* the file is in a writable view */

/* As much data as a WRITE has where some view has a quota: whole pages beside the headers. */
#define FS_WIRE_WRITE_MAX (60u << 10)

/* Linux takes an errno of a FUSE reply only in this range. */
#define FS_WIRE_ERRNO_MAX 511

/* What follows the fuse_in_header of a request. */
enum fs_wire_shape {
	FS_WIRE_EXACT,	/* the arguments and nothing else */
	FS_WIRE_OPEN,	/* at least the arguments (they grew over the years, or data follows) */
	FS_WIRE_NAME,	/* the arguments, then one string up to the end */
	FS_WIRE_NAMES,	/* the arguments, then two strings up to the end */
	FS_WIRE_VALUE,	/* the arguments, then one string, then bytes */
	FS_WIRE_FORGETS /* fuse_batch_forget_in and its entries */
};

struct fs_wire_op {
	const char *name;
	enum fs_wire_shape shape;
	uint16_t args;	/* bytes of fixed arguments */
	uint16_t reply; /* bytes that must fit behind the reply's header */
	bool no_reply;
};

/* fs_wire_op() - the row of an opcode, NULL if it is none that we know. */
const struct fs_wire_op *fs_wire_op(uint32_t opcode);

/*
 * fs_wire_check() - does this request have the sizes its opcode demands?
 * @in: a private copy of the header; @body: what follows it, @len bytes
 * Returns 0, -ENOSYS (unknown opcode) or -EINVAL.
 */
int fs_wire_check(const struct fuse_in_header *in, const void *body, size_t len);

#endif
