// SPDX-License-Identifier: Apache-2.0
// policy.h - how a table of system calls is written down
//
// A call that no row allows stops its thread and is reported to the supervisor, which ends the
// machine; in a process that has no supervisor it is the end of that process. seccomp_gen compiles
// the tables when the program is built, and refuses one that breaks the rules in its check_row(): a
// reason in each row, ioctl by request, no PROT_EXEC, ...
#ifndef MAYFLY_JAILER_POLICY_H
#define MAYFLY_JAILER_POLICY_H

#include "jailer/seccomp_table.h"

#include <linux/futex.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>

#define POLICY_CMP_MAX 3

/* One condition on an argument: (argument & mask) is value. */
struct policy_cmp {
	bool used;
	uint8_t arg;
	uint64_t mask, value;
};

struct policy_row {
	const char *call;
	const char *reason;
	const char *test;		       /* makes the call where no ordinary run does */
	struct policy_cmp cmp[POLICY_CMP_MAX]; /* all of them */
	int error;			       /* 0: allowed; else the call fails with it */
};

struct policy {
	const char *name;
	bool ours;  /* a process of our own: stricter rules */
	bool kills; /* another call kills the process; else it is reported */
	const struct policy_row *row;
	unsigned n;
};

extern const struct policy *const policies[SECCOMP_TABLES];

/* vmm.c, fs.c, qemu.c, image.c */
extern const struct policy policy_vmm_kvm, policy_vmm_tcg, policy_vcpu_kvm, policy_fsdev_kvm,
	policy_fsdev_tcg, policy_fsdev_kvm_rw, policy_fsdev_tcg_rw, policy_blk_kvm, policy_blk_tcg,
	policy_blk_io, policy_fs, policy_fs_rw, policy_qemu, policy_image, policy_image_dir;

#define ROW(call_, reason_, ...)                                                                   \
	{                                                                                          \
		.call = (call_), .reason = (reason_), __VA_ARGS__                                  \
	}
#define IF(...) .cmp = {__VA_ARGS__}
#define FAILS(errno_) .error = (errno_)
#define TEST(name_) .test = (name_)
/* Of an int argument the kernel ignores the upper half, so a filter must as well. */
#define IS(arg_, value_)                                                                           \
	{                                                                                          \
		true, (arg_), 0xffffffff, (uint32_t)(value_)                                       \
	}
#define BITS(arg_, mask_, value_)                                                                  \
	{                                                                                          \
		true, (arg_), (mask_), (value_)                                                    \
	}
#define WITHOUT(arg_, mask_) BITS(arg_, mask_, 0)

#define TABLE(name_, ours_, rows_)                                                                 \
	{                                                                                          \
		.name = (name_), .ours = (ours_), .row = (rows_),                                  \
		.n = sizeof(rows_) / sizeof((rows_)[0])                                            \
	}

#define TABLE_KILLS(name_, rows_)                                                                  \
	{                                                                                          \
		.name = (name_), .ours = true, .kills = true, .row = (rows_),                      \
		.n = sizeof(rows_) / sizeof((rows_)[0])                                            \
	}

/* The operations of a futex that glibc's locks, conditions and joins use; no requeue, no PI. */
#define FUTEX_OPS 0x7f

/*
 * glibc's abort(), so that the log and the verdict have its cause. The first process of a PID
 * namespace survives its own SIGABRT; then the handler is reset, and at last there is a bad
 * instruction.
 */
#define ROWS_ABORT                                                                                 \
	ROW("writev", "glibc says why it aborts", TEST("test_seccomp")),                           \
		ROW("rt_sigprocmask", "abort(), pthread_kill() and a thread's end block signals",  \
		    TEST("test_seccomp")),                                                         \
		ROW("rt_sigaction", "abort()", IF(IS(0, SIGABRT)), TEST("test_seccomp")),          \
		ROW("gettid", "abort() signals its own thread", TEST("test_seccomp")),             \
		ROW("getpid", "abort() and pthread_kill() name the process",                       \
		    TEST("test_seccomp")),                                                         \
		ROW("tgkill", "abort()", IF(IS(2, SIGABRT)), TEST("test_seccomp"))

#define ROWS_LOG                                                                                   \
	ROW("write", "log lines; eventfds", TEST("test_seccomp")),                                 \
		ROW("poll", "log lines wait for room, but not for long", TEST("test_seccomp"))

/* One arena, so no other call is made for memory. Which thread makes them is chance. */
#define ROWS_MALLOC                                                                                \
	ROW("brk", "malloc() and free()", TEST("test_seccomp")),                                   \
		ROW("mmap", "malloc() of large blocks",                                            \
		    IF(WITHOUT(2, PROT_EXEC), BITS(3, MAP_ANONYMOUS, MAP_ANONYMOUS)),              \
		    TEST("test_seccomp")),                                                         \
		ROW("munmap", "free() of large blocks, stacks of joined threads",                  \
		    TEST("test_seccomp")),                                                         \
		ROW("mremap", "realloc() of large blocks", TEST("test_seccomp"))

#define ROWS_TIME                                                                                  \
	ROW("clock_gettime", "where the vDSO can't read the clock", TEST("test_seccomp")),         \
		ROW("restart_syscall", "a timed wait that a stop signal interrupted",              \
		    TEST("test_seccomp"))

/* Which of them a lock needs is chance as well. */
#define ROWS_LOCK                                                                                  \
	ROW("futex", "locks, conditions", IF(BITS(1, FUTEX_OPS, FUTEX_WAIT)),                      \
	    TEST("test_seccomp")),                                                                 \
		ROW("futex", "locks, conditions", IF(BITS(1, FUTEX_OPS, FUTEX_WAKE)),              \
		    TEST("test_seccomp")),                                                         \
		ROW("futex", "conditions with a deadline, joins",                                  \
		    IF(BITS(1, FUTEX_OPS, FUTEX_WAIT_BITSET)), TEST("test_seccomp"))

/* What every thread of ours may do; each table adds its own. */
#define ROWS_PROCESS ROWS_LOG, ROWS_MALLOC, ROWS_TIME, ROWS_ABORT
#define ROWS_THREAD ROWS_LOCK, ROWS_PROCESS
#define ROWS_THREAD_END                                                                            \
	ROW("madvise", "a thread's end gives its stack back", IF(IS(2, MADV_DONTNEED)),            \
	    TEST("test_seccomp")),                                                                 \
		ROW("exit", "a thread's end", TEST("test_seccomp"))

#define ROWS_LOOP                                                                                  \
	ROW("epoll_wait", "the event loop"),                                                       \
		ROW("epoll_ctl", "the event loop; for some threads only when a socket is full",    \
		    TEST("test_seccomp")),                                                         \
		ROW("read", "eventfds, timers, streams"),                                          \
		ROW("timerfd_settime", "the devices' timers"),                                     \
		ROW("close", "what a connection, a file or a message brought")

#endif
