// SPDX-License-Identifier: Apache-2.0
// launch.c - opens the machine's resources and hands them to mayfly-jailer
//
// Every descriptor is made here, with the user's rights; the configuration says which process gets
// which one under which number. Numbers in a process: 0-2 stdio, then in the order of give().
#include "base/cleanup.h"
#include "base/io.h"
#include "base/log.h"
#include "cli/engine_choice.h"
#include "cli/machine.h"
#include "cli/paths.h"
#include "engine/tcg.h"
#include "idrange.h"
#include "jail.h"
#include "proto/config_io.h"
#include "proto/limits.h"
#include "statedir.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FIRST_FD 3
/* Less where the hard limit is lower; the vmm knows. */
#define MAX_OPEN_FILES 16384
/* Beside guest memory: QEMU's translated code (256 MiB) and heap, fs's tables (256 MiB), and room
 * for the host's cache of what fs reads. */
#define MEMORY_BESIDES (1ull << 30)
/* 32 CPUs, QEMU's workers (64), the devices. */
#define PIDS_MAX 256
/* What any kernel of today takes, less room for the devices that the vmm adds. */
#define KERNEL_ARGS_MAX 3072

struct proc {
	Mayfly__JailProcess p;
	Mayfly__FdMap map[JAIL_MAX_FDS];
	Mayfly__FdMap *map_ptr[JAIL_MAX_FDS];
	ProtobufCBinaryData argv[TCG_MAX_ARGS];
	ProtobufCBinaryData env[2];
	Mayfly__JailFile file[2];
	Mayfly__JailFile *file_ptr[2];
	char *tree[TCG_MAX_TREES];
	int32_t readable[JAIL_MAX_FDS];
	int32_t writable[JAIL_MAX_FDS];
	char config_arg[16];
	int next;
};

/* Our ends go into the machine; the others stay here until the supervisor has its copies. */
struct launch {
	struct proc proc[MACHINE_PROCESSES];
	struct tcg_args qemu;
	char cmdline[KERNEL_ARGS_MAX];
	int fd[64];
	size_t n_fd;
	int null_fd;
	int jailer_exec;
	int jail_config;
	int owner_far;
	int owner_pidfd;
	int log_far[MACHINE_LOGS];
};

/* Remembers a descriptor to be closed after the launch; passes errors on. */
static int own(struct launch *l, int fd)
{
	if (fd >= 0 && l->n_fd < sizeof(l->fd) / sizeof(l->fd[0]))
		l->fd[l->n_fd++] = fd;
	return fd;
}

static int pair(struct launch *l, int type, int *near, int *far, struct err *e)
{
	int sv[2];
	if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, sv) < 0)
		return err_errno(e, errno, "can't make a socket pair");
	*near = sv[0];
	*far = own(l, sv[1]);
	return 0;
}

/* Gives a descriptor to a process; returns the number it has there. */
static int give_as(struct proc *p, int fd, int as)
{
	size_t i = p->p.n_fd;
	if (i == JAIL_MAX_FDS)
		return -1;
	mayfly__fd_map__init(&p->map[i]);
	p->map[i].from = fd;
	p->map[i].to = as;
	p->map_ptr[i] = &p->map[i];
	p->p.n_fd++;
	return as;
}

static int give(struct proc *p, int fd)
{
	return give_as(p, fd, p->next++);
}

static void proc_word(ProtobufCBinaryData *list, size_t *n, const char *word)
{
	list[*n].data = (uint8_t *)(uintptr_t)word;
	list[*n].len = strlen(word);
	++*n;
}

static int proc_init(struct launch *l, unsigned which, int exec_fd)
{
	struct proc *p = &l->proc[which];
	mayfly__jail_process__init(&p->p);
	p->p.name = (char *)(uintptr_t)machine_process_name(which);
	p->p.exec_fd = exec_fd;
	p->p.fd = p->map_ptr;
	p->p.argv = p->argv;
	p->p.env = p->env;
	p->p.file = p->file_ptr;
	p->p.tree = p->tree;
	p->p.readable = p->readable;
	p->p.writable = p->writable;
	p->next = FIRST_FD;
	give_as(p, l->null_fd, 0);
	give_as(p, l->log_far[which], 1);
	give_as(p, l->log_far[which], 2);
	return 0;
}

