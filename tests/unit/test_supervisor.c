// SPDX-License-Identifier: Apache-2.0
// test_supervisor.c - the jailer's check of its configuration
// links: jailer/supervisor.c jailer/jail.c jailer/root.c jailer/userns.c jailer/caps.c jailer/landlock.c jailer/link.c jailer/notify.c jailer/seccomp.c jailer/statedir.c jailer/cgroup.c jailer/cgroup_find.c jailer/idrange.c proto/config_io.c proto/jail_link.c
#include "supervisor.h"

#include "jail.h"
#include "proto/config_io.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct {
	Mayfly__JailConfig cfg;
	Mayfly__JailProcess p[9];
	Mayfly__JailProcess *pp[9];
	Mayfly__FdMap fd[JAIL_MAX_FDS + 1];
	Mayfly__FdMap *fdp[JAIL_MAX_FDS + 1];
	ProtobufCBinaryData words[513];
	struct err e;
} t;

static int setup(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	mayfly__jail_config__init(&t.cfg);
	t.cfg.version = CONFIG_VERSION;
	t.cfg.machine_id = (char *)"m-1";
	t.cfg.process = t.pp;
	t.cfg.n_process = 3;
	for (size_t i = 0; i < 9; i++) {
		t.pp[i] = &t.p[i];
		mayfly__jail_process__init(&t.p[i]);
		t.p[i].name = (char *)"fs";
		t.p[i].exec_fd = 3;
		t.p[i].argv = t.words;
		t.p[i].n_argv = 1;
		t.p[i].env = t.words;
		t.p[i].fd = t.fdp;
		t.p[i].n_fd = 2;
	}
	for (size_t i = 0; i <= JAIL_MAX_FDS; i++) {
		t.fdp[i] = &t.fd[i];
		mayfly__fd_map__init(&t.fd[i]);
		t.fd[i].from = 3;
	}
	return 0;
}

static void refused(const char *why)
{
	t.e.text[0] = '\0';
	assert_int_equal(supervisor_check(&t.cfg, &t.e), -EINVAL);
	if (!strstr(t.e.text, why))
		fail_msg("'%s' does not hold '%s'", t.e.text, why);
}

static void accepted(void)
{
	assert_int_equal(supervisor_check(&t.cfg, &t.e), 0);
}

static void test_good(void **state)
{
	(void)state;
	accepted();
	t.cfg.n_process = 1;
	accepted();
	t.cfg.n_process = 8;
	accepted();
	t.p[0].n_fd = 0;
	accepted();
}

static void test_version(void **state)
{
	(void)state;
	t.cfg.version = CONFIG_VERSION + 1;
	refused("version 2");
	t.cfg.version = 0;
	refused("version 0");
}

static void test_processes(void **state)
{
	(void)state;
	t.cfg.n_process = 0;
	refused("0 processes");
	t.cfg.n_process = 9;
	refused("9 processes");
}

static void test_id(void **state)
{
	(void)state;
	static const char *const bad[] = {"", ".", "..", "a/b", "../x", "A", "a b", "x\n"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		t.cfg.machine_id = (char *)(uintptr_t)bad[i];
		refused("is not a machine id");
	}
}

static void test_words(void **state)
{
	(void)state;
	t.p[2].n_argv = 0;
	refused("'fs'");
	t.p[2].n_argv = 512;
	accepted();
	t.p[2].n_argv = 513;
	refused("'fs'");
	t.p[2].n_argv = 1;
	t.p[2].n_env = 513;
	refused("'fs'");
	t.p[2].n_env = 0;
	t.p[2].name = (char *)"";
	refused("too many or too few");
}

static void test_descriptors(void **state)
{
	(void)state;
	static const int bad_from[] = {2, 0, -1, JAIL_MAX_FROM, INT_MAX, INT_MIN};
	static const int bad_to[] = {-1, JAIL_MAX_FD, INT_MAX, INT_MIN};
	for (size_t i = 0; i < sizeof(bad_from) / sizeof(bad_from[0]); i++) {
		t.p[1].exec_fd = bad_from[i];
		refused("'fs'");
		t.p[1].exec_fd = 3;
		t.fd[1].from = bad_from[i];
		refused("bad descriptor");
		t.fd[1].from = 3;
	}
	for (size_t i = 0; i < sizeof(bad_to) / sizeof(bad_to[0]); i++) {
		t.fd[1].to = bad_to[i];
		refused("bad descriptor");
	}
	t.fd[1].to = JAIL_MAX_FD - 1;
	t.fd[1].from = JAIL_MAX_FROM - 1;
	accepted();
	t.p[0].n_fd = JAIL_MAX_FDS;
	accepted();
	t.p[0].n_fd = JAIL_MAX_FDS + 1;
	refused("'fs'");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_good, setup),
		cmocka_unit_test_setup(test_version, setup),
		cmocka_unit_test_setup(test_processes, setup),
		cmocka_unit_test_setup(test_id, setup),
		cmocka_unit_test_setup(test_words, setup),
		cmocka_unit_test_setup(test_descriptors, setup),
	};
	alarm(30);
	return cmocka_run_group_tests_name("supervisor", tests, NULL, NULL);
}
