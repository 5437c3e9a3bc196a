// SPDX-License-Identifier: Apache-2.0
// test_host_memory.c - what a host and its cgroups have left, from made-up files
// links: runtime/cli/host_memory.c
#include "cli/host_memory.h"

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

#define MIB (1ull << 20)
#define UNKNOWN HOST_MEMORY_UNKNOWN

static char top[] = "/tmp/mayfly-memory-XXXXXX";
static struct err e;

static void put(const char *name, const char *text)
{
	char path[256];
	snprintf(path, sizeof(path), "%s/%s", top, name);
	AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(io_write_full(fd, text, strlen(text)), 0);
}

static uint64_t left(const char *below, bool v1)
{
	struct host_memory m;
	char own[256];
	snprintf(own, sizeof(own), "%s%s", top, below);
	host_memory_group(&m, top, own, v1);
	return m.group;
}

static void test_meminfo(void **state)
{
	(void)state;
	struct host_memory m;
	host_memory_meminfo(&m, "MemTotal:  100 kB\nMemAvailable:   2048 kB\nSwapFree: 1024 kB\n");
	assert_true(m.available == 2 * MIB && m.swap == MIB);
	host_memory_meminfo(&m, "xMemAvailable: 1 kB\nMemAvailable: 3 kB");
	assert_true(m.available == 3072 && m.swap == 0);
	host_memory_meminfo(&m, "MemAvailable: lots\nSwapFree:\n");
	assert_true(m.available == UNKNOWN && m.swap == 0);
	host_memory_meminfo(&m, "MemAvailable: 99999999999999999999 kB\n");
	assert_true(m.available == UNKNOWN);
	host_memory_meminfo(&m, "");
	assert_true(m.available == UNKNOWN);
}

static void test_v2(void **state)
{
	(void)state;
	put("a/b/memory.max", "max\n");
	put("a/b/memory.current", "1048576\n");
	assert_true(left("/a/b", false) == UNKNOWN);
	put("a/memory.max", "104857600\n");
	put("a/memory.current", "52428800\n");
	assert_true(left("/a/b", false) == 50 * MIB);
	/* What the kernel would drop first is there to be had. */
	put("a/memory.stat", "anon 5\ninactive_file 10485760\nactive_file 7\n");
	assert_true(left("/a/b", false) == 60 * MIB);
	/* The least of all levels. */
	put("a/b/memory.max", "2097152\n");
	assert_true(left("/a/b", false) == MIB);
	put("a/b/memory.current", "9999999999\n");
	assert_true(left("/a/b", false) == 0);
	/* The hierarchy's root has no limit, and no file of it. */
	assert_true(left("", false) == UNKNOWN);
	assert_true(left("/none/such", false) == UNKNOWN);
	put("a/memory.max", "nonsense\n");
	put("a/b/memory.max", "");
	assert_true(left("/a/b", false) == UNKNOWN);
}

static void test_v1(void **state)
{
	(void)state;
	put("memory.limit_in_bytes", "9223372036854771712\n");
	put("memory.usage_in_bytes", "1\n");
	put("a/memory.limit_in_bytes", "314572800\n");
	put("a/memory.usage_in_bytes", "104857600\n");
	put("a/memory.stat", "inactive_file 9\ntotal_inactive_file 52428800\n");
	assert_true(left("/a", true) == 250 * MIB);
	assert_true(left("/a", false) == UNKNOWN);
	assert_true(left("", true) == UNKNOWN);
}

static void test_enough(void **state)
{
	(void)state;
	const struct host_memory none = {UNKNOWN, 0, UNKNOWN};
	const struct host_memory swap = {512 * MIB, 512 * MIB, UNKNOWN};
	const struct host_memory host = {512 * MIB, 0, UNKNOWN};
	const struct host_memory group = {4096 * MIB, 0, 512 * MIB};
	assert_int_equal(host_memory_enough(&none, UINT64_MAX, &e), 0);
	assert_int_equal(host_memory_enough(&swap, 1024 * MIB, &e), 0);
	assert_int_equal(host_memory_enough(&host, 512 * MIB, &e), 0);
	assert_int_equal(host_memory_enough(&host, 1024 * MIB, &e), -ENOMEM);
	assert_non_null(strstr(e.text, "1024 MiB"));
	assert_non_null(strstr(e.text, "512 MiB available"));
	assert_non_null(strstr(e.text, "--force-memory"));
	assert_int_equal(host_memory_enough(&group, 1024 * MIB, &e), -ENOMEM);
	assert_non_null(strstr(e.text, "cgroup"));
	const struct host_memory most = {UNKNOWN - 1, 10, UNKNOWN};
	assert_int_equal(host_memory_enough(&most, 64ull << 30, &e), 0);
}

/* This host: whatever it has, it says something. */
static void test_here(void **state)
{
	(void)state;
	struct host_memory m;
	host_memory_look(&m);
	assert_true(m.available > 0);
	assert_int_equal(host_memory_enough(&m, MIB, &e), 0);
}

static int setup(void **state)
{
	char path[256];
	(void)state;
	if (!mkdtemp(top))
		return -1;
	snprintf(path, sizeof(path), "%s/a", top);
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/a/b", top);
	return mkdir(path, 0700);
}

static int teardown(void **state)
{
	static const char *const names[] = {
		"memory.max",
		"memory.current",
		"memory.stat",
		"memory.limit_in_bytes",
		"memory.usage_in_bytes",
	};
	static const char *const dirs[] = {"a/b", "a", "."};
	char path[256];
	(void)state;
	for (size_t d = 0; d < ARRAY_SIZE(dirs); d++) {
		for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
			snprintf(path, sizeof(path), "%s/%s/%s", top, dirs[d], names[i]);
			unlink(path);
		}
		snprintf(path, sizeof(path), "%s/%s", top, dirs[d]);
		rmdir(d == 2 ? top : path);
	}
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_meminfo), cmocka_unit_test(test_v2),
		cmocka_unit_test(test_v1),	cmocka_unit_test(test_enough),
		cmocka_unit_test(test_here),
	};
	alarm(30);
	return cmocka_run_group_tests_name("host_memory", tests, setup, teardown);
}
