// SPDX-License-Identifier: Apache-2.0
// vmm.c - the tables of mayfly-vmm's threads
#include "policy.h"

#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/kvm.h>

/* SIGRTMIN as glibc has it, vcpu.c's VCPU_SIGNAL. */
#define KICK_SIGNAL 34

#define ROWS_VSOCK                                                                                 \
	ROW("accept4", "the host's programs connect to the machine's socket"),                     \
		ROW("recvfrom", "typed text; the first line of a host program's connection"),      \
		ROW("sendto", "to the host's programs, console text"),                             \
		ROW("readv", "from the host's programs into guest memory"),                        \
		ROW("shutdown", "half-closed connections", TEST("test_seccomp"))

#define ROWS_MAIN                                                                                  \
	ROW("exit_group", "the end"),                                                              \
		ROW("sendmsg", "the report, requests to the supervisor, to the host's programs"),  \
		ROW("recvmsg", "mayfly's requests, the supervisor's answers"),                     \
		ROW("getrandom", "the entropy device")

#define ROWS_NONBLOCK                                                                              \
	ROW("fcntl", "non-blocking descriptors", IF(IS(1, F_GETFL))),                              \
		ROW("fcntl", "non-blocking descriptors", IF(IS(1, F_SETFL)))

/* vhost-user: the engine hands its memory over, and eventfds. */
#define ROWS_VHOST                                                                                 \
	ROW("fcntl", "is the guest's memory sealed?", IF(IS(1, F_GET_SEALS))),                     \
		ROW("fstatfs", "is the guest's memory of huge pages?"),                            \
		ROW("mmap", "the guest's memory",                                                  \
		    IF(IS(2, PROT_READ | PROT_WRITE),                                              \
		       BITS(3, MAP_TYPE | MAP_ANONYMOUS, MAP_SHARED))),                            \
		ROW("madvise", "guest memory has no place in a core file",                         \
		    IF(IS(2, MADV_DONTDUMP)))

#define ROW_FSTAT(reason) ROW("newfstatat", reason, IF(BITS(3, AT_EMPTY_PATH, AT_EMPTY_PATH)))

#define ROWS_FSDEV                                                                                 \
	ROW("recvmsg", "answers of the file server, with open files"),                             \
		ROW("sendmsg", "requests to the file server"),                                     \
		ROW("preadv", "file contents into guest memory"), ROW("lseek", "holes in files")

/* Only in machines with a writable share. */
#define ROWS_FSDEV_RW                                                                              \
	ROW("pwritev", "file contents from guest memory"), ROW("fsync", "the guest's fsync()"),    \
		ROW("fdatasync", "the guest's fdatasync()"),                                       \
		ROW("fallocate", "the guest's fallocate()"),                                       \
		ROW("ftruncate", "the guest's ftruncate()"),                                       \
		ROW("copy_file_range", "copies from one of the guest's files to another")

static const struct policy_row kvm_main[] = {
	ROWS_THREAD,
	ROWS_LOOP,
	ROWS_VSOCK,
	ROWS_MAIN,
	ROWS_NONBLOCK,
	ROW("tgkill", "takes a CPU out of the guest", IF(IS(2, KICK_SIGNAL))),
	ROW("ioctl", "how many CPUs were ever started", IF(IS(1, KVM_GET_MP_STATE))),
};

static const struct policy_row tcg_main[] = {
	ROWS_THREAD,
	ROWS_LOOP,
	ROWS_VSOCK,
	ROWS_MAIN,
	ROWS_VHOST,
	ROWS_NONBLOCK,
	ROW_FSTAT("the size of the guest's memory"),
};

static const struct policy_row kvm_vcpu[] = {
	ROWS_THREAD,
	ROWS_THREAD_END,
	ROW("ioctl", "runs the guest", IF(IS(1, KVM_RUN))),
	ROW("ioctl", "where the CPU stands, for messages", IF(IS(1, KVM_GET_REGS))),
	ROW("tgkill", "takes the other CPUs out of the guest", IF(IS(2, KICK_SIGNAL))),
	ROW("rt_sigreturn", "the signal that takes a CPU out of the guest"),
};

#define ROWS_FSDEV_KVM                                                                             \
	ROWS_THREAD, ROWS_THREAD_END, ROWS_LOOP, ROWS_FSDEV,                                       \
		ROW("fcntl", "is a file that the server sent open as asked for?",                  \
		    IF(IS(1, F_GETFL))),                                                           \
		ROW_FSTAT("is a file that the server sent a regular one?")

#define ROWS_FSDEV_TCG                                                                             \
	ROWS_THREAD, ROWS_THREAD_END, ROWS_LOOP, ROWS_FSDEV, ROWS_VHOST, ROWS_NONBLOCK,            \
		ROW_FSTAT("of a file that the server sent, and the size of the guest's memory")

static const struct policy_row kvm_fsdev[] = {ROWS_FSDEV_KVM};
static const struct policy_row kvm_fsdev_rw[] = {ROWS_FSDEV_KVM, ROWS_FSDEV_RW};
static const struct policy_row tcg_fsdev[] = {ROWS_FSDEV_TCG};
static const struct policy_row tcg_fsdev_rw[] = {ROWS_FSDEV_TCG, ROWS_FSDEV_RW};

/* The rings are made, limited to their one file and four operations, before any table is loaded;
 * io_uring_setup is in no table. */
#define ROWS_BLK                                                                                   \
	ROW("epoll_wait", "the event loop"),                                                       \
		ROW("epoll_ctl", "a connection ends", TEST("test_seccomp")),                       \
		ROW("read", "eventfds"),                                                           \
		ROW("io_uring_enter", "reads, writes and flushes of the disk's file",              \
		    IF(WITHOUT(3, ~IORING_ENTER_GETEVENTS)))

static const struct policy_row kvm_blk[] = {
	ROWS_THREAD,
	ROWS_THREAD_END,
	ROWS_BLK,
};

static const struct policy_row tcg_blk[] = {
	ROWS_THREAD,
	ROWS_THREAD_END,
	ROWS_BLK,
	ROW("recvmsg", "vhost-user messages"),
	ROW("sendmsg", "their answers"),
	ROW("close", "what a message brought"),
	ROWS_VHOST,
	ROWS_NONBLOCK,
	ROW_FSTAT("the size of the guest's memory"),
};

static const struct policy_row blk_io[] = {
	ROWS_THREAD,
	ROWS_THREAD_END,
	ROW("preadv", "reads of the disk's file"),
	ROW("pwritev", "writes"),
	ROW("fdatasync", "flushes"),
	ROW("fallocate", "discards and zeros, as holes"),
};

const struct policy policy_vmm_kvm = TABLE("vmm-kvm", true, kvm_main);
const struct policy policy_vmm_tcg = TABLE("vmm-tcg", true, tcg_main);
const struct policy policy_vcpu_kvm = TABLE("vcpu-kvm", true, kvm_vcpu);
const struct policy policy_blk_kvm = TABLE("blk-kvm", true, kvm_blk);
const struct policy policy_blk_tcg = TABLE("blk-tcg", true, tcg_blk);
const struct policy policy_blk_io = TABLE("blk-io", true, blk_io);
const struct policy policy_fsdev_kvm = TABLE("fsdev-kvm", true, kvm_fsdev);
const struct policy policy_fsdev_tcg = TABLE("fsdev-tcg", true, tcg_fsdev);
const struct policy policy_fsdev_kvm_rw = TABLE("fsdev-kvm-rw", true, kvm_fsdev_rw);
const struct policy policy_fsdev_tcg_rw = TABLE("fsdev-tcg-rw", true, tcg_fsdev_rw);
