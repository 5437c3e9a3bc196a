// SPDX-License-Identifier: Apache-2.0
// test_seccomp.c - the compiled tables say what their rows say; what the kernel makes of them
// links: jailer/seccomp.c jailer/policy/policy.c jailer/policy/vmm.c jailer/policy/fs.c jailer/policy/qemu.c jailer/policy/image.c
#include "jailer/seccomp.h"

#include "base/checked.h"
#include "jailer/policy/policy.h"
#include "seccomp_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/io_uring.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

struct compiled {
	const char *name;
	const struct sock_filter *code;
	unsigned short len;
	bool kills;
};
#include "jailer/seccomp_tables.h"

#define CALLS 1100
#define X32_BIT 0x40000000
#define THIS_TEST "test_seccomp"

/* ---- the filters, run here ---- */

static uint32_t load_word(const struct seccomp_data *d, uint32_t at)
{
	uint32_t v;
	assert_true(at % 4 == 0 && at + 4 <= sizeof(*d));
	memcpy(&v, (const char *)d + at, sizeof(v));
	return v;
}

static bool jumps(const struct sock_filter *f, uint32_t acc)
{
	switch (BPF_OP(f->code)) {
	case BPF_JEQ: return acc == f->k;
	case BPF_JGT: return acc > f->k;
	case BPF_JGE: return acc >= f->k;
	case BPF_JSET: return acc & f->k;
	default: fail_msg("jump 0x%x", f->code); return false;
	}
}

static uint32_t run_filter(enum seccomp_table t, const struct seccomp_data *d)
{
	uint32_t acc = 0;
	for (unsigned pc = 0; pc < filters[t].len; pc++) {
		const struct sock_filter *f = &filters[t].code[pc];
		switch (f->code) {
		case BPF_LD | BPF_W | BPF_ABS: acc = load_word(d, f->k); break;
		case BPF_ALU | BPF_AND | BPF_K: acc &= f->k; break;
		case BPF_JMP | BPF_JA: pc += f->k; break;
		case BPF_RET | BPF_K: return f->k;
		default: pc += jumps(f, acc) ? f->jt : f->jf; break;
		}
	}
	fail_msg("the filter of %s has no end", filters[t].name);
	return 0;
}

/* ---- the rows, as they are written ---- */

static bool row_holds(const struct policy_row *r, const struct seccomp_data *d)
{
	if (strcmp(r->call, seccomp_call_name(d->nr)) != 0)
		return false;
	for (unsigned i = 0; i < POLICY_CMP_MAX; i++) {
		const struct policy_cmp *c = &r->cmp[i];
		if (c->used && (d->args[c->arg] & c->mask) != c->value)
			return false;
	}
	return true;
}

static uint32_t other_calls(enum seccomp_table t)
{
	return policies[t]->kills ? SECCOMP_RET_KILL_PROCESS : SECCOMP_RET_USER_NOTIF;
}

static uint32_t say_rows(enum seccomp_table t, const struct seccomp_data *d)
{
	const struct policy *p = policies[t];
	for (unsigned i = 0; i < p->n; i++)
		if (row_holds(&p->row[i], d))
			return p->row[i].error ? SECCOMP_RET_ERRNO | (uint32_t)p->row[i].error
					       : SECCOMP_RET_ALLOW;
	return other_calls(t);
}

static void same(enum seccomp_table t, const struct seccomp_data *d)
{
	uint32_t got = run_filter(t, d);
	uint32_t want = say_rows(t, d);
	if (got != want)
		fail_msg("%s: %s(%llx, %llx, %llx, %llx): the filter says %x, the rows %x",
			 filters[t].name, seccomp_call_name(d->nr), (unsigned long long)d->args[0],
			 (unsigned long long)d->args[1], (unsigned long long)d->args[2],
			 (unsigned long long)d->args[3], got, want);
}

static int number_of(const char *call)
{
	for (int nr = 0; nr < CALLS; nr++)
		if (strcmp(seccomp_call_name(nr), call) == 0)
			return nr;
	fail_msg("no call %s", call);
	return -1;
}

/* All of a row's conditions met, then each bit of each argument that one looks at turned over. */
static void around_row(enum seccomp_table t, const struct policy_row *r)
{
	struct seccomp_data d = {.nr = number_of(r->call), .arch = AUDIT_ARCH_X86_64};
	for (unsigned i = 0; i < POLICY_CMP_MAX; i++)
		if (r->cmp[i].used)
			d.args[r->cmp[i].arg] |= r->cmp[i].value;
	assert_true(row_holds(r, &d));
	same(t, &d);
	for (unsigned i = 0; i < POLICY_CMP_MAX; i++)
		for (unsigned bit = 0; r->cmp[i].used && bit < 64; bit++) {
			struct seccomp_data e = d;
			e.args[r->cmp[i].arg] ^= 1ull << bit;
			same(t, &e);
		}
}