/* Our own processes take one argument: where their configuration is. */
static int proc_config(struct launch *l, unsigned which, const char *program,
		       const ProtobufCMessage *msg, struct err *e)
{
	struct proc *p = &l->proc[which];
	int fd = own(l, config_memfd(program, msg));
	if (fd < 0)
		return err_errno(e, -fd, "can't write the configuration of %s", program);
	snprintf(p->config_arg, sizeof(p->config_arg), "%d", give(p, fd));
	proc_word(p->argv, &p->p.n_argv, program);
	proc_word(p->argv, &p->p.n_argv, "--config-fd");
	proc_word(p->argv, &p->p.n_argv, p->config_arg);
	return 0;
}

static int make_logs(struct launch *l, struct machine *m, struct err *e)
{
	for (unsigned i = 0; i < MACHINE_LOGS; i++) {
		int p[2];
		if (pipe2(p, O_CLOEXEC) < 0)
			return err_errno(e, errno, "can't make a pipe");
		m->log[i] = p[0];
		l->log_far[i] = own(l, p[1]);
	}
	l->null_fd = own(l, open("/dev/null", O_RDWR | O_CLOEXEC));
	return l->null_fd < 0 ? err_errno(e, errno, "can't open /dev/null") : 0;
}

static bool jailed(const struct vm_config *c)
{
	return c->jail != JAIL_MODE_NONE;
}

/* A socket between a process and the supervisor; returns the process's number for it. */
static int make_link(struct launch *l, struct proc *p, struct err *e)
{
	int sv[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0)
		return err_errno(e, errno, "can't make a socket pair");
	p->p.link_fd = own(l, sv[0]);
	return give(p, own(l, sv[1]));
}

static int make_fs(struct launch *l, const struct vm_config *c, struct views *v, int far,
		   struct err *e)
{
	Mayfly__FsConfig fc = MAYFLY__FS_CONFIG__INIT;
	int exec_fd = own(l, paths_program("mayfly-fs", e));
	if (exec_fd < 0)
		return exec_fd;
	struct proc *p = &l->proc[MACHINE_FS];
	proc_init(l, MACHINE_FS, exec_fd);
	fc.version = CONFIG_VERSION;
	fc.log_level = log_get_level();
	fc.no_xattr = true;
	fc.socket_fd = give(p, far);
	fc.seccomp = jailed(c);
	fc.link_fd = jailed(c) ? make_link(l, p, e) : -1;
	if (jailed(c) && fc.link_fd < 0)
		return fc.link_fd;
	if (c->jail == JAIL_MODE_FULL)
		fc.proc_fd = p->p.proc_to = p->next++;
	/* In a user namespace the ids of others have no numbers. */
	fc.map_ids = c->jail == JAIL_MODE_FULL && geteuid() != 0;
	fc.uid = geteuid();
	fc.gid = getegid();
	int first = p->next;
	for (size_t i = 0; i < v->n_fd; i++) {
		if (give(p, v->fd[i]) < 0)
			return err_set(e, EMFILE, "too many shared files");
		p->readable[p->p.n_readable++] = v->fd[i];
		if (v->fd_writable[i])
			p->writable[p->p.n_writable++] = v->fd[i];
	}
	views_renumber(v, first);
	fc.root = v->root;
	return proc_config(l, MACHINE_FS, "mayfly-fs", &fc.base, e);
}

/* Descriptors of the vmm and QEMU, our numbers; -1: this machine has none. */
struct wires {
	int vsock[2], fs[2], rng[2], serial[2]; /* tcg; [0] vmm, [1] QEMU */
	int kvm, kernel, init;
	int fs_server;
	int control, report, console;
	int listen; /* number only: mayfly-jailer puts the socket there */
};

