// SPDX-License-Identifier: Apache-2.0
// test_probe.c - the KVM probe: its decision, its cache, and that it always comes back
#include "engine/probe.h"

#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define MS 1000000ull
#define KEY "0b1c-boot 6.1.0-test 6:82:2792"
#define NOW 5000u

struct dir {
	char path[64];
	int fd;
};

/* ---- decision ---- */

static struct probe_sample sample(uint64_t wall, uint64_t cpu, bool done)
{
	return (struct probe_sample){.wall_ns = wall, .cpu_ns = cpu, .done = done};
}

static void test_fast_says_yes(void **state)
{
	(void)state;
	struct probe_sample s = sample(30000, 30000, true);
	assert_int_equal(probe_decide(&s, 1), PROBE_YES);
	s = sample(PROBE_BOUND_NS, PROBE_BOUND_NS, true);
	assert_int_equal(probe_decide(&s, 1), PROBE_YES);
}

static void test_slow_says_no_at_once(void **state)
{
	(void)state;
	struct probe_sample s = sample(PROBE_NO_NS + 1, PROBE_NO_NS, true);
	assert_int_equal(probe_decide(&s, 1), PROBE_NO);
	s = sample(PROBE_CUT_NS, PROBE_CUT_NS, false);
	assert_int_equal(probe_decide(&s, 1), PROBE_NO);
}

static void test_between_is_repeated(void **state)
{
	(void)state;
	struct probe_sample s[PROBE_SAMPLES];
	for (size_t i = 0; i < PROBE_SAMPLES; i++)
		s[i] = sample(4 * MS, 4 * MS, true);
	for (size_t n = 1; n < PROBE_SAMPLES; n++)
		assert_int_equal(probe_decide(s, n), PROBE_MORE);
	assert_int_equal(probe_decide(s, PROBE_SAMPLES), PROBE_NO);
	s[PROBE_SAMPLES - 1].wall_ns = 1 * MS;
	assert_int_equal(probe_decide(s, PROBE_SAMPLES), PROBE_YES);
}

static void test_kept_from_running_is_repeated(void **state)
{
	(void)state;
	struct probe_sample s[PROBE_SAMPLES];
	for (size_t i = 0; i < PROBE_SAMPLES; i++)
		s[i] = sample(40 * MS, 1 * MS, i % 2);
	assert_int_equal(probe_decide(s, 1), PROBE_MORE);
	assert_int_equal(probe_decide(s, 2), PROBE_MORE);
	assert_int_equal(probe_decide(s, PROBE_SAMPLES), PROBE_NO);
}

static void test_cut_off_is_never_a_yes(void **state)
{
	(void)state;
	struct probe_sample s = sample(1 * MS, 1 * MS, false);
	assert_int_equal(probe_decide(&s, 1), PROBE_MORE);
}

static void test_sentences(void **state)
{
	(void)state;
	struct probe_result r = {.loop_ns = 12300000};
	probe_explain(&r);
	assert_false(r.usable);
	assert_string_equal(r.reason, "kernel-mode code is interpreted: 20,000 instructions took "
				      "12.3 ms, 2 ms is the limit");
	r.loop_ns = 5 * MS;
	probe_explain(&r);
	assert_false(r.usable);
	assert_non_null(strstr(r.reason, "too slow"));
	r.loop_ns = PROBE_CUT_NS;
	probe_explain(&r);
	assert_false(r.usable);
	assert_non_null(strstr(r.reason, "more than 50 ms"));
	r.loop_ns = 30000;
	probe_explain(&r);
	assert_true(r.usable);
	assert_non_null(strstr(r.reason, "full speed"));
}

/* ---- cache ---- */

