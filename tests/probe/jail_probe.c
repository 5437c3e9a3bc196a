// SPDX-License-Identifier: Apache-2.0
// jail_probe.c - stands where a machine's process would, and tries one thing that it must not do
//
// Started as mayfly-vmm, mayfly-fs or QEMU, with their descriptions; or by hand, with the attempt
// as its only argument, to see that it works without a jail. Which attempt is written into a copy
// of this program: "TABLE/ATTEMPT", where TABLE is the table of system calls that the attempt is
// made under ("none": before any is loaded). Says "probe: ATTEMPT: ok" or "probe: ATTEMPT: ERRNO".
#include "jailer/seccomp.h"
#include "proto/config_io.h"
#include "proto/jail_link.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/bpf.h>
#include <linux/keyctl.h>
#include <linux/perf_event.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WAIT_MS 5000

/* Patched by the script that uses this, byte for byte. */
static const volatile char order[] = "@ATTEMPT@:..............................";

static int done(long ret)
{
	return ret < 0 ? -errno : 0;
}

static int open_file(void)
{
	return done(open("/etc/passwd", O_RDONLY));
}

static int open_dev(void)
{
	return done(open("/dev/null", O_RDWR));
}

static int open_proc(void)
{
	return done(open("/proc/1/status", O_RDONLY));
}

static int walk_up(void)
{
	return done(open("../../../../../../../../home", O_RDONLY));
}

/* From every descriptor that is a directory, upwards and out. */
static int escape_fds(void)
{
	int best = -ENOTDIR;
	for (int fd = 3; fd < 400; fd++) {
		static const char *const up[] = {"../../../../../../../../etc",
						 "../../../../../../../../proc/version", "../.."};
		struct stat st;
		if (fstat(fd, &st) < 0 || !S_ISDIR(st.st_mode))
			continue;
		for (unsigned i = 0; i < 3; i++) {
			int got = openat(fd, up[i], O_RDONLY);
			if (got >= 0) {
				dprintf(2, "probe: through descriptor %d: %s\n", fd, up[i]);
				return 0;
			}
			best = -errno;
		}
	}
	return best;
}

/* 0 if the root directory has any entry or can be written. */
static int list_root(void)
{
	if (mkdir("/mayfly-probe", 0755) == 0) {
		rmdir("/mayfly-probe");
		return 0;
	}
	int ret = -errno;
	DIR *d = opendir("/");
	const struct dirent *de;
	while (d && (de = readdir(d)))
		if (de->d_name[0] != '.')
			return 0;
	return d ? -ENOENT : ret;
}

/* Anybody but ourselves and our threads, by number. */
static int see_process(void)
{
	for (pid_t p = 1; p < 70000; p++)
		if (kill(p, 0) == 0 && syscall(SYS_tgkill, getpid(), p, 0) < 0)
			return 0;
	return -ESRCH;
}

/* Somebody else: the parent, or a number that nobody has where there is none to be seen. */
static pid_t other(void)
{
	return getppid() > 0 ? getppid() : 4000;
}

static int signal_all(void)
{
	return done(kill(-1, 0));
}

static int ptrace_parent(void)
{
	return done(ptrace(PTRACE_SEIZE, other(), 0, 0));
}

static int read_memory(void)
{
	char c;
	struct iovec iov = {&c, 1};
	int ret = done(process_vm_readv(other(), &iov, 1, &iov, 1, 0));
	/* The address is ours: but we were let look. */
	return ret == -EFAULT ? 0 : ret;
}

static int connect_to(int family, const void *addr, socklen_t len)
{
	int fd = socket(family, SOCK_STREAM, 0);
	if (fd < 0)
		return -errno;
	int ret = done(connect(fd, addr, len));
	/* Nobody listens there: but somebody was asked. */
	if (ret == -ECONNREFUSED)
		ret = 0;
	close(fd);
	return ret;
}

static int socket_inet(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(9)};
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return connect_to(AF_INET, &a, sizeof(a));
}

static int socket_unix(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "/run/probe.sock"};
	int ret = connect_to(AF_UNIX, &a, sizeof(a));
	return ret == -ENOENT ? -ENOENT : ret;
}

static int socket_netlink(void)
{
	return done(socket(AF_NETLINK, SOCK_RAW, 0));
}

static int do_mount(void)
{
	return done(mount("none", "/", "tmpfs", 0, NULL));
}

static int do_umount(void)
{
	return done(umount2("/", MNT_DETACH));
}

static int do_fsopen(void)
{
	return done(fsopen("tmpfs", 0));
}

static int do_chroot(void)
{
	return done(chroot("/"));
}