#define NO_PAIR                                                                                    \
	{                                                                                          \
		-1, -1                                                                             \
	}
#define NO_WIRES                                                                                   \
	((struct wires){                                                                           \
		.vsock = NO_PAIR,                                                                  \
		.fs = NO_PAIR,                                                                     \
		.rng = NO_PAIR,                                                                    \
		.serial = NO_PAIR,                                                                 \
		.kvm = -1,                                                                         \
		.kernel = -1,                                                                      \
		.init = -1,                                                                        \
		.fs_server = -1,                                                                   \
		.control = -1,                                                                     \
		.report = -1,                                                                      \
		.console = -1,                                                                     \
		.listen = -1,                                                                      \
	})

static int give_if(struct proc *p, int fd)
{
	return fd < 0 ? -1 : give(p, fd);
}

static void vmm_config_kvm(struct launch *l, struct proc *p, const struct vm_config *c,
			   const struct wires *w, Mayfly__VmmConfig *vc)
{
	vc->engine = MAYFLY__VMM_CONFIG__ENGINE__KVM;
	vc->kvm_fd = give(p, w->kvm);
	vc->kernel_fd = give(p, w->kernel);
	vc->initrd_fd = give_if(p, w->init);
	vc->kernel_name = (char *)(uintptr_t)(c->kernel ? c->kernel : "guest/vmlinux");
	vc->initrd_name = (char *)(uintptr_t)(c->init ? c->init : "guest/init.cpio");
	vc->cmdline = l->cmdline;
	vc->memory = c->memory;
	vc->cpus = c->cpus;
	vc->boot_protocol = c->protocol;
	vc->pit = c->boot;
	vc->console_device = c->console;
}

static int make_vmm(struct launch *l, const struct vm_config *c, const struct views *v,
		    const struct wires *w, struct err *e)
{
	Mayfly__VmmConfig vc = MAYFLY__VMM_CONFIG__INIT;
	int exec_fd = own(l, paths_program("mayfly-vmm", e));
	if (exec_fd < 0)
		return exec_fd;
	struct proc *p = &l->proc[MACHINE_VMM];
	proc_init(l, MACHINE_VMM, exec_fd);
	p->p.own_ids = true;
	p->p.dials = true;
	vc.seccomp = jailed(c);
	vc.link_fd = make_link(l, p, e);
	if (vc.link_fd < 0)
		return vc.link_fd;
	vc.version = CONFIG_VERSION;
	vc.log_level = log_get_level();
	vc.report_fd = give(p, w->report);
	vc.vsock_vhost_fd = give_if(p, w->vsock[0]);
	vc.fs_vhost_fd = give_if(p, w->fs[0]);
	vc.rng_vhost_fd = give_if(p, w->rng[0]);
	vc.fs_server_fd = give_if(p, w->fs_server);
	vc.fs_writable = !c->boot && v->writable;
	vc.serial_fd = give_if(p, w->serial[0]);
	vc.console_fd = give_if(p, w->console);
	vc.console_lossless = c->boot;
	vc.control_fd = give_if(p, w->control);
	vc.listen_fd = w->control >= 0 ? give(p, w->listen) : -1;
	vc.guest_cid = PROTO_GUEST_CID;
	vc.max_open_files = MAX_OPEN_FILES;
	vc.kvm_fd = vc.kernel_fd = vc.initrd_fd = -1;
	if (c->engine == ENGINE_KVM)
		vmm_config_kvm(l, p, c, w, &vc);
	return proc_config(l, MACHINE_VMM, "mayfly-vmm", &vc.base, e);
}

static int open_guest(struct launch *l, const struct vm_config *c, struct wires *w, struct err *e)
{
	w->kernel = own(l, paths_guest(c->kernel, "vmlinux", "kernel", e));
	int ret = w->kernel < 0 ? w->kernel : 0;
	/* Our own loader says more of a file that is none. */
	if (ret == 0 && c->engine == ENGINE_TCG)
		ret = paths_check_kernel(w->kernel, c->kernel, e);
	if (ret < 0 || (c->boot && !c->init))
		return ret;
	w->init = own(l, paths_guest(c->init, "init.cpio", c->boot ? "initrd" : "init image", e));
	return w->init < 0 ? w->init : 0;
}