static int make_dir(void **state)
{
	struct dir *d = calloc(1, sizeof(*d));
	if (!d)
		return -1;
	snprintf(d->path, sizeof(d->path), "/tmp/test_probe.XXXXXX");
	if (!mkdtemp(d->path))
		return -1;
	d->fd = open(d->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = d;
	return d->fd < 0 ? -1 : 0;
}

static int remove_dir(void **state)
{
	struct dir *d = *state;
	unlinkat(d->fd, PROBE_CACHE_NAME, 0);
	unlinkat(d->fd, PROBE_CACHE_TEMP, 0);
	close(d->fd);
	/* Fails, and so does the test, if anything else was left there. */
	int ret = rmdir(d->path);
	free(d);
	return ret;
}

static void put(const struct dir *d, const char *text, size_t len)
{
	int fd = openat(d->fd, PROBE_CACHE_NAME, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(io_write_full(fd, text, len), 0);
	close(fd);
}

static int load_text(const struct dir *d, const char *text)
{
	uint64_t ns = 0;
	put(d, text, strlen(text));
	return probe_cache_load(d->fd, KEY, NOW, &ns);
}

static void test_cache_round_trip(void **state)
{
	struct dir *d = *state;
	uint64_t ns = 0;
	assert_int_equal(probe_cache_load(d->fd, KEY, NOW, &ns), -ENOENT);
	assert_int_equal(probe_cache_store(d->fd, KEY, NOW, 30000), 0);
	assert_int_equal(probe_cache_load(d->fd, KEY, NOW, &ns), 0);
	assert_int_equal(ns, 30000);
	assert_int_equal(probe_cache_store(d->fd, KEY, NOW, 12 * MS), 0);
	assert_int_equal(probe_cache_load(d->fd, KEY, NOW, &ns), 0);
	assert_int_equal(ns, 12 * MS);
	assert_int_equal(faccessat(d->fd, PROBE_CACHE_TEMP, F_OK, 0), -1);
}

static void test_cache_is_for_one_key(void **state)
{
	struct dir *d = *state;
	uint64_t ns = 0;
	assert_int_equal(probe_cache_store(d->fd, KEY, NOW, 30000), 0);
	assert_int_equal(probe_cache_load(d->fd, "other 6.1.0-test 6:82:2792", NOW, &ns), -ESTALE);
	assert_int_equal(probe_cache_load(d->fd, KEY "0", NOW, &ns), -ESTALE);
}

static void test_a_no_lapses_a_yes_stays(void **state)
{
	struct dir *d = *state;
	uint64_t ns = 0;
	assert_int_equal(probe_cache_store(d->fd, KEY, NOW, 12 * MS), 0);
	assert_int_equal(probe_cache_load(d->fd, KEY, NOW + PROBE_NO_AGE_S, &ns), 0);
	assert_int_equal(probe_cache_load(d->fd, KEY, NOW + PROBE_NO_AGE_S + 1, &ns), -ESTALE);
	assert_int_equal(probe_cache_store(d->fd, KEY, NOW, 30000), 0);
	assert_int_equal(probe_cache_load(d->fd, KEY, NOW + 1000000, &ns), 0);
}

static void test_cache_refuses_garbage(void **state)
{
	static const char *const bad[] = {
		"mayfly-kvm-probe 1 " KEY " ",
		"mayfly-kvm-probe 1 " KEY " 30000",
		"mayfly-kvm-probe 1 " KEY " 30000 ",
		"mayfly-kvm-probe 1 " KEY " 30000 4000",
		"mayfly-kvm-probe 1 " KEY " 30000 4000\n\n",
		"mayfly-kvm-probe 1 " KEY " 30000 4000\nmore",
		"mayfly-kvm-probe 1 " KEY " -30000 4000\n",
		"mayfly-kvm-probe 1 " KEY "  30000 4000\n",
		"mayfly-kvm-probe 1 " KEY " 0x10 4000\n",
		"mayfly-kvm-probe 1 " KEY " 0 4000\n",
		"mayfly-kvm-probe 1 " KEY " 30000 6000\n", /* from the future */
		"mayfly-kvm-probe 1 " KEY " 99999999999999999999999999 4000\n",
	};
	static const char *const foreign[] = {"", "\n", "yes", "mayfly-kvm-probe 2 " KEY " 3 4\n"};
	struct dir *d = *state;
	assert_int_equal(load_text(d, "mayfly-kvm-probe 1 " KEY " 30000 4000\n"), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(load_text(d, bad[i]), -EINVAL);
	for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++)
		assert_int_equal(load_text(d, foreign[i]), -ESTALE);
}

static void test_cache_survives_random_bytes(void **state)
{
	struct dir *d = *state;
	char buf[600];
	uint64_t ns = 0;
	unsigned seed = 1;
	for (int round = 0; round < 500; round++) {
		size_t len = (size_t)rand_r(&seed) % sizeof(buf);
		int n = snprintf(buf, sizeof(buf), "mayfly-kvm-probe 1 " KEY " ");
		for (size_t i = round % 2 ? (size_t)n : 0; i < len; i++)
			buf[i] = (char)rand_r(&seed);
		put(d, buf, len);
		assert_true(probe_cache_load(d->fd, KEY, NOW, &ns) < 0);
	}
}

static void test_cache_must_be_our_plain_file(void **state)
{
	static const char text[] = "mayfly-kvm-probe 1 " KEY " 30000 4000\n";
	struct dir *d = *state;
	uint64_t ns = 0;
	put(d, text, sizeof(text)); /* with the NUL */
	assert_int_equal(probe_cache_load(d->fd, KEY, NOW, &ns), -EINVAL);
	put(d, text, sizeof(text) - 1);
	assert_int_equal(fchmodat(d->fd, PROBE_CACHE_NAME, 0666, 0), 0);
	assert_int_equal(probe_cache_load(d->fd, KEY, NOW, &ns), -EINVAL);
	assert_int_equal(fchmodat(d->fd, PROBE_CACHE_NAME, 0600, 0), 0);
	assert_int_equal(probe_cache_load(d->fd, KEY, NOW, &ns), 0);
	assert_int_equal(renameat(d->fd, PROBE_CACHE_NAME, d->fd, PROBE_CACHE_TEMP), 0);
	assert_int_equal(symlinkat(PROBE_CACHE_TEMP, d->fd, PROBE_CACHE_NAME), 0);
	assert_int_equal(probe_cache_load(d->fd, KEY, NOW, &ns), -EINVAL);
	assert_int_equal(unlinkat(d->fd, PROBE_CACHE_NAME, 0), 0);
	assert_int_equal(mkfifoat(d->fd, PROBE_CACHE_NAME, 0600), 0);
	assert_int_equal(probe_cache_load(d->fd, KEY, NOW, &ns), -EINVAL);
}

static void test_cache_store_failure_leaves_nothing(void **state)
{
	struct dir *d = *state;
	assert_int_equal(mkdirat(d->fd, PROBE_CACHE_NAME, 0700), 0);
	assert_true(probe_cache_store(d->fd, KEY, NOW, 30000) < 0);
	assert_int_equal(faccessat(d->fd, PROBE_CACHE_TEMP, F_OK, 0), -1);
	assert_int_equal(unlinkat(d->fd, PROBE_CACHE_NAME, AT_REMOVEDIR), 0);
	/* What a killed writer left behind is in nobody's way. */
	assert_int_equal(symlinkat("nowhere", d->fd, PROBE_CACHE_TEMP), 0);
	assert_int_equal(probe_cache_store(d->fd, KEY, NOW, 30000), -ELOOP);
}

static void test_cache_key(void **state)
{
	(void)state;
	char a[PROBE_KEY_MAX];
	char b[PROBE_KEY_MAX];
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int other = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	assert_int_equal(probe_cache_key(fd, a, sizeof(a)), 0);
	assert_int_equal(probe_cache_key(fd, b, sizeof(b)), 0);
	assert_string_equal(a, b);
	assert_int_equal(probe_cache_key(other, b, sizeof(b)), 0);
	assert_string_not_equal(a, b);
	assert_int_equal(probe_cache_key(fd, b, 8), -ENAMETOOLONG);
	assert_true(probe_cache_key(-1, b, sizeof(b)) < 0);
	close(fd);
	close(other);
}

/* ---- the real thing, whatever this host has ---- */

static void test_probe_comes_back_and_leaves_signals_alone(void **state)
{
	(void)state;
	struct probe_result r;
	struct sigaction sa;
	sigset_t before;
	sigset_t after;
	sigset_t pending;
	uint64_t start = io_now_ns();
	sigprocmask(SIG_SETMASK, NULL, &before);
	assert_int_equal(probe_kvm(&r, false, -1), 0);
	assert_true(io_now_ns() - start < 5000 * MS);
	sigprocmask(SIG_SETMASK, NULL, &after);
	for (int sig = 1; sig <= SIGRTMAX; sig++)
		assert_int_equal(sigismember(&before, sig), sigismember(&after, sig));
	sigpending(&pending);
	for (int sig = SIGRTMIN; sig <= SIGRTMAX; sig++) {
		assert_false(sigismember(&pending, sig));
		assert_int_equal(sigaction(sig, NULL, &sa), 0);
		assert_true(sa.sa_handler == SIG_DFL);
	}
	assert_true(strlen(r.reason) > 0);
	assert_true(r.present || !r.usable);
	assert_true(!r.usable || r.loop_ns <= PROBE_BOUND_NS);
	print_message("# %s\n", r.reason);
}

static void test_probe_uses_its_cache(void **state)
{
	struct dir *d = *state;
	struct probe_result first;
	struct probe_result second;
	assert_int_equal(probe_kvm(&first, true, d->fd), 0);
	assert_false(first.cached);
	if (!first.loop_ns)
		skip(); /* no KVM here that could be measured */
	assert_int_equal(probe_kvm(&second, true, d->fd), 0);
	assert_true(second.cached);
	assert_int_equal(second.usable, first.usable);
	assert_int_equal(second.loop_ns, first.loop_ns);
	assert_string_equal(second.reason, first.reason);
	assert_int_equal(probe_kvm(&second, false, d->fd), 0);
	assert_false(second.cached);
}

static void test_probe_leaks_no_descriptors(void **state)
{
	(void)state;
	struct probe_result r;
	int before = dup(0);
	close(before);
	for (int i = 0; i < 5; i++)
		assert_int_equal(probe_kvm(&r, false, -1), 0);
	int after = dup(0);
	close(after);
	assert_int_equal(before, after);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fast_says_yes),
		cmocka_unit_test(test_slow_says_no_at_once),
		cmocka_unit_test(test_between_is_repeated),
		cmocka_unit_test(test_kept_from_running_is_repeated),
		cmocka_unit_test(test_cut_off_is_never_a_yes),
		cmocka_unit_test(test_sentences),
		cmocka_unit_test_setup_teardown(test_cache_round_trip, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_cache_is_for_one_key, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_a_no_lapses_a_yes_stays, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_cache_refuses_garbage, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_cache_survives_random_bytes, make_dir,
						remove_dir),
		cmocka_unit_test_setup_teardown(test_cache_must_be_our_plain_file, make_dir,
						remove_dir),
		cmocka_unit_test_setup_teardown(test_cache_store_failure_leaves_nothing, make_dir,
						remove_dir),
		cmocka_unit_test(test_cache_key),
		cmocka_unit_test(test_probe_comes_back_and_leaves_signals_alone),
		cmocka_unit_test_setup_teardown(test_probe_uses_its_cache, make_dir, remove_dir),
		cmocka_unit_test(test_probe_leaks_no_descriptors),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
