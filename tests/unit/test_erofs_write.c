// SPDX-License-Identifier: Apache-2.0
// test_erofs_write.c - a tree written and read again; damaged images; the same tree, the same bytes
// links: runtime/image/erofs_write.c runtime/image/erofs_read.c runtime/image/users.c
#include "image/erofs_write.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "image/erofs_format.h"
#include "image/erofs_read.h"
#include "image/users.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static struct err e;

static struct tree_inode *add(struct tree *t, const char *path, mode_t mode, uint64_t size,
			      const char *target)
{
	const struct tree_inode proto = {.mode = mode,
					 .size = size,
					 .layer = 1,
					 .uid = 70000,
					 .gid = 4000000000u,
					 .mtime = -5,
					 .mtime_nsec = 7};
	struct tree_inode *i;
	assert_int_equal(tree_add(t, path, &proto, target, &i, &e), 0);
	return i;
}

static uint8_t byte_of(uint64_t size, uint64_t at)
{
	return (uint8_t)(size * 31 + at * 7 + at / 256);
}

static void write_data(int fd, const struct tree_inode *i)
{
	uint8_t *buf = malloc(i->size + 1);
	for (uint64_t k = 0; k < i->size; k++)
		buf[k] = byte_of(i->size, k);
	/* In two pieces, at an odd place. */
	size_t half = i->size / 3;
	assert_int_equal(erofs_write_data(fd, i, half, buf + half, i->size - half, &e), 0);
	assert_int_equal(erofs_write_data(fd, i, 0, buf, half, &e), 0);
	assert_int_equal(erofs_write_data(fd, i, i->size, buf, 1, &e), -EFBIG);
	free(buf);
}

static int write_tree(struct tree *t)
{
	struct erofs_layout l;
	int fd = memfd_create("image", MFD_CLOEXEC);
	assert_int_equal(erofs_layout(t, &l, &e), 0);
	assert_int_equal(erofs_write_meta(&l, fd, &e), 0);
	for (size_t k = 0; k < l.nfiles; k++)
		write_data(fd, l.files[k]);
	assert_int_equal(lseek(fd, 0, SEEK_END), l.bytes);
	erofs_layout_free(&l);
	return fd;
}

static const uint64_t sizes[] = {0,    1,    63,   1000, 2000, 2047, 2048,
				 2049, 4032, 4095, 4096, 4097, 8192, 100000};

static void check_file(const struct erofs *fs, const char *path, uint64_t size)
{
	struct erofs_file f;
	uint8_t *buf = malloc(size + 1);
	assert_int_equal(erofs_find(fs, path, &f), 0);
	assert_int_equal(f.size, size);
	assert_int_equal(f.uid, 70000);
	assert_int_equal(f.gid, 4000000000u);
	assert_int_equal(f.mtime, -5);
	assert_int_equal(f.mtime_nsec, 7);
	assert_int_equal(erofs_pread(fs, &f, 0, buf, size, &e), 0);
	for (uint64_t k = 0; k < size; k++)
		assert_int_equal(buf[k], byte_of(size, k));
	assert_int_equal(erofs_pread(fs, &f, size, buf, 1, &e), -EINVAL);
	free(buf);
}

static void test_sizes(void **state)
{
	(void)state;
	struct tree t;
	struct erofs fs;
	char path[64];
	assert_int_equal(tree_init(&t), 0);
	for (size_t k = 0; k < ARRAY_SIZE(sizes); k++) {
		snprintf(path, sizeof(path), "dir/%zu", k);
		add(&t, path, S_IFREG | 04755, sizes[k], NULL);
	}
	AUTO_CLOSE int fd = write_tree(&t);
	assert_int_equal(erofs_open(&fs, fd, &e), 0);
	for (size_t k = 0; k < ARRAY_SIZE(sizes); k++) {
		snprintf(path, sizeof(path), "/dir/./../dir//%zu", k);
		check_file(&fs, path, sizes[k]);
	}
	tree_free(&t);
}

struct names {
	unsigned n;
	char last[300];
};

static int in_order(const char *name, uint64_t nid, void *arg, struct err *err)
{
	struct names *s = arg;
	(void)nid;
	(void)err;
	assert_true(strcmp(s->last, name) < 0);
	snprintf(s->last, sizeof(s->last), "%s", name);
	s->n++;
	return 0;
}