/*
 * In the reduced jail QEMU reopens its files under an id of the machine's own: what is not for
 * everybody has to be copied for it.
 */
static int publish(struct launch *l, int *fd, struct err *e)
{
	struct stat st;
	if (*fd < 0 || fstat(*fd, &st) < 0 || (st.st_mode & S_IROTH))
		return 0;
	int copy = own(l, memfd_create("mayfly-file", MFD_CLOEXEC));
	off_t at = 0;
	while (copy >= 0 && at < st.st_size)
		if (sendfile(copy, *fd, &at, (size_t)(st.st_size - at)) <= 0)
			return err_errno(e, errno, "can't copy a file for the machine");
	if (copy < 0)
		return err_errno(e, errno, "can't make a file in memory");
	*fd = copy;
	return 0;
}

static int publish_guest(struct launch *l, const struct vm_config *c, struct wires *w,
			 struct err *e)
{
	if (c->jail != JAIL_MODE_REDUCED || c->engine != ENGINE_TCG || geteuid() != 0)
		return 0;
	int ret = publish(l, &w->kernel, e);
	return ret < 0 ? ret : publish(l, &w->init, e);
}

/* QEMU opens files by name: one in its root, or one that stands for a descriptor. */
static const char *show_file(struct proc *p, const struct vm_config *c, int fd, const char *name,
			     char path[TCG_PATH_MAX])
{
	Mayfly__JailFile *f = &p->file[p->p.n_file];
	mayfly__jail_file__init(f);
	f->fd = fd;
	f->name = (char *)(uintptr_t)name;
	p->file_ptr[p->p.n_file++] = f;
	if (c->jail == JAIL_MODE_FULL)
		snprintf(path, TCG_PATH_MAX, "/%s", name);
	else
		snprintf(path, TCG_PATH_MAX, "/proc/self/fd/%d", give(p, fd));
	return path;
}

static int make_qemu(struct launch *l, const struct vm_config *c, const struct wires *w,
		     struct err *e)
{
	int exec_fd = own(l, tcg_find_qemu(e));
	if (exec_fd < 0)
		return exec_fd;
	struct proc *p = &l->proc[MACHINE_QEMU];
	proc_init(l, MACHINE_QEMU, exec_fd);
	p->p.own_ids = true;
	p->p.table = (char *)(uintptr_t)TCG_SECCOMP_TABLE;
	p->p.n_tree = tcg_trees(p->tree);
	char kernel[TCG_PATH_MAX];
	char init[TCG_PATH_MAX];
	struct tcg_fds fds = {
		.kernel = show_file(p, c, w->kernel, "kernel", kernel),
		.init = w->init < 0 ? NULL : show_file(p, c, w->init, "init", init),
		.vsock = give_if(p, w->vsock[1]),
		.fs = give_if(p, w->fs[1]),
		.rng = give_if(p, w->rng[1]),
		.serial = give(p, w->serial[1]),
	};
	int ret = tcg_build_args(&l->qemu, c, &fds, l->cmdline);
	if (ret < 0)
		return err_errno(e, -ret, "can't build QEMU's arguments");
	for (size_t i = 0; i < l->qemu.n; i++) {
		log_debug("qemu argument: %s", l->qemu.argv[i]);
		proc_word(p->argv, &p->p.n_argv, l->qemu.argv[i]);
	}
	return 0;
}

static int own_pair(struct launch *l, int sv[2], struct err *e)
{
	int ret = pair(l, SOCK_STREAM, &sv[0], &sv[1], e);
	if (ret == 0)
		own(l, sv[0]);
	return ret;
}

/* Between the vmm and QEMU. */
static int make_engine_wires(struct launch *l, const struct vm_config *c, struct wires *w,
			     struct err *e)
{
	int ret = own_pair(l, w->serial, e);
	if (ret == 0)
		ret = own_pair(l, w->rng, e);
	if (ret == 0 && !c->boot)
		ret = own_pair(l, w->vsock, e);
	if (ret == 0 && !c->boot)
		ret = own_pair(l, w->fs, e);
	return ret;
}

