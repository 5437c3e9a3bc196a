// SPDX-License-Identifier: Apache-2.0
// qemu.c - the one table for QEMU's threads: loaded before the program, so its start is in it
//
// QEMU 7.2 as Debian builds it, whose libraries do most of the opening. It makes no socket, starts
// no process, and opens nothing for writing; what it tries and can do without fails.
#include "policy.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#define TMPFILE_BIT (O_TMPFILE & ~O_DIRECTORY)
#define THREAD_FLAGS (CLONE_VM | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD)
#define NAMESPACES                                                                                 \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |             \
	 CLONE_NEWPID | CLONE_NEWNET)

#define ROWS_QEMU_START                                                                            \
	ROW("execveat", "the start itself; another program would be held by the same table",       \
	    IF(IS(4, AT_EMPTY_PATH))),                                                             \
		ROW("arch_prctl", "thread-local storage"), ROW("set_tid_address", "threads"),      \
		ROW("set_robust_list", "threads"), ROW("rseq", "threads"),                         \
		ROW("pread64", "the dynamic loader reads libraries"),                              \
		ROW("access", "looks for its files"),                                              \
		ROW("getcwd", "where its files are, without a /proc"),                             \
		ROW("readlink", "where is the program?"), ROW("newfstatat", "looks at its files"), \
		ROW("fstatfs", "page size of memory"),                                             \
		ROW("statfs", "libselinux looks for its file system"),                             \
		ROW("openat", "libraries, firmware, kernel and init image, to read",               \
		    IF(WITHOUT(2, O_ACCMODE | O_CREAT | O_TRUNC | TMPFILE_BIT))),                  \
		ROW("openat", "looks for SGX memory, which no machine has",                        \
		    IF(IS(2, O_RDWR | O_CLOEXEC)), FAILS(EACCES)),                                 \
		ROW("getdents64", "libraries look at /sys, where they see one",                    \
		    TEST("test_seccomp")),                                                         \
		ROW("fchdir", "returns from that", TEST("test_seccomp")),                          \
		ROW("lseek", "sizes of kernel and init image")

#define ROWS_QEMU_THREADS                                                                          \
	ROW("clone", "threads, never processes",                                                   \
	    IF(BITS(0, THREAD_FLAGS | NAMESPACES, THREAD_FLAGS))),                                 \
		ROW("clone3", "its flags are in memory, unseen; glibc takes clone() then",         \
		    FAILS(ENOSYS)),                                                                \
		ROW("futex", "locks"), ROW("exit", "a thread's end", TEST("test_seccomp")),        \
		ROW("sched_getaffinity", "malloc() counts CPUs"),                                  \
		ROW("gettid", "names of threads"),                                                 \
		ROW("clock_nanosleep", "a CPU that halts for a moment")

#define ROWS_QEMU_MEMORY                                                                           \
	ROW("brk", "malloc()"), ROW("mmap", "memory, libraries, translated code"),                 \
		ROW("mprotect", "libraries, translated code"), ROW("munmap", "memory"),            \
		ROW("madvise", "huge pages, stacks of ended threads"),                             \
		ROW("mremap", "realloc() of large blocks", TEST("test_seccomp")),                  \
		ROW("memfd_create", "the guest's memory"), ROW("ftruncate", "its size"),           \
		ROW("fcntl", "its seals", IF(IS(1, F_ADD_SEALS)))

#define ROWS_QEMU_WORK                                                                             \
	ROW("read", "eventfds, the serial port, files"), ROW("write", "eventfds, messages"),       \
		ROW("writev", "glibc says why it aborts", TEST("test_seccomp")),                   \
		ROW("ppoll", "the event loop"),                                                    \
		ROW("epoll_create1", "its event loop, without io_uring"),                          \
		ROW("epoll_ctl", "the event loop with more than 64 descriptors",                   \
		    TEST("test_seccomp")),                                                         \
		ROW("epoll_wait", "the event loop with more than 64 descriptors",                  \
		    TEST("test_seccomp")),                                                         \
		ROW("close", "files that were read"),                                              \
		ROW("eventfd2", "queues' notifications and interrupts"),                           \
		ROW("signalfd4", "signals for the event loop"),                                    \
		ROW("sendmsg", "to the devices' processes"),                                       \
		ROW("recvmsg", "from the devices' processes"),                                     \
		ROW("getsockopt", "what kind of socket it was given"),                             \
		ROW("getsockname", "what kind of socket it was given"),                            \
		ROW("getpeername", "what kind of socket it was given"),                            \
		ROW("fcntl", "non-blocking sockets", IF(IS(1, F_GETFL))),                          \
		ROW("fcntl", "non-blocking sockets", IF(IS(1, F_SETFL))),                          \
		ROW("getrandom", "seeds"),                                                         \
		ROW("clock_gettime", "where the vDSO can't read the clock", TEST("test_seccomp")), \
		ROW("restart_syscall", "a timed wait that a stop signal interrupted",              \
		    TEST("test_seccomp"))

#define ROWS_QEMU_SIGNALS                                                                          \
	ROW("rt_sigaction", "handlers"), ROW("rt_sigprocmask", "threads and their signals"),       \
		ROW("rt_sigreturn", "handlers", TEST("test_seccomp")),                             \
		ROW("getpid", "abort() and signals name the process", TEST("test_seccomp")),       \
		ROW("tgkill", "abort()", IF(IS(2, SIGABRT)), TEST("test_seccomp")),                \
		ROW("exit_group", "the end")

#define ROWS_QEMU_WITHOUT                                                                          \
	ROW("io_uring_setup", "operations of a ring pass by this table; it polls instead",         \
	    FAILS(ENOSYS)),                                                                        \
		ROW("seccomp", "it asks at its start what a sandbox of its own could use",         \
		    FAILS(ENOSYS)),                                                                \
		ROW("get_mempolicy", "libnuma, unused", FAILS(ENOSYS)),                            \
		ROW("set_mempolicy", "libnuma, where it sees a /sys", FAILS(ENOSYS),               \
		    TEST("test_seccomp")),                                                         \
		ROW("sysinfo", "how much memory the host has", FAILS(ENOSYS)),                     \
		ROW("setsockopt", "sending without a copy, which local sockets can't",             \
		    IF(IS(1, SOL_SOCKET), IS(2, SO_ZEROCOPY)), FAILS(EOPNOTSUPP)),                 \
		ROW("prctl", "early news of broken memory", IF(IS(0, PR_MCE_KILL)),                \
		    FAILS(EINVAL)),                                                                \
		ROW("prctl", "finer timers", IF(IS(0, PR_SET_TIMERSLACK))),                        \
		ROW("prlimit64", "limits, to read", IF(BITS(2, ~0ull, 0)))

static const struct policy_row qemu_rows[] = {
	ROWS_QEMU_START, ROWS_QEMU_THREADS, ROWS_QEMU_MEMORY,
	ROWS_QEMU_WORK,	 ROWS_QEMU_SIGNALS, ROWS_QEMU_WITHOUT,
};

const struct policy policy_qemu = TABLE("qemu", false, qemu_rows);
