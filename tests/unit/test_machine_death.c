// SPDX-License-Identifier: Apache-2.0
// test_machine_death.c - whose end was the machine's, of those that are seen to end
// links: runtime/cli/machine_death.c
#include "cli/machine_death.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#define EXITED(code) ((code) << 8)
enum { QEMU, VMM, FS };

static struct machine_death d;

static int setup(void **state)
{
	(void)state;
	d = (struct machine_death){0};
	return 0;
}

static void ends(unsigned which, int status)
{
	machine_death_note(&d, &(struct machine_death){.which = which, .status = status}, false);
}

static void told_to_end(unsigned which)
{
	machine_death_note(&d, &(struct machine_death){.which = which, .status = SIGKILL}, true);
}

static void kept(unsigned which, int status)
{
	assert_true(d.seen);
	assert_int_equal(d.which, which);
	assert_int_equal(d.status, status);
}

static void test_good_end(void **state)
{
	(void)state;
	ends(QEMU, 0);
	ends(VMM, 0);
	assert_false(d.seen);
}

static void test_first(void **state)
{
	(void)state;
	ends(FS, 0);
	ends(VMM, EXITED(2));
	ends(QEMU, EXITED(1));
	kept(VMM, EXITED(2));
}

/* Seen under load: QEMU had failed over the closed socket before the vmm could be waited for. */
static void test_killed_is_seen_late(void **state)
{
	(void)state;
	ends(QEMU, EXITED(1));
	ends(VMM, SIGKILL);
	kept(VMM, SIGKILL);
	ends(FS, SIGKILL);
	kept(VMM, SIGKILL);
}

static void test_supervisor_kills_the_rest(void **state)
{
	(void)state;
	ends(QEMU, EXITED(1));
	told_to_end(VMM);
	kept(QEMU, EXITED(1));
	told_to_end(FS);
	kept(QEMU, EXITED(1));
}

/* The engine ended well, and one that should have followed did not: that one is what failed. */
static void test_does_not_follow(void **state)
{
	(void)state;
	ends(QEMU, 0);
	told_to_end(VMM);
	kept(VMM, SIGKILL);
}

static void test_killed_first(void **state)
{
	(void)state;
	ends(FS, SIGSEGV);
	ends(VMM, EXITED(1));
	told_to_end(QEMU);
	kept(FS, SIGSEGV);
}

static void test_host_oom(void **state)
{
	(void)state;
	ends(VMM, EXITED(1));
	machine_death_note(
		&d, &(struct machine_death){.which = QEMU, .status = SIGKILL, .host_oom = true},
		false);
	kept(QEMU, SIGKILL);
	assert_true(d.host_oom);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_good_end, setup),
		cmocka_unit_test_setup(test_first, setup),
		cmocka_unit_test_setup(test_killed_is_seen_late, setup),
		cmocka_unit_test_setup(test_supervisor_kills_the_rest, setup),
		cmocka_unit_test_setup(test_does_not_follow, setup),
		cmocka_unit_test_setup(test_killed_first, setup),
		cmocka_unit_test_setup(test_host_oom, setup),
	};
	alarm(30);
	return cmocka_run_group_tests_name("machine_death", tests, NULL, NULL);
}