static int make_wires(struct launch *l, struct machine *m, const struct vm_config *c,
		      struct wires *w, int *fs_far, struct err *e)
{
	int ret = c->engine == ENGINE_TCG ? make_engine_wires(l, c, w, e) : 0;
	if (ret == 0 && !c->boot) {
		ret = pair(l, SOCK_SEQPACKET, &w->fs_server, fs_far, e);
		own(l, w->fs_server);
	}
	if (ret == 0 && !c->boot)
		ret = pair(l, SOCK_STREAM, &m->control, &w->control, e);
	if (ret == 0)
		ret = pair(l, SOCK_SEQPACKET, &m->report, &w->report, e);
	if (ret == 0 && c->console)
		ret = pair(l, SOCK_STREAM, &m->console, &w->console, e);
	/* A number that is surely free in the supervisor, too. */
	w->listen = own(l, fcntl(l->null_fd, F_DUPFD_CLOEXEC, FIRST_FD));
	return ret < 0 || w->listen >= 0 ? ret : err_errno(e, errno, "can't reserve a descriptor");
}

static void make_id(struct machine *m)
{
	uint64_t r = 0;
	if (getrandom(&r, sizeof(r), 0) != sizeof(r))
		r = io_now_ns() ^ (uint64_t)getpid();
	snprintf(m->id, sizeof(m->id), "run-%016llx", (unsigned long long)r);
}

static int make_jail_config(struct launch *l, struct machine *m, const struct vm_config *c,
			    const struct wires *w, struct err *e)
{
	Mayfly__JailConfig jc = MAYFLY__JAIL_CONFIG__INIT;
	Mayfly__JailProcess *list[MACHINE_PROCESSES];
	jc.version = CONFIG_VERSION;
	jc.log_level = log_get_level();
	jc.owner_fd = l->owner_far;
	jc.owner_pidfd = l->owner_pidfd;
	jc.machine_id = m->id;
	jc.base_dir_fd = m->base_fd;
	jc.listen_to = w->listen;
	jc.mode = (Mayfly__JailMode)c->jail;
	jc.uid_first = c->uid_first;
	jc.uid_count = c->uid_count;
	jc.memory_max = c->memory + MEMORY_BESIDES;
	jc.pids_max = PIDS_MAX;
	for (unsigned i = 0; i < MACHINE_PROCESSES; i++)
		if (m->has[i])
			list[jc.n_process++] = &l->proc[i].p;
	jc.process = list;
	l->jail_config = own(l, config_memfd("mayfly-jailer", &jc.base));
	if (l->jail_config < 0)
		return err_errno(e, -l->jail_config, "can't write the supervisor's configuration");
	return 0;
}

/* What the supervisor itself needs of a process. */
static void keep_for_jailer(const Mayfly__JailProcess *p)
{
	io_set_cloexec(p->exec_fd, 0);
	if (p->link_fd > 0)
		io_set_cloexec(p->link_fd, 0);
	for (size_t i = 0; i < p->n_file; i++)
		io_set_cloexec(p->file[i]->fd, 0);
}

/* In the child: exactly what the configuration names stays open over the exec. */
static _Noreturn void become_jailer(const struct launch *l, const struct machine *m)
{
	char arg[16];
	const char *argv[] = {"mayfly-jailer", "--config-fd", arg, NULL};
	const char *env[] = {NULL};
	syscall(SYS_close_range, 3, ~0u, CLOSE_RANGE_CLOEXEC);
	for (unsigned i = 0; i < MACHINE_PROCESSES; i++)
		for (size_t k = 0; k < l->proc[i].p.n_fd; k++)
			io_set_cloexec(l->proc[i].map[k].from, 0);
	for (unsigned i = 0; i < MACHINE_PROCESSES; i++)
		if (m->has[i])
			keep_for_jailer(&l->proc[i].p);
	io_set_cloexec(l->owner_far, 0);
	io_set_cloexec(l->owner_pidfd, 0);
	io_set_cloexec(m->base_fd, 0);
	io_set_cloexec(l->jail_config, 0);
	snprintf(arg, sizeof(arg), "%d", l->jail_config);
	dup2(l->null_fd, 0);
	dup2(l->log_far[MACHINE_PROCESSES], 1);
	dup2(l->log_far[MACHINE_PROCESSES], 2);
	syscall(SYS_execveat, l->jailer_exec, "", argv, env, AT_EMPTY_PATH);
	log_error("can't start mayfly-jailer: %s", strerror(errno));
	_exit(127);
}

