// SPDX-License-Identifier: Apache-2.0
// fuse.c - FUSE requests, half of them right: nodes and handles that came back are used again
#include "garbage.h"

enum {
	LOOKUP = 1,
	FORGET = 2,
	GETATTR = 3,
	READLINK = 5,
	OPEN = 14,
	READ = 15,
	WRITE = 16,
	STATFS = 17,
	RELEASE = 18,
	GETXATTR = 22,
	LISTXATTR = 23,
	FLUSH = 25,
	INIT = 26,
	OPENDIR = 27,
	READDIR = 28,
	RELEASEDIR = 29,
	ACCESS = 34,
	INTERRUPT = 36,
	DESTROY = 38,
	BATCH_FORGET = 42,
	READDIRPLUS = 44,
	LSEEK = 46,
};

struct in_header {
	uint32_t len, opcode;
	uint64_t unique, node;
	uint32_t uid, gid, pid, extra;
};

struct out_header {
	uint32_t len;
	int32_t error;
	uint64_t unique;
};

#define POOL 32
#define NAME_SIZE 24
#define ENTRY_OUT 128 /* struct fuse_entry_out */
#define DIRENT 24     /* struct fuse_dirent without the name */

/* What the server told: overwritten by chance when full. */
static uint64_t nodes[POOL] = {1};
static uint64_t handles[POOL];
static uint64_t handle_node[POOL];
static char names[POOL][NAME_SIZE] = {"system", "usr", "etc", "bin",	   "lib",
				      "passwd", "..",  ".",   "os-release"};
static unsigned n_nodes = 1;
static unsigned n_handles;
static unsigned n_names = 9;

/* The first stays. */
static unsigned slot(unsigned *n)
{
	return *n < POOL ? (*n)++ : 1 + (unsigned)below(POOL - 1);
}

static void learn_name(const char *name, uint32_t len)
{
	if (len == 0 || len >= NAME_SIZE)
		return;
	char *to = names[slot(&n_names)];
	memcpy(to, name, len);
	to[len] = '\0';
}

/* Names out of a directory's listing; with plus each is behind what LOOKUP would say. */
static void learn_list(const uint8_t *p, size_t len, bool plus)
{
	while (len >= (plus ? ENTRY_OUT : 0) + DIRENT) {
		uint32_t name_len;
		if (plus) {
			memcpy(&nodes[slot(&n_nodes)], p, sizeof(nodes[0]));
			p += ENTRY_OUT;
			len -= ENTRY_OUT;
		}
		memcpy(&name_len, p + 16, sizeof(name_len));
		size_t size = (DIRENT + (size_t)name_len + 7) & ~(size_t)7;
		if (size > len)
			return;
		learn_name((const char *)p + DIRENT, name_len);
		p += size;
		len -= size;
	}
}

static void learn(uint32_t opcode, uint64_t node, uint64_t len)
{
	const uint8_t *p = (const uint8_t *)IN_BUF;
	struct out_header h;
	memcpy(&h, p, sizeof(h));
	if (len < sizeof(h) || h.len != len) {
		saw(SEEN_FS_ERROR);
		return;
	}
	saw(h.error ? SEEN_FS_ERROR : SEEN_FS_OK);
	if (h.error)
		return;
	p += sizeof(h);
	len -= sizeof(h);
	if (opcode == LOOKUP && len >= ENTRY_OUT)
		memcpy(&nodes[slot(&n_nodes)], p, sizeof(nodes[0]));
	if ((opcode == OPEN || opcode == OPENDIR) && len >= 16) {
		unsigned i = slot(&n_handles);
		memcpy(&handles[i], p, sizeof(handles[0]));
		handle_node[i] = node;
	}
	if (opcode == READDIR || opcode == READDIRPLUS)
		learn_list(p, len, opcode == READDIRPLUS);
}

static uint32_t any_opcode(void)
{
	static const uint8_t common[] = {
		INIT,	 LOOKUP,       LOOKUP,	 LOOKUP,  GETATTR,  OPEN,      OPEN,
		READ,	 READ,	       OPENDIR,	 OPENDIR, READDIR,  READDIR,   READDIRPLUS,
		RELEASE, RELEASEDIR,   READLINK, STATFS,  GETXATTR, LISTXATTR, ACCESS,
		FORGET,	 BATCH_FORGET, LSEEK,	 FLUSH,	  WRITE,    INTERRUPT,
	};
	if (chance(1))
		return DESTROY;
	if (chance(10))
		return (uint32_t)below(60);
	if (chance(3))
		return (uint32_t)odd_number();
	return common[below(ARRAY_SIZE(common))];
}

static uint8_t *put32(uint8_t *p, uint64_t v)
{
	uint32_t le = (uint32_t)v;
	memcpy(p, &le, sizeof(le));
	return p + sizeof(le);
}

static uint8_t *put64(uint8_t *p, uint64_t v)
{
	memcpy(p, &v, sizeof(v));
	return p + sizeof(v);
}

static uint8_t *put_name(uint8_t *p)
{
	switch (below(10)) {
	case 0: {
		uint64_t n = below(5000);
		memset(p, 'a', n);
		p += n;
		break;
	}
	case 1:
		memcpy(p, "usr/bin", 7);
		p += 7;
		break;
	case 2: break;
	case 3:
		put64(p, random64());
		p += below(9);
		break;
	case 4:
	case 5:
		memcpy(p, names[0], strlen(names[0]));
		p += strlen(names[0]);
		break;
	default: {
		const char *name = names[below(n_names)];
		memcpy(p, name, strlen(name));
		p += strlen(name);
	}
	}
	*p = '\0';
	return p + (chance(95) ? 1 : below(3));
}