static int do_mknod(void)
{
	int ret = done(mknod("/mayfly-probe", S_IFCHR | 0600, 0x103));
	if (ret == 0)
		unlink("/mayfly-probe");
	return ret;
}

static int do_unshare(void)
{
	return done(unshare(CLONE_NEWUSER));
}

static int do_setns(void)
{
	int fd = (int)syscall(SYS_pidfd_open, other(), 0);
	return fd < 0 ? -errno : done(setns(fd, CLONE_NEWNET));
}

static int do_fork(void)
{
	pid_t p = (pid_t)syscall(SYS_fork);
	if (p == 0)
		_exit(0);
	return p < 0 ? -errno : (waitpid(p, NULL, 0), 0);
}

static int do_exec(void)
{
	static char *const argv[] = {(char *)"sh", (char *)"-c", (char *)"exit 0", NULL};
	return done(execv("/bin/sh", argv));
}

static int do_bpf(void)
{
	union bpf_attr a = {.map_type = BPF_MAP_TYPE_ARRAY};
	a.key_size = a.value_size = 4;
	a.max_entries = 1;
	return done(syscall(SYS_bpf, BPF_MAP_CREATE, &a, sizeof(a)));
}

static int do_userfaultfd(void)
{
	return done(syscall(SYS_userfaultfd, 1 /* UFFD_USER_MODE_ONLY */));
}

static int do_io_uring(void)
{
	char params[512] = {0};
	return done(syscall(SYS_io_uring_setup, 4, params));
}

static int do_keyctl(void)
{
	return done(syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_PROCESS_KEYRING, 1));
}

static int do_perf(void)
{
	struct perf_event_attr a = {.type = PERF_TYPE_SOFTWARE, .size = sizeof(a)};
	a.exclude_kernel = 1;
	return done(syscall(SYS_perf_event_open, &a, 0, -1, -1, 0));
}

static int do_module(void)
{
	return done(syscall(SYS_init_module, "", 0, ""));
}

static int do_kexec(void)
{
	return done(syscall(SYS_kexec_load, 0, 0, NULL, 0));
}

static int do_reboot(void)
{
	return done(syscall(SYS_reboot, 0, 0, 0, NULL));
}

static int do_handle(void)
{
	struct file_handle h = {.handle_bytes = 0};
	return done(open_by_handle_at(AT_FDCWD, &h, O_RDONLY));
}

static int do_setuid(void)
{
	return geteuid() == 0 ? done(setgroups(0, NULL)) : done(setuid(0));
}

static int do_clock(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	return done(clock_settime(CLOCK_REALTIME, &ts));
}

static int do_hostname(void)
{
	return done(sethostname("x", 1));
}

static int do_tiocsti(void)
{
	return done(ioctl(0, TIOCSTI, "x"));
}

static int do_mmap_exec(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return p == MAP_FAILED ? -errno : 0;
}

static int do_mprotect_exec(void)
{
	static char page[8192];
	char *p = (char *)(((uintptr_t)page + 4095) & ~(uintptr_t)4095);
	return done(mprotect(p, 4096, PROT_READ | PROT_EXEC));
}

static int do_shm(void)
{
	int id = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
	int ret = done(id);
	if (id >= 0)
		shmctl(id, IPC_RMID, NULL);
	return ret;
}

static int do_memfd(void)
{
	return done(memfd_create("x", 0));
}

static int do_rlimit(void)
{
	struct rlimit rl = {1 << 20, 1 << 20};
	return done(setrlimit(RLIMIT_CORE, &rl));
}

static int do_prctl(void)
{
	return done(prctl(PR_SET_DUMPABLE, 1));
}

static int do_x32(void)
{
	return done(syscall(0x40000000 | SYS_getpid));
}

static int do_i386(void)
{
	long ret = 20; /* getpid */
	__asm__ volatile("int $0x80" : "+a"(ret) : : "memory", "r8", "r9", "r10", "r11");
	if (ret < 0)
		errno = (int)-ret;
	return done(ret < 0 ? -1 : 0);
}

static int do_sched(void)
{
	struct sched_param sp = {.sched_priority = 1};
	return done(sched_setscheduler(0, SCHED_FIFO, &sp));
}