static void test_filters_say_what_the_rows_say(void **state)
{
	static const uint64_t values[] = {0, 1, 2, 4, 0xffffffff, ~0ull, 0xae80, 0x100000001};
	(void)state;
	for (unsigned t = 0; t < SECCOMP_TABLES; t++) {
		assert_string_equal(seccomp_table_name(t), policies[t]->name);
		for (unsigned i = 0; i < policies[t]->n; i++)
			around_row(t, &policies[t]->row[i]);
		for (int nr = -2; nr < CALLS; nr++)
			for (unsigned i = 0; i < ARRAY_SIZE(values); i++) {
				uint64_t v = values[i];
				struct seccomp_data d = {.nr = nr,
							 .arch = AUDIT_ARCH_X86_64,
							 .args = {v, v, v, v, v, v}};
				same(t, &d);
			}
	}
}

static void test_no_other_kind_of_call(void **state)
{
	(void)state;
	for (unsigned t = 0; t < SECCOMP_TABLES; t++)
		for (int nr = 0; nr < CALLS; nr++) {
			struct seccomp_data d = {.nr = nr, .arch = AUDIT_ARCH_I386};
			assert_int_equal(run_filter(t, &d), other_calls(t));
			d.arch = AUDIT_ARCH_X86_64;
			d.nr = nr | X32_BIT;
			assert_int_equal(run_filter(t, &d), other_calls(t));
		}
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(seccomp_call_name(SYS_openat), "openat");
	assert_string_equal(seccomp_call_name(SYS_read), "read");
	assert_string_equal(seccomp_call_name(-1), "?");
	assert_string_equal(seccomp_call_name(1000000), "?");
	assert_string_equal(seccomp_table_name(SECCOMP_QEMU), "qemu");
	assert_string_equal(seccomp_table_name(SECCOMP_TABLES), "?");
	int fd;
	assert_int_equal(seccomp_load(SECCOMP_TABLES, &fd), -EINVAL);
	/* A table that reports needs somebody to report to, one that kills nobody. */
	assert_int_equal(seccomp_load(SECCOMP_FS, NULL), -EINVAL);
	assert_int_equal(seccomp_load(SECCOMP_IMAGE, &fd), -EINVAL);
}

/* ---- forbidden calls, in the kernel ---- */

static void do_openat(void)
{
	syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDWR | O_CREAT, 0);
}
static void do_socket(void)
{
	syscall(SYS_socket, AF_UNIX, SOCK_STREAM, 0);
}
static void do_connect(void)
{
	syscall(SYS_connect, 0, NULL, 0);
}
static void do_execve(void)
{
	syscall(SYS_execve, "/bin/true", NULL, NULL);
}
static void do_clone(void)
{
	syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}
