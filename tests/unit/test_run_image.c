// SPDX-License-Identifier: Apache-2.0
// test_run_image.c - an image's entrypoint, command, user and environment against the user's words
#include "cli/run_image.h"

#include "base/checked.h"

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

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define SIZE 8192

static char dir[] = "/tmp/test_run_image.XXXXXX";
static struct vm_config c;
static struct run_image i;
static struct err e;

static void put(const char *path, const char *text, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), len);
	close(fd);
}

/* An image file that is one by its magic number, and metadata with this configuration. */
static void store(const char *config)
{
	static char blob[SIZE];
	char text[1024];
	memcpy(blob + 1024, "\xe2\xe1\xf5\xe0", 4);
	put("mayfly/images/sha256/" HEX, blob, sizeof(blob));
	int n = snprintf(
		text, sizeof(text),
		"{\"version\":1,\"digest\":\"sha256:" HEX "\",\"size\":%d,\"files\":1,"
		"\"created\":\"2026-01-01T00:00:00Z\",\"source\":\"x\",\"kind\":\"docker\","
		"\"platform\":\"linux/amd64\",\"config\":%s,\"name\":\"app:latest\"}",
		SIZE, config);
	put("mayfly/images/names/app:latest.json", text, (size_t)n);
}

#define CONFIG(entry, cmd, user, known)                                                            \
	"{\"entrypoint\":[" entry "],\"cmd\":[" cmd "],\"env\":[\"A=1\"],\"workdir\":\"/app\","    \
	"\"user\":\"" user "\",\"user_known\":" known ",\"uid\":33,\"gid\":44,\"gids\":[55]}"

static int group_setup(void **state)
{
	(void)state;
	if (!mkdtemp(dir) || chdir(dir) < 0 || setenv("XDG_DATA_HOME", dir, 1) < 0)
		return -1;
	mkdir("mayfly", 0700);
	mkdir("mayfly/images", 0700);
	mkdir("mayfly/images/sha256", 0700);
	return mkdir("mayfly/images/names", 0700);
}

static int group_teardown(void **state)
{
	(void)state;
	char cmd[64];
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	return chdir("/") == 0 ? system(cmd) : -1;
}

static int setup(void **state)
{
	(void)state;
	c = (struct vm_config){.image = "app", .uid = 1000, .gid = 1000, .image_fd = -1};
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	run_image_close(&i);
	return 0;
}

static char *words[4];

static void user_says(const char *a, const char *b)
{
	words[0] = (char *)(uintptr_t)a;
	words[1] = (char *)(uintptr_t)b;
	words[2] = NULL;
	c.argv = words;
	c.argc = b ? 2 : 1;
}

static void runs(const char *const *want)
{
	int ret = run_image_open(&i, &c, &e);
	if (ret < 0)
		fail_msg("%s", e.text);
	int n = 0;
	for (; want[n]; n++)
		assert_string_equal(c.argv[n], want[n]);
	assert_null(c.argv[n]);
	assert_int_equal(c.argc, n);
}
#define RUNS(...) runs((const char *const[]){__VA_ARGS__, NULL})

static void test_the_image_alone(void **state)
{
	(void)state;
	store(CONFIG("\"/bin/e\",\"-x\"", "\"a\",\"b\"", "web", "true"));
	RUNS("/bin/e", "-x", "a", "b");
	assert_string_equal(c.workdir, "/app");
	assert_string_equal(c.image_env[0], "A=1");
	assert_true(c.image_fd >= 0);
}

static void test_words_of_the_user(void **state)
{
	(void)state;
	store(CONFIG("\"/bin/e\"", "\"a\"", "", "true"));
	user_says("mine", NULL);
	c.workdir = "/else";
	RUNS("/bin/e", "mine");
	assert_string_equal(c.workdir, "/else");
}

static void test_no_entrypoint(void **state)
{
	(void)state;
	store(CONFIG("", "\"/bin/sh\"", "", "true"));
	RUNS("/bin/sh");
	run_image_close(&i);
	setup(NULL);
	user_says("ls", "-l");
	RUNS("ls", "-l");
}

static void test_another_entrypoint(void **state)
{
	(void)state;
	store(CONFIG("\"/bin/e\",\"-x\"", "\"a\"", "", "true"));
	c.entrypoint = "/bin/mine";
	RUNS("/bin/mine");
	run_image_close(&i);
	setup(NULL);
	c.entrypoint = "/bin/mine";
	user_says("x", NULL);
	RUNS("/bin/mine", "x");
	run_image_close(&i);
	setup(NULL);
	c.entrypoint = "";
	user_says("/bin/x", "y");
	RUNS("/bin/x", "y");
}

static void refused(const char *why)
{
	assert_true(run_image_open(&i, &c, &e) < 0);
	if (!strstr(e.text, why))
		fail_msg("%s", e.text);
	run_image_close(&i);
}

static void test_nothing_to_run(void **state)
{
	(void)state;
	store(CONFIG("", "", "", "true"));
	refused("names no command");
	store(CONFIG("", "\"\"", "", "true"));
	refused("empty");
	store(CONFIG("\"/bin/e\"", "\"a\"", "", "true"));
	c.entrypoint = "";
	refused("names no command");
	c.image = "missing";
	refused("missing:latest");
	c.image = "../app";
	refused("--image");
}

static void test_user(void **state)
{
	(void)state;
	struct guest_user u;
	store(CONFIG("", "\"x\"", "web", "true"));
	RUNS("x");
	assert_int_equal(run_image_user(&i, &c, &u, &e), 0);
	assert_int_equal(u.uid, 33);
	assert_int_equal(u.gid, 44);
	assert_int_equal(u.n_groups, 1);
	assert_int_equal(u.groups[0], 55);
	assert_string_equal(u.home, "");
	c.user_given = true;
	assert_int_equal(run_image_user(&i, &c, &u, &e), 0);
	assert_int_equal(u.uid, 1000);
	assert_int_equal(u.n_groups, 0);
	run_image_close(&i);
	setup(NULL);
	store(CONFIG("", "\"x\"", "ghost", "false"));
	RUNS("x");
	assert_int_equal(run_image_user(&i, &c, &u, &e), -EINVAL);
	assert_non_null(strstr(e.text, "ghost"));
}

static void test_no_image(void **state)
{
	(void)state;
	c.image = NULL;
	assert_int_equal(run_image_open(&i, &c, &e), 0);
	assert_false(i.open);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_the_image_alone),    T(test_words_of_the_user), T(test_no_entrypoint),
		T(test_another_entrypoint), T(test_nothing_to_run),    T(test_user),
		T(test_no_image),
	};
	return cmocka_run_group_tests_name("run_image", tests, group_setup, group_teardown);
}
