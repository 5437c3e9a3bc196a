// SPDX-License-Identifier: Apache-2.0
// test_fs_cache.c - few descriptors, many nodes; what moved or vanished is stale
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
#include <unistd.h>

#include <cmocka.h>

#define CACHED 8

static struct fs_fixture fx;

static int start(void **state)
{
	(void)state;
	fx_tree(&fx);
	fx_start_inline(&fx, &(struct fx_options){.limits = {.max_cached = CACHED}});
	return fx_init(&fx) > 0 ? 0 : -1;
}

static int stop(void **state)
{
	(void)state;
	return fx_stop(&fx);
}

static unsigned open_fds(void)
{
	unsigned n = 0;
	DIR *d = opendir("/proc/self/fd");
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* Makes every cached descriptor but the views' be closed. */
static void evict(void)
{
	fs_cache_shrink(fx.fs, 1000);
	assert_int_equal(fx.fs->cache.count, 0);
}

static void test_many_directories(void **state)
{
	(void)state;
	static uint64_t node[200];
	char name[32];
	unsigned before = open_fds();
	for (unsigned i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "dir%u", i);
		assert_int_equal(mkdirat(fx.dirfd, name, 0755), 0);
		snprintf(name, sizeof(name), "dir%u/f", i);
		fx_write(&fx, name, name);
		snprintf(name, sizeof(name), "now/dir%u", i);
		node[i] = fx_walk(&fx, name);
	}
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < 200; i++) {
			struct fuse_entry_out e;
			unsigned k = round ? (i * 7) % 200 : i;
			assert_int_equal(fx_lookup(&fx, node[k], "f", &e), 0);
			assert_true(open_fds() <= before + CACHED);
		}
	}
}

static void test_deep_evicted_chain(void **state)
{
	(void)state;
	char host[512] = "d1/d2/d3";
	char guest[512] = "now/d1/d2/d3";
	for (unsigned i = 0; i < 40; i++) {
		strcat(host, "/x");
		strcat(guest, "/x");
		assert_int_equal(mkdirat(fx.dirfd, host, 0755), 0);
	}
	strcat(host, "/leaf");
	fx_write(&fx, host, "leaf");
	uint64_t dir = fx_walk(&fx, guest);
	strcat(guest, "/leaf");
	uint64_t leaf = fx_walk(&fx, guest);
	evict();
	struct fuse_attr attr;
	assert_int_equal(fx_getattr(&fx, leaf, &attr), 0);
	assert_int_equal(attr.size, 4);
	evict();
	assert_int_equal(fx_open(&fx, leaf, O_RDONLY), 0);
	evict();
	struct fuse_entry_out e;
	assert_int_equal(fx_lookup(&fx, dir, "leaf", &e), 0);
	assert_int_equal(e.nodeid, leaf);
	assert_true(fx.fs->cache.count <= CACHED);
}

static void test_renamed_parent_is_stale_when_evicted(void **state)
{
	(void)state;
	struct fuse_attr attr;
	uint64_t deep = fx_walk(&fx, "now/d1/d2/d3/deep");
	uint64_t d3 = fx_walk(&fx, "now/d1/d2/d3");
	assert_int_equal(renameat(fx.dirfd, "d1/d2", fx.dirfd, "moved"), 0);
	assert_int_equal(fx_getattr(&fx, deep, &attr), 0); /* d3's descriptor is still open */
	evict();
	assert_int_equal(fx_getattr(&fx, deep, &attr), -ESTALE);
	assert_int_equal(fx_getattr(&fx, d3, &attr), -ESTALE);
	/* Found under its new name it is the same node, and works again. */
	assert_int_equal(fx_walk(&fx, "now/moved/d3"), d3);
	evict();
	assert_int_equal(fx_getattr(&fx, deep, &attr), 0);
}

static void test_replaced_file_is_stale(void **state)
{
	(void)state;
	struct fuse_attr attr;
	uint64_t suid = fx_walk(&fx, "now/suid");
	fx_write(&fx, "new", "other");
	assert_int_equal(renameat(fx.dirfd, "new", fx.dirfd, "suid"), 0);
	assert_int_equal(fx_getattr(&fx, suid, &attr), -ESTALE);
	assert_int_equal(fx_open(&fx, suid, O_RDONLY), -ESTALE);
	assert_int_not_equal(fx_walk(&fx, "now/suid"), suid);
}

static void test_removed_file(void **state)
{
	(void)state;
	struct fuse_attr attr;
	uint64_t suid = fx_walk(&fx, "now/suid");
	assert_int_equal(fx_open(&fx, suid, O_RDONLY), 0);
	assert_int_equal(unlinkat(fx.dirfd, "suid", 0), 0);
	/* Opened before: its descriptor still knows it. */
	assert_int_equal(fx_getattr(&fx, suid, &attr), 0);
	assert_int_equal(attr.nlink, 0);
	evict();
	assert_int_equal(fx_getattr(&fx, suid, &attr), -ESTALE);
}

static void test_forget_closes(void **state)
{
	(void)state;
	unsigned before = open_fds();
	uint64_t d1 = fx_walk(&fx, "now/d1");
	uint64_t d2 = fx_walk(&fx, "now/d1/d2");
	struct fuse_entry_out e;
	assert_int_equal(fx_lookup(&fx, d2, "nothing", &e), -ENOENT);
	assert_true(open_fds() > before);
	fx_forget(&fx, d1, 2);
	fx_forget(&fx, d2, 1);
	assert_int_equal(open_fds(), before);
	assert_int_equal(fx.fs->cache.count, 0);
}

static void test_destroy_forgets_everything(void **state)
{
	(void)state;
	unsigned before = open_fds();
	uint64_t deep = fx_walk(&fx, "now/d1/d2/d3/deep");
	assert_true(fx_opendir(&fx, fx_walk(&fx, "now/d1")) >= 0);
	assert_int_equal(fx_open(&fx, deep, O_RDONLY), 0);
	assert_int_equal(fx_call(&fx, FUSE_DESTROY, 0, NULL, 0), 0);
	assert_int_equal(open_fds(), before);
	struct fuse_attr attr;
	assert_int_equal(fx_getattr(&fx, deep, &attr), -ESTALE);
	assert_int_equal(fx.fs->nodes.live, fx.fs->tree.nentries);
	fx_walk(&fx, "now/d1/d2/d3/deep");
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_many_directories),
		T(test_deep_evicted_chain),
		T(test_renamed_parent_is_stale_when_evicted),
		T(test_replaced_file_is_stale),
		T(test_removed_file),
		T(test_forget_closes),
		T(test_destroy_forgets_everything),
	};
	return cmocka_run_group_tests_name("fs_cache", tests, NULL, NULL);
}