static void do_ptrace(void)
{
	syscall(SYS_ptrace, 0, 0, 0, 0);
}
static void do_mount(void)
{
	syscall(SYS_mount, "a", "/", "tmpfs", 0, NULL);
}
static void do_bpf(void)
{
	syscall(SYS_bpf, 0, NULL, 0);
}
static void do_userfaultfd(void)
{
	syscall(SYS_userfaultfd, 0);
}
static void do_uring(void)
{
	/* Disks' threads may, but not so. */
	syscall(SYS_io_uring_enter, 0, 0, 0, IORING_ENTER_SQ_WAKEUP, NULL, 0);
}
static void do_keyctl(void)
{
	syscall(SYS_keyctl, 0, 0, 0, 0, 0);
}
static void do_perf(void)
{
	syscall(SYS_perf_event_open, NULL, 0, 0, 0, 0);
}
static void do_prctl(void)
{
	syscall(SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0);
}
static void do_ioctl(void)
{
	syscall(SYS_ioctl, 2, KVM_CREATE_VM, 0);
}
static void do_kill(void)
{
	syscall(SYS_kill, getpid(), 0);
}
static void do_setuid(void)
{
	syscall(SYS_setuid, 0);
}
static void do_fcntl(void)
{
	syscall(SYS_fcntl, 2, F_SETOWN, 1);
}
static void do_tgkill(void)
{
	syscall(SYS_tgkill, getpid(), getpid(), SIGTERM);
}
static void do_mmap_exec(void)
{
	syscall(SYS_mmap, NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}
static void do_mprotect(void)
{
	syscall(SYS_mprotect, NULL, 0, PROT_READ | PROT_EXEC);
}

static void reported(enum seccomp_table t, void (*act)(void), int nr)
{
	int status;
	int got = seccomp_rig_try(t, act, &status);
	if (seccomp_table_kills(t)) {
		if (status != 128 + SIGSYS)
			fail_msg("%s: call %s: status %d", seccomp_table_name(t),
				 seccomp_call_name(nr), status);
		return;
	}
	if (got != nr)
		fail_msg("%s: call %s: reported was %s (status %d)", seccomp_table_name(t),
			 seccomp_call_name(nr), seccomp_call_name(got), status);
	assert_int_equal(status, 128 + SIGKILL);
}

static void test_forbidden_everywhere(void **state)
{
	static const struct {
		void (*act)(void);
		int nr;
	} calls[] = {
		{do_openat, SYS_openat},
		{do_socket, SYS_socket},
		{do_connect, SYS_connect},
		{do_execve, SYS_execve},
		{do_clone, SYS_clone},
		{do_ptrace, SYS_ptrace},
		{do_mount, SYS_mount},
		{do_bpf, SYS_bpf},
		{do_userfaultfd, SYS_userfaultfd},
		{do_uring, SYS_io_uring_enter},
		{do_keyctl, SYS_keyctl},
		{do_perf, SYS_perf_event_open},
		{do_prctl, SYS_prctl},
		{do_ioctl, SYS_ioctl},
		{do_kill, SYS_kill},
		{do_setuid, SYS_setuid},
		{do_fcntl, SYS_fcntl},
		{do_tgkill, SYS_tgkill},
	};
	(void)state;
	for (unsigned t = 0; t < SECCOMP_TABLES; t++)
		for (unsigned i = 0; i < ARRAY_SIZE(calls); i++)
			reported(t, calls[i].act, calls[i].nr);
}

static void test_ours_make_no_code(void **state)
{
	(void)state;
	for (unsigned t = 0; t < SECCOMP_TABLES; t++)
		if (policies[t]->ours) {
			reported(t, do_mmap_exec, SYS_mmap);
			reported(t, do_mprotect, SYS_mprotect);
		}
}

/* ---- allowed calls that no ordinary run makes ---- */

static void on_signal(int sig)
{
	(void)sig;
}

static void must(bool ok)
{
	if (!ok)
		syscall(SYS_exit_group, 77);
}

static void try_poll(void)
{
	struct pollfd p = {.fd = 2, .events = POLLOUT};
	must(syscall(SYS_poll, &p, 1, 0) >= 0);
}
static void try_mremap(void)
{
	char *p = (char *)syscall(SYS_mmap, NULL, 4096, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must(p != MAP_FAILED);
	must(syscall(SYS_mremap, p, 4096, 8192, MREMAP_MAYMOVE, 0) > 0);
}
static void try_brk(void)
{
	long now = syscall(SYS_brk, 0);
	must(now > 0 && syscall(SYS_brk, now) == now);
}
static void try_munmap(void)
{
	long p = syscall(SYS_mmap, NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0);
	must(p > 0 && syscall(SYS_munmap, p, 4096) == 0);
}
static void try_write(void)
{
	must(syscall(SYS_write, 2, "", 0) == 0);
}
static void try_futex(void)
{
	static int word = 1;
	must(syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, NULL) == -1 && errno == EAGAIN);
	must(syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1) == 0);
	must(syscall(SYS_futex, &word, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 0, NULL, NULL,
		     1) == -1 &&
	     errno == EAGAIN);
}
static void try_clock(void)
{
	struct timespec ts;
	must(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &ts) == 0);
}
static void try_restart(void)
{
	must(syscall(SYS_restart_syscall) == -1 && errno == EINTR);
}
static void try_writev(void)
{
	struct iovec v = {.iov_base = NULL, .iov_len = 0};
	must(syscall(SYS_writev, 2, &v, 1) == 0);
}
static void try_exit(void)
{
	syscall(SYS_exit, 0);
}
static void try_madvise(void)
{
	static char pages[8192] __attribute__((aligned(4096)));
	must(syscall(SYS_madvise, pages, sizeof(pages), MADV_DONTNEED) == 0);
}
static void try_epoll(void)
{
	char ev[16];
	must(syscall(SYS_epoll_wait, -1, ev, 1, 0) == -1 && errno == EBADF);
}
static void try_epoll_ctl(void)
{
	must(syscall(SYS_epoll_ctl, -1, 1, -1, NULL) == -1 && errno == EFAULT);
}
static void try_shutdown(void)
{
	must(syscall(SYS_shutdown, -1, SHUT_WR) == -1 && errno == EBADF);
}
static void try_sys(void)
{
	must(syscall(SYS_getdents64, -1, NULL, 0) == -1 && errno == EBADF);
	must(syscall(SYS_fchdir, -1) == -1 && errno == EBADF);
	must(syscall(SYS_set_mempolicy, 0, NULL, 0) == -1 && errno == ENOSYS);
}
static void try_sigreturn(void)
{
	struct sigaction sa = {.sa_handler = on_signal};
	must(sigaction(SIGABRT, &sa, NULL) == 0);
	raise(SIGABRT);
}
/* As the first process of a PID namespace: the first SIGABRT has no effect. */
static void try_abort(void)
{
	struct sigaction sa = {.sa_handler = SIG_IGN};
	must(sigaction(SIGABRT, &sa, NULL) == 0);
	/* The sanitizer has calls of its own before a function that is known not to return. */
	void (*volatile end)(void) = abort;
	end();
}

