// SPDX-License-Identifier: Apache-2.0
// test_fs_local.c - what the device does with open files of writable views, with a quota and
// without
#include "virtio/fs_local.h"

#include "lib/fs_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static uint64_t share;

static void begin(struct rig *r, uint64_t quota)
{
	rig_start_with(r, &(struct fx_options){.writable = true, .quota = quota});
	assert_true(rig_init(r) > 0);
	share = rig_lookup(r, FUSE_ROOT_ID, "share");
}

static uint64_t create(struct rig *r, const char *name, uint32_t flags, uint64_t *fh)
{
	struct {
		struct fuse_create_in in;
		char name[32];
	} arg = {.in = {.flags = flags | O_CREAT | O_EXCL, .mode = S_IFREG}};
	struct fuse_entry_out e;
	struct fuse_open_out o;
	strcpy(arg.name, name);
	assert_int_equal(rig_call(r, FUSE_CREATE, share, &arg, sizeof(arg.in) + strlen(name) + 1),
			 sizeof(e) + sizeof(o));
	memcpy(&e, r->reply, sizeof(e));
	memcpy(&o, r->reply + sizeof(e), sizeof(o));
	assert_int_equal(o.open_flags, 0);
	*fh = o.fh;
	return e.nodeid;
}

static int put(struct rig *r, uint64_t node, uint64_t fh, uint64_t off, const char *text)
{
	struct {
		struct fuse_write_in in;
		char data[64];
	} arg = {.in = {.fh = fh, .offset = off, .size = (uint32_t)strlen(text)}};
	struct fuse_write_out out;
	strcpy(arg.data, text);
	int ret = rig_call(r, FUSE_WRITE, node, &arg, sizeof(arg.in) + arg.in.size);
	if (ret < 0)
		return ret;
	assert_int_equal(ret, sizeof(out));
	memcpy(&out, r->reply, sizeof(out));
	return (int)out.size;
}

static int with_fh(struct rig *r, uint32_t op, uint64_t node, uint64_t fh)
{
	struct fuse_fsync_in sync = {.fh = fh, .fsync_flags = FUSE_FSYNC_FDATASYNC};
	struct fuse_fallocate_in alloc = {.fh = fh, .length = 4096};
	struct fuse_release_in release = {.fh = fh};
	switch (op) {
	case FUSE_FALLOCATE: return rig_call(r, op, node, &alloc, sizeof(alloc));
	case FUSE_RELEASE: return rig_call(r, op, node, &release, sizeof(release));
	default: return rig_call(r, op, node, &sync, sizeof(sync));
	}
}

static int cut(struct rig *r, uint64_t node, uint64_t fh, uint64_t size)
{
	struct fuse_setattr_in in = {.valid = FATTR_SIZE | FATTR_FH, .fh = fh, .size = size};
	struct fuse_attr_out out;
	int ret = rig_call(r, FUSE_SETATTR, node, &in, sizeof(in));
	if (ret < 0)
		return ret;
	memcpy(&out, r->reply, sizeof(out));
	return (int)out.attr.size;
}

static void whole_life(struct rig *r, uint64_t quota)
{
	uint64_t fh;
	begin(r, quota);
	uint64_t node = create(r, "new", O_RDWR, &fh);
	assert_int_equal(put(r, node, fh, 0, "hello"), 5);
	assert_int_equal(put(r, node, fh, 100, "there"), 5);
	assert_int_equal(rig_read(r, node, fh, 0, 200), 105);
	assert_memory_equal(r->reply + 100, "there", 5);
	assert_int_equal(with_fh(r, FUSE_FSYNC, node, fh), 0);
	int ret = with_fh(r, FUSE_FALLOCATE, node, fh);
	assert_true(ret == 0 || ret == -EOPNOTSUPP);
	/* The mode of this file forbids everything, but it is open. */
	assert_int_equal(cut(r, node, fh, 3), 3);
	assert_int_equal(rig_read(r, node, fh, 0, 200), 3);
	assert_int_equal(cut(r, node, fh, UINT64_MAX), -EFBIG);
	assert_int_equal(put(r, node, fh, UINT64_MAX - 2, "x"), -EFBIG);
	/* Numbers that are none, nodes that are others. */
	assert_int_equal(put(r, node, fh + 1, 0, "x"), -EBADF);
	assert_int_equal(put(r, share, fh, 0, "x"), -EBADF);
	assert_int_equal(cut(r, node, fh + 1, 0), -EBADF);
	assert_int_equal(with_fh(r, FUSE_FSYNC, node, fh + 1), -EBADF);
	assert_int_equal(with_fh(r, FUSE_FALLOCATE, node, fh + 1), -EBADF);
	assert_int_equal(with_fh(r, FUSE_RELEASE, node, fh + 1), -EBADF);
	assert_int_equal(with_fh(r, FUSE_RELEASE, node, fh), 0);
	assert_int_equal(with_fh(r, FUSE_RELEASE, node, fh), -EBADF);
	assert_int_equal(put(r, node, fh, 0, "x"), -EBADF);
	/* More often than files may be open at once. */
	for (unsigned i = 0; i < 3 * RIG_MAX_FILES; i++) {
		char name[16];
		snprintf(name, sizeof(name), "n%u", i);
		node = create(r, name, i & 1 ? O_WRONLY : O_RDONLY, &fh);
		assert_int_equal(put(r, node, fh, 0, "x"), i & 1 ? 1 : -EBADF);
		assert_int_equal(with_fh(r, FUSE_FSYNC, node, fh), 0);
		assert_int_equal(with_fh(r, FUSE_RELEASE, node, fh), 0);
	}
	rig_stop(r);
}

