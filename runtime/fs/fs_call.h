// SPDX-License-Identifier: Apache-2.0
// fs_call.h - one FUSE request on its way through the operations; for fs_ops*.c only
#ifndef MAYFLY_FS_CALL_H
#define MAYFLY_FS_CALL_H

#include "fs/fs.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

/* One request, its sizes already checked against the table in fs_wire.c. */
struct call {
	struct fs *fs;
	struct fs_node *node; /* NULL for the requests that name none */
	uint64_t nodeid;
	uint32_t opcode;
	const uint8_t *arg;
	size_t arg_len;
	uint8_t *out; /* behind the reply's header */
	size_t room;
	size_t used;
	int fd;
};

typedef int op_fn(struct call *c);

/* The arguments as a struct: the table has checked that they are there. */
#define ARGS(c, type)                                                                              \
	({                                                                                         \
		type args_;                                                                        \
		memcpy(&args_, (c)->arg, sizeof(args_));                                           \
		args_;                                                                             \
	})

static inline int reply(struct call *c, const void *data, size_t len)
{
	if (len > c->room)
		return -EINVAL;
	memcpy(c->out, data, len);
	c->used = len;
	return 0;
}

#endif