static const struct forced {
	const char *call;
	void (*act)(void);
	int status;
} forced[] = {
	{"poll", try_poll, 0},
	{"mremap", try_mremap, 0},
	{"brk", try_brk, 0},
	{"mmap", try_munmap, 0},
	{"munmap", try_munmap, 0},
	{"write", try_write, 0},
	{"futex", try_futex, 0},
	{"clock_gettime", try_clock, 0},
	{"restart_syscall", try_restart, 0},
	{"writev", try_writev, 0},
	{"exit", try_exit, 0},
	{"madvise", try_madvise, 0},
	{"epoll_ctl", try_epoll_ctl, 0},
	{"epoll_wait", try_epoll, 0},
	{"shutdown", try_shutdown, 0},
	{"getdents64", try_sys, 0},
	{"fchdir", try_sys, 0},
	{"set_mempolicy", try_sys, 0},
	{"rt_sigreturn", try_sigreturn, 0},
	{"rt_sigprocmask", try_abort, 128 + SIGABRT},
	{"rt_sigaction", try_abort, 128 + SIGABRT},
	{"gettid", try_abort, 128 + SIGABRT},
	{"getpid", try_abort, 128 + SIGABRT},
	{"tgkill", try_abort, 128 + SIGABRT},
};

static void force(enum seccomp_table t, const struct policy_row *r)
{
	for (unsigned i = 0; i < ARRAY_SIZE(forced); i++) {
		int status;
		if (strcmp(forced[i].call, r->call) != 0)
			continue;
		int nr = seccomp_rig_try(t, forced[i].act, &status);
		if (nr != -1 || status != forced[i].status)
			fail_msg("%s: %s: status %d, reported: %s", seccomp_table_name(t), r->call,
				 status, seccomp_call_name(nr));
		return;
	}
	fail_msg("%s: %s names this test, which does not make the call", seccomp_table_name(t),
		 r->call);
}

static void test_rows_that_only_this_test_needs(void **state)
{
	(void)state;
	for (unsigned t = 0; t < SECCOMP_TABLES; t++)
		for (unsigned i = 0; i < policies[t]->n; i++)
			if (policies[t]->row[i].test &&
			    strcmp(policies[t]->row[i].test, THIS_TEST) == 0)
				force(t, &policies[t]->row[i]);
}

/* ---- rows with an error ---- */

static void try_uring_setup(void)
{
	must(syscall(SYS_io_uring_setup, 1, NULL) == -1 && errno == ENOSYS);
	must(syscall(SYS_clone3, NULL, 0) == -1 && errno == ENOSYS);
	must(syscall(SYS_openat, AT_FDCWD, "/dev/sgx_vepc", O_RDWR | O_CLOEXEC, 0) == -1 &&
	     errno == EACCES);
	must(syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 0, NULL) == -1 && errno == ENOSYS);
}

static void test_qemu_survives_without(void **state)
{
	int status;
	(void)state;
	assert_int_equal(seccomp_rig_try(SECCOMP_QEMU, try_uring_setup, &status), -1);
	assert_int_equal(status, 0);
}

static void test_kick_signal_is_the_tables(void **state)
{
	/* jailer/policy/vmm.c can't ask glibc. */
	(void)state;
	assert_int_equal(SIGRTMIN, 34);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_filters_say_what_the_rows_say),
		cmocka_unit_test(test_no_other_kind_of_call),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_forbidden_everywhere),
		cmocka_unit_test(test_ours_make_no_code),
		cmocka_unit_test(test_rows_that_only_this_test_needs),
		cmocka_unit_test(test_qemu_survives_without),
		cmocka_unit_test(test_kick_signal_is_the_tables),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