static void test_directories(void **state)
{
	(void)state;
	struct tree t;
	struct erofs fs;
	struct erofs_file f;
	char path[400];
	/* Around the places where a directory gets another block, and where it fits the inode's. */
	static const unsigned counts[] = {0, 1, 20, 60, 100, 130, 2000};
	assert_int_equal(tree_init(&t), 0);
	for (size_t k = 0; k < ARRAY_SIZE(counts); k++) {
		snprintf(path, sizeof(path), "d%u", counts[k]);
		add(&t, path, S_IFDIR | 0755, 0, NULL);
		for (unsigned i = 0; i < counts[k]; i++) {
			snprintf(path, sizeof(path), "d%u/%0*u", counts[k], 1 + (int)(i % 250), i);
			add(&t, path, S_IFIFO | 0600, 0, NULL);
		}
	}
	/* Names on both sides of "." and "..". */
	add(&t, "d0/+", S_IFREG | 0644, 0, NULL);
	add(&t, "d0/-", S_IFREG | 0644, 0, NULL);
	add(&t, "d0/.-", S_IFREG | 0644, 0, NULL);
	add(&t, "d0/...", S_IFREG | 0644, 0, NULL);
	AUTO_CLOSE int fd = write_tree(&t);
	assert_int_equal(erofs_open(&fs, fd, &e), 0);
	for (size_t k = 0; k < ARRAY_SIZE(counts); k++) {
		struct names s = {0};
		snprintf(path, sizeof(path), "d%u", counts[k]);
		assert_int_equal(erofs_find(&fs, path, &f), 0);
		assert_int_equal(erofs_dir(&fs, &f, in_order, &s, &e), 0);
		assert_int_equal(s.n, counts[k] ? counts[k] : 4);
	}
	tree_free(&t);
}

static void build_mixed(struct tree *t, bool backwards)
{
	static const char *const names[] = {"a", "b", "c/x", "c/y", "z"};
	assert_int_equal(tree_init(t), 0);
	for (size_t k = 0; k < ARRAY_SIZE(names); k++)
		add(t, names[backwards ? ARRAY_SIZE(names) - 1 - k : k], S_IFREG | 0644, 5000,
		    NULL);
	add(t, "link", S_IFLNK | 0777, 0, "c/x");
	add(t, "out", S_IFLNK | 0777, 0, "../../../etc/passwd");
	add(t, "loop", S_IFLNK | 0777, 0, "loop");
	add(t, "dev", S_IFCHR | 0666, 0, NULL);
	assert_int_equal(tree_link(t, "c/second", "a", 1, &e), 0);
	struct tree_inode *i = tree_find(t, backwards ? "c/second" : "a")->inode;
	assert_int_equal(tree_xattr(t, i, backwards ? "user.1" : "user.2", "v", 1, &e), 0);
	assert_int_equal(tree_xattr(t, i, backwards ? "user.2" : "user.1", "v", 1, &e), 0);
	assert_int_equal(tree_xattr(t, i, "security.capability", "12345", 5, &e), 0);
}

static void test_same_bytes(void **state)
{
	(void)state;
	struct tree t;
	struct tree u;
	build_mixed(&t, false);
	build_mixed(&u, true);
	AUTO_CLOSE int a = write_tree(&t);
	AUTO_CLOSE int b = write_tree(&u);
	size_t n = (size_t)lseek(a, 0, SEEK_END);
	assert_int_equal(lseek(b, 0, SEEK_END), n);
	void *x = mmap(NULL, n, PROT_READ, MAP_PRIVATE, a, 0);
	void *y = mmap(NULL, n, PROT_READ, MAP_PRIVATE, b, 0);
	assert_memory_equal(x, y, n);
	munmap(x, n);
	munmap(y, n);
	tree_free(&t);
	tree_free(&u);
}

static int count_xattr(const char *name, const void *value, size_t len, void *arg, struct err *err)
{
	(void)value;
	(void)err;
	*(unsigned *)arg += strcmp(name, "security.capability") == 0 ? 100 : (unsigned)len;
	return 0;
}

static void test_mixed(void **state)
{
	(void)state;
	struct tree t;
	struct erofs fs;
	struct erofs_file f;
	struct erofs_file g;
	unsigned n = 0;
	build_mixed(&t, false);
	AUTO_CLOSE int fd = write_tree(&t);
	assert_int_equal(erofs_open(&fs, fd, &e), 0);
	assert_int_equal(erofs_find(&fs, "a", &f), 0);
	assert_int_equal(erofs_find(&fs, "c/second", &g), 0);
	assert_int_equal(f.nid, g.nid);
	assert_int_equal(f.nlink, 2);
	assert_int_equal(erofs_xattrs(&fs, &f, count_xattr, &n, &e), 0);
	assert_int_equal(n, 102);
	assert_int_equal(erofs_find(&fs, "link", &f), 0);
	assert_true(S_ISREG(f.mode));
	assert_int_equal(erofs_find(&fs, "dev", &f), -ENOENT);
	assert_int_equal(erofs_find(&fs, "loop", &f), -ELOOP);
	assert_int_equal(erofs_find(&fs, "out", &f), -ENOENT);
	assert_int_equal(erofs_find(&fs, "a/b", &f), -ENOTDIR);
	tree_free(&t);
}

