// SPDX-License-Identifier: Apache-2.0
// test_config_file.c - options from a JSON file: every type, lists, errors that name file and key
// links: runtime/cli/config_file.c runtime/cli/config.c runtime/cli/config_limits.c
#include "cli/config_file.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/io.h"

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

static struct vm_config c;
static struct err e;
static char dir[] = "/tmp/mayfly-config-XXXXXX";
static char path[64];
static char words[16][256];
static char *argv[17];

static int setup(void **state)
{
	(void)state;
	snprintf(path, sizeof(path), "%s/c.json", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	config_free(&c);
	unlink(path);
	return 0;
}

static void write_file(const char *text, size_t len)
{
	AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(io_write_full(fd, text, len), 0);
}

static int parse(const char *text, const char *const *args)
{
	int n = 0;
	config_free(&c);
	config_defaults(&c);
	memset(&e, 0, sizeof(e));
	if (text)
		write_file(text, strlen(text));
	snprintf(words[0], sizeof(words[0]), "run");
	for (n = 1; args[n - 1]; n++)
		snprintf(words[n], sizeof(words[n]), "%s", args[n - 1]);
	for (int i = 0; i < n; i++)
		argv[i] = words[i];
	argv[n] = NULL;
	return config_parse_run(&c, n, argv, &e);
}

#define PARSE(text, ...) parse(text, (const char *const[]){__VA_ARGS__, NULL})
#define FILE_ONLY(text) PARSE(text, "--config", path, "--", "cmd")

static void test_types(void **state)
{
	(void)state;
	if (FILE_ONLY("{\"cpus\": 1.5, \"memory\": \"256M\", \"timeout\": 10, \"pids\": 100,"
		      " \"no-cwd\": true, \"timings\": false, \"workdir\": \"/srv\","
		      " \"env\": [\"A=1\", \"B\"], \"share\": [\"/a:/b:rw\", \"/c\"],"
		      " \"hide\": \"/h\"}") != 0)
		fail_msg("%s", e.text);
	assert_int_equal(c.cpus, 2);
	assert_int_equal(c.cpu_permille, 1500);
	assert_true(c.memory == 256ull << 20);
	assert_true(c.timeout_ns == 10000000000ull);
	assert_int_equal(c.pids, 100);
	assert_true(c.no_cwd && !c.timings);
	assert_string_equal(c.workdir, "/srv");
	assert_int_equal(c.n_env, 2);
	assert_string_equal(c.env[1], "B");
	assert_int_equal(c.n_share, 2);
	assert_string_equal(c.share[0].guest, "/b");
	assert_true(c.share[0].writable);
	assert_int_equal(c.n_hide, 1);
	assert_int_equal(FILE_ONLY("{}"), 0);
	assert_int_equal(FILE_ONLY("{\"timings\": true}"), 0);
	assert_true(c.timings && !c.timings_svg);
	assert_int_equal(FILE_ONLY("{\"timings\": \"svg:x\"}"), 0);
	assert_true(!c.timings && strcmp(c.timings_svg, "x") == 0);
	assert_int_equal(FILE_ONLY("{\"timings\": \"x\"}"), -EINVAL);
	assert_int_equal(FILE_ONLY("{\"timings\": [\"svg\"]}"), -EINVAL);
}

/* Wherever --config stands; lists come together. */
static void test_command_line_wins(void **state)
{
	(void)state;
	static const char text[] = "{\"cpus\": 4, \"env\": [\"A=file\"], \"memory\": \"2G\"}";
	assert_int_equal(PARSE(text, "--cpus", "2", "--env", "A=line", "--config", path, "cmd"), 0);
	assert_int_equal(c.cpus, 2);
	assert_true(c.memory == 2ull << 30);
	assert_int_equal(c.n_env, 2);
	assert_string_equal(c.env[1], "A=line");
	assert_int_equal(PARSE(text, "--config", path, "--cpus", "2", "cmd"), 0);
	assert_int_equal(c.cpus, 2);
	/* Behind the command's name it is the command's. */
	assert_int_equal(PARSE(text, "cmd", "--config", path), 0);
	assert_int_equal(c.cpus, 1);
	assert_int_equal(PARSE(text, "--env", "--config", "cmd"), 0);
	assert_int_equal(c.cpus, 1);
}

static void wrong(const char *text, const char *want)
{
	if (FILE_ONLY(text) == 0)
		fail_msg("%s is taken", text);
	if (!strstr(e.text, path) || !strstr(e.text, want))
		fail_msg("%s: %s", text, e.text);
	assert_null(strchr(e.text, '\n'));
}

static void test_errors(void **state)
{
	(void)state;
	wrong("", "line");
	wrong("{\"cpus\": }", "line 1");
	wrong("{\"cpus\": 1", "line 1");
	wrong("[]", "object");
	wrong("3", "line 1");
	wrong("{\"cpu\": 1}", "key 'cpu'");
	wrong("{\"cpus\": 1, \"cpus\": 2}", "line 1");
	wrong("{\"cpus\": \"many\"}", "key 'cpus'");
	wrong("{\"cpus\": true}", "key 'cpus'");
	wrong("{\"cpus\": null}", "key 'cpus'");
	wrong("{\"cpus\": [1]}", "not a list");
	wrong("{\"cpus\": {}}", "key 'cpus'");
	wrong("{\"env\": [1, [2]]}", "key 'env'");
	wrong("{\"env\": [null]}", "key 'env'");
	wrong("{\"no-cwd\": \"yes\"}", "key 'no-cwd'");
	wrong("{\"no-cwd\": 1}", "key 'no-cwd'");
	wrong("{\"config\": \"other\"}", "command line");
	wrong("{\"help\": true}", "command line");
	wrong("{\"memory\": 1e300}", "key 'memory'");
	wrong("{\"memory\": -1}", "key 'memory'");
	wrong("{\"hostname\": \"a\\nb\"}", "key 'hostname'");
	wrong("{\"hostname\": \"\\u0000\"}", "line 1");
	wrong("{\"a\\nb\": 1}", "key");
}

static void test_hostile_files(void **state)
{
	(void)state;
	size_t len = CONFIG_FILE_MAX + 1;
	AUTO_FREE char *big = malloc(len + 1);
	assert_non_null(big);
	/* Deeper than any parser's stack. */
	memset(big, '[', len);
	big[len] = '\0';
	write_file(big, CONFIG_FILE_MAX / 2);
	assert_int_equal(PARSE(NULL, "--config", path, "cmd"), -EINVAL);
	write_file(big, len);
	assert_int_equal(PARSE(NULL, "--config", path, "cmd"), -EFBIG);
	write_file("{\"env\": [\"a\0b\"]}", 17);
	assert_int_equal(PARSE(NULL, "--config", path, "cmd"), -EINVAL);
	unlink(path);
	assert_int_equal(PARSE(NULL, "--config", path, "cmd"), -ENOENT);
	assert_non_null(strstr(e.text, path));
	assert_int_equal(PARSE(NULL, "--config", dir, "cmd"), -EISDIR);
	/* Nobody writes into it: that is no reason to wait. */
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_true(PARSE(NULL, "--config", path, "cmd") < 0);
	unlink(path);
	assert_int_equal(PARSE("{}", "--config", path, "--config", path, "cmd"), -EINVAL);
	assert_int_equal(PARSE(NULL, "--config"), -EINVAL);
}

/* More values than an option has room for are refused by the option itself. */
static void test_long_list(void **state)
{
	(void)state;
	AUTO_FREE char *text = malloc(65536);
	assert_non_null(text);
	char *p = stpcpy(text, "{\"env\": [");
	for (int i = 0; i < 1025; i++)
		p += sprintf(p, "%s\"A=%d\"", i ? "," : "", i);
	strcpy(p, "]}");
	wrong(text, "more than 1024");
	p = stpcpy(text, "{\"share\": [");
	for (int i = 0; i < 65; i++)
		p += sprintf(p, "%s\"/a%d\"", i ? "," : "", i);
	strcpy(p, "]}");
	wrong(text, "key 'share'");
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_types),	       T(test_command_line_wins), T(test_errors),
		T(test_hostile_files), T(test_long_list),
	};
	if (!mkdtemp(dir))
		return 99;
	alarm(30);
	int ret = cmocka_run_group_tests_name("config_file", tests, NULL, NULL);
	rmdir(dir);
	return ret;
}