/* Sizes and offsets: mostly such as files have. */
static uint64_t any_size(void)
{
	return chance(20) ? odd_number() : below(chance(50) ? 300 : 70000);
}

static uint8_t *put_forgets(uint8_t *p)
{
	uint64_t n = below(chance(10) ? 3000 : 5);
	p = put64(p, chance(90) ? n : odd_number());
	for (uint64_t i = 0; i < n; i++) {
		p = put64(p, chance(50) ? nodes[below(n_nodes)] : odd_number());
		p = put64(p, chance(70) ? 1 : odd_number());
	}
	return p;
}

/* The arguments as they should be; returns their end. */
static uint8_t *put_args(uint8_t *p, uint32_t opcode, uint64_t fh)
{
	switch (opcode) {
	case LOOKUP: return put_name(p);
	case FORGET: return put64(p, chance(80) ? 1 : odd_number());
	case GETATTR: return put64(put64(p, below(2)), fh);
	case OPEN:
	case OPENDIR: return put64(p, chance(80) ? 0 : odd_number());
	case READ:
	case READDIR:
	case READDIRPLUS:
		p = put64(put64(p, fh), opcode == READ || chance(30) ? any_size() : 0);
		p = put32(put32(p, any_size()), 0);
		return put64(put64(p, 0), 0);
	case WRITE:
		p = put64(put64(p, fh), any_size());
		p = put64(put32(put32(p, any_size()), 0), 0);
		return put64(p, 0) + below(5000);
	case RELEASE:
	case RELEASEDIR: return put64(put64(put64(p, fh), 0), 0);
	case GETXATTR: return put_name(put64(p, (uint32_t)any_size()));
	case LISTXATTR: return put64(p, (uint32_t)any_size());
	case FLUSH: return put64(put64(put64(p, fh), 0), 0);
	case INIT:
		p = put32(put32(p, chance(90) ? 7 : below(30)), chance(90) ? 38 : odd_number());
		p = put32(put32(p, odd_number()), odd_number());
		return chance(50) ? p : put64(p, odd_number()) + 40;
	case ACCESS:
	case INTERRUPT: return put64(p, below(8));
	case BATCH_FORGET: return put_forgets(p);
	case LSEEK: return put32(put32(put64(put64(p, fh), any_size()), 3 + below(3)), 0);
	default: return p + below(chance(80) ? 80 : 5000);
	}
}

static uint32_t answer_room(void)
{
	switch (below(6)) {
	case 0: return (uint32_t)below(200);
	case 1: return 16;
	case 2: return BUF_SIZE;
	default: return 16 + 8192;
	}
}

/* Of node and with name, both any if 0. */
static void one_request(struct device *d, uint32_t opcode, uint64_t node, const char *name)
{
	uint8_t *start = (uint8_t *)OUT_BUF;
	unsigned h = n_handles ? (unsigned)below(n_handles) : 0;
	bool known = n_handles && chance(60);
	struct in_header in = {
		.opcode = opcode,
		.unique = random64(),
		.node = known	     ? handle_node[h]
			: chance(90) ? nodes[below(n_nodes)]
				     : odd_number(),
		.uid = (uint32_t)below(2) * 1000,
	};
	uint64_t fh = known ? handles[h] : odd_number();
	if (node)
		in.node = node;
	uint8_t *end = put_args(start + sizeof(in), in.opcode, fh);
	if (name) {
		memcpy(start + sizeof(in), name, strlen(name) + 1);
		end = start + sizeof(in) + strlen(name) + 1;
	}
	uint32_t len = (uint32_t)(end - start);
	if (chance(5))
		len = (uint32_t)below(chance(50) ? 100 : BUF_SIZE);
	in.len = chance(95) ? len : (uint32_t)odd_number();
	memcpy(start, &in, sizeof(in));
	/* FORGETs go past the others, but the device should mind no order. */
	unsigned q = in.opcode == FORGET || chance(5) ? 0 : 1;
	int64_t got = queue_request(d, q, OUT_BUF, len, IN_BUF, answer_room(), chance(1) ? 20 : 0);
	if (got > 0)
		learn(in.opcode, in.node, (uint64_t)got);
}

/* Nothing is known but the root. Half of the drivers find a file first. */
static void new_session(struct device *d)
{
	static const char *const path[] = {"system", "etc", "passwd"};
	n_handles = 0;
	n_nodes = 1;
	nodes[0] = 1;
	one_request(d, INIT, 1, NULL);
	if (chance(50))
		return;
	for (unsigned i = 0; i < ARRAY_SIZE(path); i++)
		one_request(d, LOOKUP, nodes[n_nodes - 1], path[i]);
	one_request(d, OPEN, nodes[n_nodes - 1], NULL);
}

void step_fs(void)
{
	struct device *d = device_of(ID_FS);
	if (!d)
		return;
	if (!d->started || device_broken(d)) {
		device_start(d, 0);
		new_session(d);
	}
	for (uint64_t n = 1 + below(8); n > 0; n--) {
		uint32_t opcode = any_opcode();
		one_request(d, opcode, 0, NULL);
		if (opcode == DESTROY && chance(80))
			new_session(d);
	}
	if (chance(5)) {
		/* Under way when the device is reset, or without a wait for the answer. */
		queue_add(d, 1, &(struct piece){.addr = OUT_BUF, .len = 41}, 1, 0);
		queue_notify(d, 1);
		device_reset(d);
	}
}