/* Whatever is in an image, reading ends, and nothing outside of it is read (the sanitizers see). */
static void test_damaged(void **state)
{
	(void)state;
	struct tree t;
	struct erofs fs;
	struct erofs_file f;
	struct image_config c;
	build_mixed(&t, false);
	AUTO_CLOSE int fd = write_tree(&t);
	for (unsigned at = EROFS_SUPER_AT; at < 2 * EROFS_BLOCK; at++) {
		uint8_t old;
		uint8_t bad = 0xff;
		unsigned n = 0;
		assert_int_equal(pread(fd, &old, 1, at), 1);
		assert_int_equal(pwrite(fd, &bad, 1, at), 1);
		if (erofs_open(&fs, fd, &e) == 0) {
			if (erofs_find(&fs, "c/second", &f) == 0)
				(void)erofs_xattrs(&fs, &f, count_xattr, &n, &e);
			assert_int_equal(image_config_init(&c), 0);
			assert_int_equal(users_resolve(&fs, &c), 0);
			image_config_free(&c);
		}
		assert_int_equal(pwrite(fd, &old, 1, at), 1);
	}
	assert_int_equal(ftruncate(fd, 8192), 0);
	assert_int_equal(erofs_open(&fs, fd, &e), -EUCLEAN);
	tree_free(&t);
}

static void resolve(const char *passwd, const char *group, const char *user, struct image_config *c)
{
	struct tree t;
	struct erofs_layout l;
	struct erofs fs;
	AUTO_CLOSE int fd = memfd_create("image", MFD_CLOEXEC);
	assert_int_equal(tree_init(&t), 0);
	struct tree_inode *p = add(&t, "etc/real", S_IFREG | 0644, strlen(passwd), NULL);
	add(&t, "etc/passwd", S_IFLNK | 0777, 0, "/../etc/./real");
	struct tree_inode *g = add(&t, "etc/group", S_IFREG | 0644, strlen(group), NULL);
	assert_int_equal(erofs_layout(&t, &l, &e), 0);
	assert_int_equal(erofs_write_meta(&l, fd, &e), 0);
	assert_int_equal(erofs_write_data(fd, p, 0, passwd, strlen(passwd), &e), 0);
	assert_int_equal(erofs_write_data(fd, g, 0, group, strlen(group), &e), 0);
	assert_int_equal(erofs_open(&fs, fd, &e), 0);
	assert_int_equal(image_config_init(c), 0);
	free(c->user);
	c->user = strdup(user);
	assert_int_equal(users_resolve(&fs, c), 0);
	erofs_layout_free(&l);
	tree_free(&t);
}

static void test_users(void **state)
{
	(void)state;
	static const char passwd[] = "broken\n:::\nroot:x:0:0:\napp:x:1000:1001:a:b\n7:x:70:71:\n"
				     "big:x:99999999999:1:\nlast:x:5:6";
	static const char group[] = "g:x:10:root,app\nh:x:20:x,app,app\ng2:x:1001:app\nbad:x:y:app";
	static const struct {
		const char *user;
		bool known;
		uint32_t uid, gid;
		size_t ngids;
	} table[] = {
		{"", true, 0, 0, 1},	       {"app", true, 1000, 1001, 3},
		{"1000", true, 1000, 1001, 3}, {"app:h", true, 1000, 20, 0},
		{"app:99", true, 1000, 99, 0}, {"7", true, 70, 71, 0},
		{"12345", true, 12345, 0, 0},  {"last", true, 5, 6, 0},
		{"none", false, 0, 0, 0},      {"app:none", false, 0, 0, 0},
		{"big", false, 0, 0, 0},       {"4294967295", false, 0, 0, 0},
		{":h", true, 0, 20, 0},	       {"broken", false, 0, 0, 0},
	};
	for (size_t k = 0; k < ARRAY_SIZE(table); k++) {
		struct image_config c;
		resolve(passwd, group, table[k].user, &c);
		assert_int_equal(c.user_known, table[k].known);
		assert_int_equal(c.uid, table[k].uid);
		assert_int_equal(c.gid, table[k].gid);
		assert_int_equal(c.ngids, table[k].ngids);
		image_config_free(&c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),	   cmocka_unit_test(test_directories),
		cmocka_unit_test(test_same_bytes), cmocka_unit_test(test_mixed),
		cmocka_unit_test(test_damaged),	   cmocka_unit_test(test_users),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