static void test_direct(void **state)
{
	whole_life(*state, 0);
}

static void test_kept(void **state)
{
	whole_life(*state, 1 << 20);
}

/* A full table refuses before anything is made. */
static void test_full(void **state)
{
	struct rig *r = *state;
	uint64_t fh;
	begin(r, 0);
	for (unsigned i = 0; i < RIG_MAX_FILES; i++) {
		char name[16];
		snprintf(name, sizeof(name), "n%u", i);
		create(r, name, O_RDWR, &fh);
	}
	struct {
		struct fuse_create_in in;
		char name[8];
	} arg = {.in = {.flags = O_RDWR | O_CREAT, .mode = S_IFREG}, .name = "more"};
	assert_int_equal(rig_call(r, FUSE_CREATE, share, &arg, sizeof(arg.in) + 5), -ENFILE);
	assert_int_equal(faccessat(r->fx.dirfd, "more", F_OK, 0), -1);
	rig_stop(r);
}

static void test_wrong_sizes(void **state)
{
	struct rig *r = *state;
	uint64_t fh;
	begin(r, 0);
	uint64_t node = create(r, "new", O_RDWR, &fh);
	struct {
		struct fuse_write_in in;
		char data[16];
	} arg = {.in = {.fh = fh, .size = 15}};
	assert_int_equal(rig_call(r, FUSE_WRITE, node, &arg, sizeof(arg)), -EINVAL);
	arg.in.size = 17;
	assert_int_equal(rig_call(r, FUSE_WRITE, node, &arg, sizeof(arg)), -EINVAL);
	arg.in.size = UINT32_MAX;
	assert_int_equal(rig_call(r, FUSE_WRITE, node, &arg, sizeof(arg)), -EINVAL);
	arg.in.size = 0;
	assert_int_equal(rig_call(r, FUSE_WRITE, node, &arg, sizeof(arg.in)), 8);
	/* Without room for the answer nothing is written. */
	arg.in.size = 16;
	assert_int_equal(rig_call_room(r, FUSE_WRITE, node, &arg, sizeof(arg), 20), -EINVAL);
	struct stat st;
	assert_int_equal(fstatat(r->fx.dirfd, "new", &st, 0), 0);
	assert_int_equal(st.st_size, 0);
	/* Files of other views take nothing, but may be flushed. */
	uint64_t ro;
	uint64_t file = rig_lookup(r, rig_lookup(r, FUSE_ROOT_ID, "sys"), "file");
	assert_int_equal(rig_open(r, file, O_RDONLY, &ro), 0);
	assert_int_equal(put(r, file, ro, 0, "x"), -EROFS);
	assert_int_equal(with_fh(r, FUSE_FALLOCATE, file, ro), -EROFS);
	assert_int_equal(cut(r, file, ro, 0), -EROFS);
	assert_int_equal(with_fh(r, FUSE_FSYNC, file, ro), 0);
	rig_stop(r);
}

static void test_copy(void **state)
{
	struct rig *r = *state;
	uint64_t from;
	uint64_t to;
	begin(r, 0);
	uint64_t a = create(r, "a", O_RDWR, &from);
	uint64_t b = create(r, "b", O_RDWR, &to);
	assert_int_equal(put(r, a, from, 0, "0123456789"), 10);
	struct fuse_copy_file_range_in in = {.fh_in = from,
					     .off_in = 2,
					     .nodeid_out = b,
					     .fh_out = to,
					     .off_out = 1,
					     .len = 100};
	assert_int_equal(rig_call(r, FUSE_COPY_FILE_RANGE, a, &in, sizeof(in)), 8);
	assert_int_equal(rig_read(r, b, to, 0, 100), 9);
	assert_memory_equal(r->reply,
			    "\0"
			    "23456789",
			    9);
	in.nodeid_out = a;
	assert_int_equal(rig_call(r, FUSE_COPY_FILE_RANGE, a, &in, sizeof(in)), -EBADF);
	in.nodeid_out = b;
	in.off_out = UINT64_MAX;
	assert_int_equal(rig_call(r, FUSE_COPY_FILE_RANGE, a, &in, sizeof(in)), -EINVAL);
	rig_stop(r);
}

static int rig_new(void **state)
{
	*state = calloc(1, sizeof(struct rig));
	return *state ? 0 : -1;
}

static int rig_free(void **state)
{
	free(*state);
	return 0;
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, rig_new, rig_free)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_direct), T(test_kept), T(test_full), T(test_wrong_sizes), T(test_copy),
	};
	return cmocka_run_group_tests_name("fs_local", tests, NULL, NULL);
}
