// SPDX-License-Identifier: Apache-2.0
// test_fs_dir.c - listings: complete, without repeats, with nodes, from bounded handles
#include "lib/fs_fixture.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cmocka.h>

#define DIRS 4
#define MANY 5000

static struct fs_fixture fx;

struct seen {
	char name[256];
	uint64_t ino, node;
	uint32_t type;
};

static struct seen seen[MANY + 100];
static unsigned nseen, requests;

static int start(void **state)
{
	(void)state;
	fx_tree(&fx);
	fx_start_inline(&fx, &(struct fx_options){.limits = {.max_dirs = DIRS}});
	return fx_init(&fx) > 0 ? 0 : -1;
}

static int stop(void **state)
{
	(void)state;
	return fx_stop(&fx);
}

static int read_dir(uint64_t node, uint64_t fh, uint64_t off, uint32_t size, bool plus)
{
	struct fuse_read_in in = {.fh = fh, .offset = off, .size = size};
	requests++;
	return fx_call(&fx, plus ? FUSE_READDIRPLUS : FUSE_READDIR, node, &in, sizeof(in));
}

/* One reply's records into seen[]; the last one's offset. */
static uint64_t take(int len, bool plus)
{
	const uint8_t *p = fx_data(&fx);
	uint64_t off = 0;
	while (len > 0) {
		struct fuse_direntplus d = {0};
		size_t head = plus ? FUSE_NAME_OFFSET_DIRENTPLUS : FUSE_NAME_OFFSET;
		assert_true((size_t)len >= head);
		memcpy(plus ? (void *)&d : (void *)&d.dirent, p, head);
		size_t size = FUSE_DIRENT_ALIGN(head + d.dirent.namelen);
		assert_true(size <= (size_t)len);
		assert_true(nseen < MANY + 100);
		struct seen *s = &seen[nseen++];
		memcpy(s->name, p + head, d.dirent.namelen);
		s->name[d.dirent.namelen] = '\0';
		s->ino = d.dirent.ino;
		s->type = d.dirent.type;
		s->node = d.entry_out.nodeid;
		if (s->node)
			assert_int_equal(d.entry_out.attr.ino, s->ino);
		off = d.dirent.off;
		p += size;
		len -= (int)size;
	}
	return off;
}

static void list(uint64_t node, uint32_t size, bool plus)
{
	int64_t fh = fx_opendir(&fx, node);
	uint64_t off = 0;
	int n;
	assert_true(fh >= 0);
	nseen = requests = 0;
	while ((n = read_dir(node, (uint64_t)fh, off, size, plus)) > 0)
		off = take(n, plus);
	assert_int_equal(n, 0);
	assert_int_equal(fx_releasedir(&fx, node, (uint64_t)fh), 0);
}

static struct seen *find(const char *name)
{
	struct seen *hit = NULL;
	for (unsigned i = 0; i < nseen; i++) {
		if (strcmp(seen[i].name, name) == 0) {
			assert_null(hit);
			hit = &seen[i];
		}
	}
	return hit;
}

static void test_synthetic(void **state)
{
	(void)state;
	for (int plus = 0; plus < 2; plus++) {
		list(FUSE_ROOT_ID, plus ? 200 : 40, plus);
		assert_int_equal(nseen, 6);
		assert_non_null(find("."));
		assert_non_null(find(".."));
		assert_int_equal(find("sys")->type, DT_DIR);
		list(fx_walk(&fx, "etc"), 4096, plus);
		assert_int_equal(nseen, 4);
		assert_int_equal(find("one")->type, DT_REG);
		assert_int_equal(find("link")->type, DT_LNK);
	}
	assert_int_equal(find("one")->node, fx_walk(&fx, "etc/one"));
}

static void test_real(void **state)
{
	(void)state;
	mknodat(fx.dirfd, "null", S_IFCHR | 0666, makedev(1, 3));
	for (int plus = 0; plus < 2; plus++) {
		uint64_t sys = fx_walk(&fx, "sys");
		list(sys, 4096, plus);
		assert_int_equal(nseen, 10);
		assert_null(find("null"));
		assert_int_equal(find("fifo")->type, DT_FIFO);
		assert_int_equal(find("hard")->ino, find("file")->ino);
		assert_int_equal(find("hard")->node, find("file")->node);
		struct fuse_attr attr;
		assert_int_equal(fx_getattr(&fx, sys, &attr), 0);
		assert_int_equal(find("..")->ino, attr.ino); /* not the host's */
	}
	assert_int_equal(find(".")->node, 0);
	assert_int_equal(find("..")->node, 0);
	assert_int_equal(find("d1")->node, fx_walk(&fx, "sys/d1"));
}

