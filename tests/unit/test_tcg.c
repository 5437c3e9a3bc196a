// SPDX-License-Identifier: Apache-2.0
// test_tcg.c - QEMU's argument list: no device of its own, sandbox on, every descriptor named
// links: runtime/engine/tcg.c runtime/cli/paths.c
#include "engine/tcg.h"

#include "base/checked.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct vm_config c;
static struct tcg_args a;
static const struct tcg_fds all_fds = {
	.kernel = "/kernel", .init = "/init", .vsock = 105, .fs = 106, .serial = 107, .rng = 108};
static struct tcg_fds fds;

static int setup(void **state)
{
	(void)state;
	c = (struct vm_config){.cpus = 1, .memory = 512ull << 20};
	fds = all_fds;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	tcg_free_args(&a);
	tcg_free_args(&a);
	return 0;
}

static void build(void)
{
	tcg_free_args(&a);
	assert_int_equal(tcg_build_args(&a, &c, &fds, "console=ttyS0 x=1 -- y"), 0);
	assert_true(a.n < TCG_MAX_ARGS);
}

/* The n-th value of an option; NULL if there are not so many. */
static const char *value(const char *opt, unsigned n)
{
	for (size_t i = 0; i + 1 < a.n; i++)
		if (strcmp(a.argv[i], opt) == 0 && n-- == 0)
			return a.argv[i + 1];
	return NULL;
}

static bool has(const char *word)
{
	for (size_t i = 0; i < a.n; i++)
		if (strcmp(a.argv[i], word) == 0)
			return true;
	return false;
}

static void test_nothing_of_its_own(void **state)
{
	(void)state;
	build();
	assert_string_equal(a.argv[0], TCG_QEMU);
	assert_true(has("-nodefaults") && has("-no-user-config") && has("-no-reboot"));
	assert_string_equal(value("-display", 0), "none");
	/* The jail has a table; only without one QEMU's own must do. */
	assert_false(has("-sandbox"));
	c.jail = JAIL_MODE_NONE;
	build();
	const char *sandbox = value("-sandbox", 0);
	assert_memory_equal(sandbox, "on,", 3);
	assert_non_null(strstr(sandbox, "spawn=deny"));
	assert_non_null(strstr(sandbox, "elevateprivileges=deny"));
	assert_non_null(strstr(sandbox, "obsolete=deny"));
	assert_non_null(strstr(sandbox, "resourcecontrol=deny"));
	static const char *const never[] = {"-netdev", "-nic", "-net", "-drive", "-monitor",
					    "-qmp",    "-mon", "-vga", "-usb",	 "-hda",
					    "-virtfs", "-gdb", "-s",   "-D",	 "-daemonize"};
	for (size_t i = 0; i < ARRAY_SIZE(never); i++)
		assert_false(has(never[i]));
	assert_memory_equal(value("-M", 0), "microvm,", 8);
	assert_non_null(strstr(value("-M", 0), "acpi=off"));
}

static void test_devices(void **state)
{
	(void)state;
	static const char *const allowed[] = {"vhost-user-vsock-device,", "vhost-user-fs-device,",
					      "vhost-user-rng,"};
	unsigned n;
	build();
	for (n = 0; value("-device", n); n++) {
		assert_true(n < ARRAY_SIZE(allowed));
		assert_memory_equal(value("-device", n), allowed[n], strlen(allowed[n]));
	}
	assert_int_equal(n, ARRAY_SIZE(allowed));
	assert_null(value("-serial", 1));
	assert_string_equal(value("-serial", 0), "chardev:serial");
}

static void test_descriptors(void **state)
{
	(void)state;
	char want[64];
	const struct {
		const char *id;
		int fd;
	} sockets[] = {
		{"vsock", fds.vsock}, {"fs", fds.fs}, {"rng", fds.rng}, {"serial", fds.serial}};
	build();
	for (unsigned i = 0; i < ARRAY_SIZE(sockets); i++) {
		snprintf(want, sizeof(want), "socket,id=%s,fd=%d", sockets[i].id, sockets[i].fd);
		assert_string_equal(value("-chardev", i), want);
	}
	assert_null(value("-chardev", ARRAY_SIZE(sockets)));
	assert_string_equal(value("-kernel", 0), "/kernel");
	assert_string_equal(value("-initrd", 0), "/init");
	/* No other path: what it opens by name is in a root of its own. */
	for (size_t i = 1; i < a.n; i++)
		if (strcmp(a.argv[i - 1], "-append") != 0)
			assert_true(!strchr(a.argv[i], '/') || strcmp(a.argv[i], "/kernel") == 0 ||
				    strcmp(a.argv[i], "/init") == 0);
}

