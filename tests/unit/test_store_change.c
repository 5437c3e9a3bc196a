// SPDX-License-Identifier: Apache-2.0
// test_store_change.c - the store: adding, finding, removing, sweeping, leftovers, damage
// links: runtime/image/store_change.c runtime/image/image_store.c
#include "image/store_change.h"

#include "base/cleanup.h"
#include "image/erofs_write.h"
#include "image/image_store.h"
#include "image/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[40];
static int store = -1;
static struct err e;

static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/mayfly-store-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	setenv("XDG_DATA_HOME", dir, 1);
	store = store_open(true, &e);
	return store < 0;
}

static int teardown(void **state)
{
	char cmd[80];
	(void)state;
	close_fd(&store);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	return system(cmd);
}

/* An empty image, whose digest is said to be all of digit. */
static int add(const char *name, char digit)
{
	struct tree t;
	struct erofs_layout l;
	struct store_temp temp;
	struct image_name n;
	struct image_meta m = {.files = 1};
	assert_int_equal(image_name_parse(name, &n, &e), 0);
	assert_int_equal(store_temp(store, &temp, &e), 0);
	assert_int_equal(tree_init(&t), 0);
	assert_int_equal(erofs_layout(&t, &l, &e), 0);
	assert_int_equal(erofs_write_meta(&l, temp.fd, &e), 0);
	m.size = l.bytes;
	memset(m.digest, digit, IMAGE_HEX);
	m.created = strdup("now");
	m.source = strdup("here");
	m.kind = strdup("tar");
	m.platform = strdup("");
	assert_int_equal(image_config_init(&m.config), 0);
	int ret = store_add(store, &temp, &n, &m, false, &e);
	store_drop(store, &temp);
	image_meta_free(&m);
	erofs_layout_free(&l);
	tree_free(&t);
	return ret;
}

static bool exists(const char *path)
{
	return faccessat(store, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

#define BLOB_A STORE_BLOBS "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define BLOB_B STORE_BLOBS "/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static void test_find(void **state)
{
	(void)state;
	struct image i;
	struct image_name *names;
	assert_int_equal(image_find("x", &i, &e), -ENOENT);
	assert_int_equal(image_find("../x", &i, &e), -EINVAL);
	assert_int_equal(add("x", 'a'), 0);
	assert_int_equal(add("a/b:c", 'a'), 0);
	assert_int_equal(image_find("docker.io/library/x:latest", &i, &e), 0);
	assert_true(fcntl(i.fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(fcntl(i.fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	assert_string_equal(i.meta.config.workdir, "/");
	image_free(&i);
	assert_int_equal(store_names(store, &names, &e), 2);
	assert_string_equal(names[0].name, "a/b");
	assert_string_equal(names[1].name, "x");
	free(names);
}

static void test_damage(void **state)
{
	(void)state;
	struct image i;
	assert_int_equal(add("x", 'a'), 0);
	assert_int_equal(fchmodat(store, BLOB_A, 0600, 0), 0);
	AUTO_CLOSE int fd = openat(store, BLOB_A, O_RDWR | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "?", 1, 1024), 1);
	assert_int_equal(image_find("x", &i, &e), -EUCLEAN);
	assert_int_equal(ftruncate(fd, 100), 0);
	assert_int_equal(image_find("x", &i, &e), -EUCLEAN);
	/* Of another length: replaced by the next import. */
	assert_int_equal(add("x", 'a'), 0);
	assert_int_equal(image_find("x", &i, &e), 0);
	image_free(&i);
	assert_int_equal(unlinkat(store, BLOB_A, 0), 0);
	assert_int_equal(image_find("x", &i, &e), -ENOENT);
	assert_int_equal(symlinkat("/dev/zero", store, BLOB_A), 0);
	assert_true(image_find("x", &i, &e) < 0);
}

static void test_remove(void **state)
{
	(void)state;
	struct image_name n;
	assert_int_equal(add("x", 'a'), 0);
	assert_int_equal(add("y", 'a'), 0);
	assert_int_equal(add("x", 'b'), 0);
	assert_true(exists(BLOB_A) && exists(BLOB_B));
	assert_int_equal(image_name_parse("x", &n, &e), 0);
	assert_int_equal(store_remove(store, &n, &e), 0);
	assert_true(exists(BLOB_A) && !exists(BLOB_B));
	assert_int_equal(store_remove(store, &n, &e), -ENOENT);
	assert_int_equal(image_name_parse("y", &n, &e), 0);
	assert_int_equal(store_remove(store, &n, &e), 0);
	assert_false(exists(BLOB_A));
}

static void test_temps(void **state)
{
	(void)state;
	struct store_temp dead;
	struct store_temp alive;
	char path[80];
	struct store_swept s = {.dry_run = true};
	assert_int_equal(store_temp(store, &alive, &e), 0);
	assert_int_equal(store_temp(store, &dead, &e), 0);
	close_fd(&dead.fd);
	assert_int_equal(store_gc(store, &s, &e), 0);
	assert_int_equal(s.temps, 1);
	snprintf(path, sizeof(path), STORE_TMP "/%s", dead.name);
	assert_true(exists(path));
	s = (struct store_swept){0};
	assert_int_equal(store_gc(store, &s, &e), 0);
	assert_int_equal(s.temps, 1);
	assert_false(exists(path));
	snprintf(path, sizeof(path), STORE_TMP "/%s", alive.name);
	assert_true(exists(path));
	store_drop(store, &alive);
	assert_false(exists(path));
}

static void test_unreadable_name(void **state)
{
	(void)state;
	struct store_swept s = {0};
	assert_int_equal(add("x", 'a'), 0);
	assert_int_equal(renameat(store, STORE_NAMES "/x:latest.json", store, "kept"), 0);
	AUTO_CLOSE int fd =
		openat(store, STORE_NAMES "/x:latest.json", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_true(store_gc(store, &s, &e) < 0);
	assert_true(exists(BLOB_A));
	assert_int_equal(renameat(store, "kept", store, STORE_NAMES "/x:latest.json"), 0);
	assert_int_equal(store_gc(store, &s, &e), 0);
	assert_true(exists(BLOB_A));
	assert_int_equal(unlinkat(store, STORE_NAMES "/x:latest.json", 0), 0);
	assert_int_equal(store_gc(store, &s, &e), 0);
	assert_int_equal(s.blobs, 1);
}

static void test_places(void **state)
{
	(void)state;
	setenv("XDG_DATA_HOME", "relative", 1);
	setenv("HOME", "relative", 1);
	assert_int_equal(store_open(true, &e), -ENOENT);
	setenv("HOME", dir, 1);
	assert_int_equal(store_open(false, &e), -ENOENT);
	AUTO_CLOSE int fd = store_open(true, &e);
	assert_true(fd >= 0);
	char path[100];
	struct stat st;
	snprintf(path, sizeof(path), "%s/.local/share/mayfly/images/" STORE_TMP, dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_find, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damage, setup, teardown),
		cmocka_unit_test_setup_teardown(test_remove, setup, teardown),
		cmocka_unit_test_setup_teardown(test_temps, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unreadable_name, setup, teardown),
		cmocka_unit_test_setup_teardown(test_places, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