static void test_plus_counts_lookups(void **state)
{
	(void)state;
	struct fuse_attr attr;
	list(fx_walk(&fx, "sys"), 4096, true);
	uint64_t file = find("file")->node; /* listed as file and as hard */
	fx_forget(&fx, file, 1);
	assert_int_equal(fx_getattr(&fx, file, &attr), 0);
	fx_forget(&fx, file, 1);
	assert_int_equal(fx_getattr(&fx, file, &attr), -ESTALE);
}

static void test_many(void **state)
{
	(void)state;
	char name[64];
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "empty/a-name-of-usual-length-%u", i);
		int fd = openat(fx.dirfd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
		assert_true(fd >= 0);
		close(fd);
	}
	uint64_t dir = fx_walk(&fx, "sys/empty");
	static const uint32_t sizes[] = {4096, 65536, 512};
	for (unsigned k = 0; k < 6; k++) {
		static bool had[MANY];
		memset(had, 0, sizeof(had));
		list(dir, sizes[k / 2], k & 1);
		assert_int_equal(nseen, MANY + 2);
		for (unsigned i = 0; i < nseen; i++) {
			unsigned number;
			if (sscanf(seen[i].name, "a-name-of-usual-length-%u", &number) != 1)
				continue;
			assert_true(number < MANY);
			assert_false(had[number]);
			had[number] = true;
		}
		/* Buffers are filled: a record is about 64, with attributes 192 bytes. */
		unsigned least = MANY * (k & 1 ? 192 : 64) / sizes[k / 2];
		if (sizes[k / 2] > 512)
			assert_true(requests <= least * 5 / 4 + 4);
	}
}

static void test_seek_back(void **state)
{
	(void)state;
	uint64_t sys = fx_walk(&fx, "sys");
	int64_t fh = fx_opendir(&fx, sys);
	nseen = 0;
	int n = read_dir(sys, (uint64_t)fh, 0, 100, false);
	assert_true(n > 0);
	take(n, false);
	char first[256];
	strcpy(first, seen[0].name);
	nseen = 0;
	n = read_dir(sys, (uint64_t)fh, 0, 4096, false);
	take(n, false);
	assert_int_equal(nseen, 10);
	assert_string_equal(seen[0].name, first);
	/* Any offset is answered somehow. */
	assert_int_equal(read_dir(sys, (uint64_t)fh, UINT64_MAX, 4096, false), -EINVAL);
	read_dir(sys, (uint64_t)fh, INT64_MAX, 4096, false);
	read_dir(sys, (uint64_t)fh, 12345678, 4096, true);
	assert_int_equal(read_dir(sys, (uint64_t)fh, 0, 10, false), -EINVAL);
	assert_int_equal(fx_releasedir(&fx, sys, (uint64_t)fh), 0);
}

static void test_handles(void **state)
{
	(void)state;
	uint64_t sys = fx_walk(&fx, "sys");
	uint64_t d1 = fx_walk(&fx, "sys/d1");
	int64_t fh[DIRS];
	for (unsigned i = 0; i < DIRS; i++) {
		fh[i] = fx_opendir(&fx, i & 1 ? sys : FUSE_ROOT_ID);
		assert_true(fh[i] >= 0);
	}
	assert_int_equal(fx_opendir(&fx, sys), -ENFILE);
	assert_int_equal(fx_releasedir(&fx, d1, (uint64_t)fh[1]), -EBADF);
	assert_int_equal(fx_releasedir(&fx, sys, (uint64_t)fh[1]), 0);
	assert_int_equal(fx_releasedir(&fx, sys, (uint64_t)fh[1]), -EBADF);
	assert_int_equal(read_dir(sys, (uint64_t)fh[1], 0, 4096, false), -EBADF);
	int64_t again = fx_opendir(&fx, sys);
	assert_true(again >= 0 && again != fh[1]);
	assert_int_equal(read_dir(sys, (uint64_t)fh[1], 0, 4096, false), -EBADF);
	assert_int_equal(read_dir(d1, (uint64_t)again, 0, 4096, false), -EBADF);
	assert_int_equal(read_dir(sys, UINT64_MAX, 0, 4096, false), -EBADF);
	assert_int_equal(read_dir(sys, 99, 0, 4096, false), -EBADF);
	assert_int_equal(fx_opendir(&fx, fx_walk(&fx, "sys/file")), -ENOTDIR);
}

static void test_budget_in_listing(void **state)
{
	(void)state;
	/* No memory for nodes: names are still listed. */
	fx.fs->nodes.max_bytes = fx.fs->nodes.bytes + 100;
	list(fx_walk(&fx, "sys"), 4096, true);
	assert_int_equal(nseen, 10);
	struct fuse_entry_out e;
	assert_int_equal(fx_lookup(&fx, fx_walk(&fx, "now"), "d1", &e), -ENOMEM);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_synthetic), T(test_real),    T(test_plus_counts_lookups), T(test_many),
		T(test_seek_back), T(test_handles), T(test_budget_in_listing),
	};
	return cmocka_run_group_tests_name("fs_dir", tests, NULL, NULL);
}