static const struct attempt {
	const char *name;
	int (*run)(void);
} attempts[] = {
	{"open-file", open_file},
	{"open-dev", open_dev},
	{"open-proc", open_proc},
	{"walk-up", walk_up},
	{"escape-fds", escape_fds},
	{"list-root", list_root},
	{"see-process", see_process},
	{"signal-all", signal_all},
	{"ptrace", ptrace_parent},
	{"read-memory", read_memory},
	{"socket-inet", socket_inet},
	{"socket-unix", socket_unix},
	{"socket-netlink", socket_netlink},
	{"mount", do_mount},
	{"umount", do_umount},
	{"fsopen", do_fsopen},
	{"chroot", do_chroot},
	{"mknod", do_mknod},

	{"setns", do_setns},
	{"fork", do_fork},
	{"exec", do_exec},
	{"bpf", do_bpf},
	{"userfaultfd", do_userfaultfd},
	{"io-uring", do_io_uring},
	{"keyctl", do_keyctl},
	{"perf", do_perf},
	{"module", do_module},
	{"kexec", do_kexec},
	{"reboot", do_reboot},
	{"handle", do_handle},
	{"setuid", do_setuid},
	{"clock", do_clock},
	{"hostname", do_hostname},
	{"tiocsti", do_tiocsti},
	{"mmap-exec", do_mmap_exec},
	{"mprotect-exec", do_mprotect_exec},
	{"shm", do_shm},
	{"memfd", do_memfd},
	{"rlimit", do_rlimit},
	{"prctl", do_prctl},
	{"x32", do_x32},
	{"i386", do_i386},
	{"sched", do_sched},
	/* Last: one that works gives rights in its new namespace. */
	{"unshare", do_unshare},
};

static int find(const char *name)
{
	for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++)
		if (strcmp(attempts[i].name, name) == 0)
			return (int)i;
	return -1;
}

static void report(const char *name, int ret)
{
	dprintf(2, "probe: %s: %s\n", name, ret == 0 ? "ok" : strerrorname_np(-ret));
}

/* The link to the supervisor, where the description has one. */
static int link_of(int argc, char **argv)
{
	struct err e = {0};
	ProtobufCMessage *msg = NULL;
	int fd = config_fd_arg(argc, argv);
	bool fs = strstr(argv[0], "mayfly-fs") != NULL;
	if (fd < 0 ||
	    config_load(fd, fs ? &mayfly__fs_config__descriptor : &mayfly__vmm_config__descriptor,
			&msg, &e) < 0)
		return -1;
	return fs ? ((const Mayfly__FsConfig *)msg)->link_fd
		  : ((const Mayfly__VmmConfig *)msg)->link_fd;
}

static struct {
	int table;
	int attempt;
	int link;
	int error;	     /* of loading */
	volatile int result; /* 1: none yet */
} t;

/* A thread of its own: its table may not even let it say how it went. */
static void *confined(void *arg)
{
	int listener = -1;
	(void)arg;
	if (t.table >= 0) {
		int ret = seccomp_load((enum seccomp_table)t.table, &listener);
		t.error = ret;
		if (ret < 0) {
			t.result = 0;
			return NULL;
		}
	}
	/* The main thread hands it over: this one may not. */
	__atomic_store_n(&t.link, listener, __ATOMIC_SEQ_CST);
	t.result = attempts[t.attempt].run();
	for (;;)
		if (t.table < 0)
			return NULL;
}

static int table_of(const char *name)
{
	for (int i = 0; i < SECCOMP_TABLES; i++)
		if (strcmp(seccomp_table_name((enum seccomp_table)i), name) == 0)
			return i;
	return -1;
}

static int run_confined(const char *name, int link)
{
	pthread_t th;
	t.result = 1;
	t.link = -2;
	if (pthread_create(&th, NULL, confined, NULL) != 0)
		return 1;
	bool sent = false;
	for (int ms = 0; ms < WAIT_MS && t.result == 1; ms++) {
		int listener = __atomic_load_n(&t.link, __ATOMIC_SEQ_CST);
		if (!sent && listener >= 0)
			sent = jail_link_listener(link, listener, "probe") == 0;
		poll(NULL, 0, 1);
	}
	if (t.error < 0)
		report("load", t.error);
	else
		report(name, t.result);
	_exit(0);
}

int main(int argc, char **argv)
{
	char buf[sizeof(order)];
	for (size_t i = 0; i < sizeof(order); i++)
		buf[i] = order[i];
	if (argc == 2 && buf[9] == ':') {
		int a = find(argv[1]);
		report(argv[1], a < 0 ? -ENOSYS : attempts[a].run());
		return 0;
	}
	char *slash = strchr(buf, '/');
	char *space = strchr(buf, ' ');
	if (!slash || !space)
		return 99;
	*slash = *space = '\0';
	t.table = table_of(buf);
	if (strcmp(slash + 1, "all") == 0) {
		for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++)
			report(attempts[i].name, attempts[i].run());
		return 0;
	}
	t.attempt = find(slash + 1);
	if (t.attempt < 0)
		return 99;
	if (strstr(argv[0], "qemu")) {
		/* Its table is loaded already. */
		report(slash + 1, attempts[t.attempt].run());
		return 0;
	}
	return run_confined(slash + 1, link_of(argc, argv));
}
