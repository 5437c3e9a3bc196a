// SPDX-License-Identifier: Apache-2.0
// test_engine_choice.c - which engine it will be, why KVM can't be had, what the kernel is told
// links: runtime/cli/engine_choice.c runtime/engine/tcg.c runtime/cli/paths.c
#include "cli/engine_choice.h"

#include "base/checked.h"
#include "engine/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

/* A host of the test's own: /dev/kvm, and what the probe says of it. */
static struct {
	int open_errno; /* 0: can be opened */
	unsigned opened;
	mode_t mode;
	gid_t gid;
	bool usable;
	int probe_ret;
	unsigned probed;
	int cache_dir_fd;
} host;

static struct vm_config c;
static struct err e;
static int kvm_fd;

int open(const char *path, int flags, ...)
{
	if (strcmp(path, PROBE_DEVICE) != 0)
		return (int)syscall(SYS_openat, AT_FDCWD, path, flags, 0600);
	host.opened++;
	assert_true((flags & O_ACCMODE) == O_RDWR && flags & O_CLOEXEC);
	errno = host.open_errno;
	return host.open_errno ? -1 : (int)syscall(SYS_openat, AT_FDCWD, "/dev/null", flags);
}

int stat(const char *path, struct stat *st)
{
	if (strcmp(path, PROBE_DEVICE) != 0)
		return (int)syscall(SYS_newfstatat, AT_FDCWD, path, st, 0);
	memset(st, 0, sizeof(*st));
	st->st_mode = S_IFCHR | host.mode;
	st->st_gid = host.gid;
	errno = ENOENT;
	return host.open_errno == ENOENT ? -1 : 0;
}

int probe_kvm(struct probe_result *out, bool use_cache, int cache_dir_fd)
{
	host.probed++;
	host.cache_dir_fd = cache_dir_fd;
	assert_true(use_cache);
	*out = (struct probe_result){.usable = host.usable, .reason = "because"};
	return host.probe_ret;
}

static int setup(void **state)
{
	(void)state;
	memset(&host, 0, sizeof(host));
	host.mode = 0660;
	config_defaults(&c);
	e.text[0] = '\0';
	kvm_fd = 1000;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	config_free(&c);
	return 0;
}

static void choose(enum engine asked, enum engine want)
{
	c.engine = asked;
	if (engine_choose(&c, 77, &kvm_fd, &e) != 0)
		fail_msg("%s", e.text);
	assert_int_equal(c.engine, want);
	assert_int_equal(kvm_fd >= 0, want == ENGINE_KVM);
	assert_int_equal(host.opened, want == ENGINE_KVM);
	if (kvm_fd >= 0)
		close(kvm_fd);
}

static void test_by_name(void **state)
{
	(void)state;
	choose(ENGINE_TCG, ENGINE_TCG);
	choose(ENGINE_KVM, ENGINE_KVM);
	/* The user knows better than the probe. */
	assert_int_equal(host.probed, 0);
}

static void test_auto_usable(void **state)
{
	(void)state;
	host.usable = true;
	choose(ENGINE_AUTO, ENGINE_KVM);
	assert_int_equal(host.probed, 1);
	assert_int_equal(host.cache_dir_fd, 77);
}

static void test_auto_not_usable(void **state)
{
	(void)state;
	choose(ENGINE_AUTO, ENGINE_TCG);
	assert_int_equal(host.probed, 1);
}

static void test_auto_unknown(void **state)
{
	(void)state;
	host.usable = true;
	host.probe_ret = -EIO;
	choose(ENGINE_AUTO, ENGINE_TCG);
}

static void refused(int code)
{
	host.open_errno = code;
	c.engine = ENGINE_KVM;
	assert_int_equal(engine_choose(&c, -1, &kvm_fd, &e), -code);
	assert_int_equal(kvm_fd, -1);
	assert_non_null(strstr(e.text, "/dev/kvm"));
	/* The way out is always named, and it is one line. */
	assert_non_null(strstr(e.text, "--engine tcg"));
	assert_non_null(strstr(e.text, strerror(code)));
	assert_null(strchr(e.text, '\n'));
}

static void test_no_kvm(void **state)
{
	(void)state;
	refused(ENOENT);
	assert_non_null(strstr(e.text, "no KVM"));
	assert_non_null(strstr(e.text, "mayfly doctor"));
}

static void test_no_permission(void **state)
{
	(void)state;
	char want[128];
	const struct group *gr = getgrgid(0);
	if (!gr)
		skip();
	snprintf(want, sizeof(want), "join group '%s': usermod -aG %s USER", gr->gr_name,
		 gr->gr_name);
	refused(EACCES);
	assert_non_null(strstr(e.text, want));
	/* A group that may not write, or has no name, is of no help. */
	host.mode = 0600;
	refused(EACCES);
	assert_null(strstr(e.text, "join group"));
	host.mode = 0660;
	host.gid = 3999999998u;
	if (!getgrgid(host.gid)) {
		refused(EACCES);
		assert_null(strstr(e.text, "join group"));
	}
}