static int start_jailer(struct launch *l, struct machine *m, struct err *e)
{
	l->jailer_exec = own(l, paths_program("mayfly-jailer", e));
	if (l->jailer_exec < 0)
		return l->jailer_exec;
	m->jailer = fork();
	if (m->jailer == 0)
		become_jailer(l, m);
	if (m->jailer < 0)
		return err_errno(e, errno, "can't start the supervisor");
	m->jailer_pidfd = (int)syscall(SYS_pidfd_open, m->jailer, 0);
	return m->jailer_pidfd < 0 ? err_errno(e, errno, "can't watch the supervisor") : 0;
}

static int make_owner(struct launch *l, struct machine *m, struct err *e)
{
	m->base_fd = statedir_base(e);
	if (m->base_fd < 0)
		return m->base_fd;
	unsigned swept = statedir_sweep(m->base_fd);
	if (swept) {
		idrange_sweep(m->base_fd, NULL);
		log_info("removed %u directories of machines that were killed", swept);
	}
	make_id(m);
	l->owner_pidfd = own(l, (int)syscall(SYS_pidfd_open, getpid(), 0));
	if (l->owner_pidfd < 0)
		return err_errno(e, errno, "can't make a pidfd (Linux 5.3 or later is needed)");
	return pair(l, SOCK_SEQPACKET, &m->owner, &l->owner_far, e);
}

static int launch(struct launch *l, struct machine *m, struct vm_config *c, struct views *v,
		  struct err *e)
{
	struct wires w = NO_WIRES;
	int fs_far = -1;
	int ret = make_owner(l, m, e);
	if (ret == 0)
		ret = engine_choose(c, m->base_fd, &w.kvm, e);
	own(l, w.kvm);
	if (ret == 0 && (ret = engine_kernel_args(l->cmdline, sizeof(l->cmdline), c)) < 0)
		return err_set(e, -ret, "the kernel's command line is too long (see --append)");
	m->has[MACHINE_QEMU] = c->engine == ENGINE_TCG;
	m->has[MACHINE_VMM] = true;
	m->has[MACHINE_FS] = !c->boot;
	if (ret == 0)
		ret = make_logs(l, m, e);
	if (ret == 0)
		ret = make_wires(l, m, c, &w, &fs_far, e);
	if (ret == 0)
		ret = open_guest(l, c, &w, e);
	if (ret == 0)
		ret = publish_guest(l, c, &w, e);
	if (ret == 0 && m->has[MACHINE_QEMU])
		ret = make_qemu(l, c, &w, e);
	if (ret == 0)
		ret = make_vmm(l, c, v, &w, e);
	if (ret == 0 && m->has[MACHINE_FS])
		ret = make_fs(l, c, v, fs_far, e);
	if (ret == 0)
		ret = make_jail_config(l, m, c, &w, e);
	return ret < 0 ? ret : start_jailer(l, m, e);
}

int machine_launch(struct machine *m, struct vm_config *c, struct views *v, struct err *e)
{
	static struct launch l;
	*m = MACHINE_NONE;
	memset(&l, 0, sizeof(l));
	int ret = launch(&l, m, c, v, e);
	for (size_t i = 0; i < l.n_fd; i++)
		close_fd(&l.fd[i]);
	tcg_free_args(&l.qemu);
	return ret;
}