/* A machine of `mayfly boot`: a kernel, its console, randomness. */
static void test_fewer_devices(void **state)
{
	(void)state;
	fds.vsock = fds.fs = -1;
	fds.init = NULL;
	build();
	assert_string_equal(value("-device", 0), "vhost-user-rng,chardev=rng");
	assert_null(value("-device", 1));
	assert_null(value("-chardev", 2));
	assert_false(has("-initrd"));
	assert_string_equal(value("-kernel", 0), "/kernel");
	assert_string_equal(value("-serial", 0), "chardev:serial");
	for (size_t i = 0; i < a.n; i++)
		assert_null(strstr(a.argv[i], "-1"));
	fds.rng = -1;
	build();
	assert_null(value("-device", 0));
	assert_null(value("-chardev", 1));
}

static void test_disks(void **state)
{
	(void)state;
	fds.n_disk = 3;
	fds.disk[0] = 201;
	fds.disk[1] = 202;
	fds.disk[2] = 203;
	build();
	assert_string_equal(value("-device", 3), "vhost-user-blk,chardev=disk0,num-queues=1");
	assert_string_equal(value("-device", 5), "vhost-user-blk,chardev=disk2,num-queues=1");
	assert_null(value("-device", 6));
	assert_string_equal(value("-chardev", 3), "socket,id=disk0,fd=201");
	assert_string_equal(value("-chardev", 5), "socket,id=disk2,fd=203");
	c.cpus = 3;
	build();
	assert_string_equal(value("-device", 3), "vhost-user-blk,chardev=disk0,num-queues=3");
	c.cpus = 32;
	build();
	assert_string_equal(value("-device", 4), "vhost-user-blk,chardev=disk1,num-queues=4");
	assert_null(value("-drive", 0));
	assert_null(value("-blockdev", 0));
}

static void test_command_line(void **state)
{
	(void)state;
	build();
	assert_string_equal(value("-append", 0), "console=ttyS0 x=1 -- y");
	assert_null(value("-append", 1));
}

static void test_memory_and_cpus(void **state)
{
	(void)state;
	build();
	assert_string_equal(value("-m", 0), "512M");
	const char *mem = value("-object", 0);
	/* vhost_user_mem.c maps nothing else than a sealed memfd. */
	assert_memory_equal(mem, "memory-backend-memfd,", 21);
	assert_non_null(strstr(mem, "size=512M"));
	assert_non_null(strstr(mem, "share=on"));
	assert_null(strstr(mem, "seal=off"));
	assert_string_equal(value("-smp", 0), "1");
	assert_memory_equal(value("-accel", 0), "tcg", 3);
	c.cpus = 32;
	c.memory = CONFIG_MAX_MEMORY;
	build();
	assert_string_equal(value("-smp", 0), "32");
	assert_string_equal(value("-m", 0), "65536M");
	assert_non_null(strstr(value("-accel", 0), "thread=multi"));
}

static void test_kernel_args(void **state)
{
	(void)state;
	char buf[1024];
	char tiny[32];
	assert_int_equal(tcg_kernel_args(buf, sizeof(buf), &c), 0);
	assert_non_null(strstr(buf, "loglevel=1 "));
	assert_non_null(strstr(buf, "reboot=t"));
	assert_non_null(strstr(buf, "panic=-1"));
	assert_non_null(strstr(buf, "noreplace-smp"));
	assert_non_null(strstr(buf, "nolapic_timer"));
	assert_non_null(strstr(buf, " norandmaps"));
	c.console = true;
	c.cpus = 2;
	c.aslr = true;
	assert_int_equal(tcg_kernel_args(buf, sizeof(buf), &c), 0);
	assert_non_null(strstr(buf, "loglevel=7 "));
	/* Several CPUs can't live from one timer. */
	assert_null(strstr(buf, "nolapic_timer"));
	assert_null(strstr(buf, "norandmaps"));
	assert_int_equal(tcg_kernel_args(tiny, sizeof(tiny), &c), -E2BIG);
}

/* Nothing that the user types becomes a part of QEMU's arguments. */
static void test_no_injection(void **state)
{
	(void)state;
	c.hostname = "evil,fd=0";
	c.kernel = "/evil,x";
	c.init = "-monitor";
	c.workdir = "/evil";
	c.rootfs = "/evil";
	c.append = "evil";
	build();
	for (size_t i = 0; i < a.n; i++)
		assert_null(strstr(a.argv[i], "evil"));
	assert_false(has("-monitor"));
}

static void test_not_installed(void **state)
{
	(void)state;
	struct err e;
	char *saved = strdup(getenv("PATH") ? getenv("PATH") : "");
	setenv("PATH", "/nonexistent", 1);
	assert_int_equal(tcg_find_qemu(&e), -ENOENT);
	assert_non_null(strstr(e.text, "apt-get install qemu-system-x86"));
	setenv("PATH", saved, 1);
	free(saved);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_nothing_of_its_own), T(test_devices),	   T(test_descriptors),
		T(test_memory_and_cpus),    T(test_kernel_args),   T(test_no_injection),
		T(test_not_installed),	    T(test_fewer_devices), T(test_disks),
		T(test_command_line),
	};
	alarm(30);
	return cmocka_run_group_tests_name("tcg", tests, NULL, NULL);
}