static void test_other_reasons(void **state)
{
	(void)state;
	static const int codes[] = {EBUSY, ENODEV, ENXIO, EMFILE, EPERM};
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		refused(codes[i]);
		assert_null(strstr(e.text, "join group"));
	}
}

/* ---- the kernel's command line ---- */

static char args[3072];

static const char *args_of(enum engine engine, bool boot, const char *append)
{
	c.engine = engine;
	c.boot = boot;
	c.append = append;
	assert_int_equal(engine_kernel_args(args, sizeof(args), &c), 0);
	return args;
}

/* A whole word, not a part of one. */
static bool has(const char *word)
{
	char text[sizeof(args) + 2];
	char want[128];
	snprintf(text, sizeof(text), " %s ", args);
	snprintf(want, sizeof(want), " %s ", word);
	return strstr(text, want) != NULL;
}

static void test_args_run_kvm(void **state)
{
	(void)state;
	args_of(ENGINE_KVM, false, NULL);
	assert_true(has("console=ttyS0") && has("loglevel=1") && has("panic=-1"));
	assert_true(has("noreplace-smp") && has("reboot=k"));
	/* Cures of what ails QEMU. */
	assert_null(strstr(args, "tsc_early_khz"));
	assert_null(strstr(args, "init_on_alloc"));
	assert_null(strstr(args, "nolapic_timer"));
	c.console = true;
	args_of(ENGINE_KVM, false, NULL);
	assert_true(has("loglevel=7"));
}

static void test_args_run_tcg(void **state)
{
	(void)state;
	args_of(ENGINE_TCG, false, NULL);
	assert_true(has("console=ttyS0") && has("loglevel=1") && has("panic=-1"));
	assert_true(has("noreplace-smp") && has("reboot=t"));
	assert_non_null(strstr(args, "tsc_early_khz="));
}

/* A kernel of the user's own: no more than it takes to see it, and to see its end. */
static void test_args_boot(void **state)
{
	(void)state;
	assert_string_equal(args_of(ENGINE_KVM, true, NULL), "console=ttyS0 panic=-1 reboot=k");
	/* An emulated clock is not left to be measured. */
	args_of(ENGINE_TCG, true, NULL);
	assert_true(has("reboot=t") && has("no_timer_check"));
	assert_non_null(strstr(args, "tsc_early_khz="));
	assert_string_equal(args_of(ENGINE_KVM, true, "quiet panic=0 -- x"),
			    "console=ttyS0 panic=-1 reboot=k quiet panic=0 -- x");
	args_of(ENGINE_TCG, true, "last words");
	assert_string_equal(args + strlen(args) - 11, " last words");
}

/* What doesn't fit is said, not cut off: a word may be a half one then. */
static void test_args_too_long(void **state)
{
	(void)state;
	static const enum engine engines[] = {ENGINE_KVM, ENGINE_TCG};
	char buf[512];
	for (unsigned i = 0; i < 4; i++) {
		c.boot = i & 1;
		c.engine = engines[i / 2];
		c.append = "0123456789";
		assert_int_equal(engine_kernel_args(buf, sizeof(buf), &c), 0);
		size_t len = strlen(buf);
		assert_int_equal(engine_kernel_args(buf, len, &c), -E2BIG);
		assert_int_equal(engine_kernel_args(buf, 1, &c), -E2BIG);
		assert_int_equal(engine_kernel_args(buf, len + 1, &c), 0);
	}
}

static void test_args_guest_text(void **state)
{
	(void)state;
	char *append = malloc(4000);
	memset(append, '%', 3999);
	append[3999] = '\0';
	c.boot = true;
	c.engine = ENGINE_KVM;
	c.append = append;
	assert_int_equal(engine_kernel_args(args, sizeof(args), &c), -E2BIG);
	append[100] = '\0';
	assert_int_equal(engine_kernel_args(args, sizeof(args), &c), 0);
	assert_string_equal(strchr(args, '%'), append);
	free(append);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_by_name),       T(test_auto_usable),   T(test_auto_not_usable),
		T(test_auto_unknown),  T(test_no_kvm),	      T(test_no_permission),
		T(test_other_reasons), T(test_args_run_kvm),  T(test_args_run_tcg),
		T(test_args_boot),     T(test_args_too_long), T(test_args_guest_text),
	};
	alarm(30);
	return cmocka_run_group_tests_name("engine_choice", tests, NULL, NULL);
}
