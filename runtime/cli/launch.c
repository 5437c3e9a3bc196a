// SPDX-License-Identifier: Apache-2.0
// launch.c - opens the machine's resources and hands them to mayfly-jailer
//
// Every descriptor is made here, with the user's rights; the configuration says which process gets
// which one under which number. Numbers in a process: 0-2 stdio, then in the order of
// launch_give().
#include "cli/launch.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "base/log.h"
#include "cli/engine_choice.h"
#include "cli/paths.h"
#include "idrange.h"
#include "proto/config_io.h"
#include "proto/limits.h"
#include "statedir.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Less where the hard limit is lower; the vmm knows. */
#define MAX_OPEN_FILES 16384
/* Beside guest memory: QEMU's translated code (256 MiB) and heap, fs's tables (256 MiB), and room
 * for the host's cache of what fs reads. */
#define MEMORY_BESIDES (1ull << 30)
/* 32 CPUs, QEMU's workers (64), the devices. */
#define PIDS_MAX 256

static int make_logs(struct launch *l, struct machine *m, struct err *e)
{
	for (unsigned i = 0; i < MACHINE_LOGS; i++) {
		int p[2];
		if (pipe2(p, O_CLOEXEC) < 0)
			return err_errno(e, errno, "can't make a pipe");
		m->log[i] = p[0];
		l->log_far[i] = launch_own(l, p[1]);
	}
	l->null_fd = launch_own(l, open("/dev/null", O_RDWR | O_CLOEXEC));
	return l->null_fd < 0 ? err_errno(e, errno, "can't open /dev/null") : 0;
}

static void fill_hides(const struct hides *hs, Mayfly__FsHide *hide, Mayfly__FsHide **ptr)
{
	for (size_t i = 0; i < hs->n; i++) {
		const struct hide *h = &hs->row[i];
		mayfly__fs_hide__init(&hide[i]);
		hide[i].name = (char *)(uintptr_t)h->name;
		hide[i].dev = h->dev;
		hide[i].ino = h->ino;
		hide[i].dir_dev = h->dir_dev;
		hide[i].dir_ino = h->dir_ino;
		ptr[i] = &hide[i];
	}
}

static int make_fs(struct launch *l, const struct vm_config *c, struct views *v, int far,
		   struct err *e)
{
	Mayfly__FsConfig fc = MAYFLY__FS_CONFIG__INIT;
	int exec_fd = launch_own(l, paths_program("mayfly-fs", e));
	if (exec_fd < 0)
		return exec_fd;
	struct proc *p = &l->proc[MACHINE_FS];
	launch_proc_init(l, MACHINE_FS, exec_fd);
	fc.version = CONFIG_VERSION;
	fc.log_level = log_get_level();
	fc.no_xattr = true;
	fc.socket_fd = launch_give(p, far);
	fc.seccomp = launch_jailed(c);
	fc.link_fd = launch_jailed(c) ? launch_link(l, p, e) : -1;
	if (launch_jailed(c) && fc.link_fd < 0)
		return fc.link_fd;
	if (c->jail == JAIL_MODE_FULL)
		fc.proc_fd = p->p.proc_to = p->next++;
	/* In a user namespace the ids of others have no numbers. */
	fc.map_ids = c->jail == JAIL_MODE_FULL && geteuid() != 0;
	fc.uid = geteuid();
	fc.gid = getegid();
	int first = p->next;
	for (size_t i = 0; i < v->n_fd; i++) {
		if (launch_give(p, v->fd[i]) < 0)
			return err_set(e, EMFILE, "too many shared files");
		p->readable[p->p.n_readable++] = v->fd[i];
		if (v->fd_writable[i])
			p->writable[p->p.n_writable++] = v->fd[i];
	}
	views_renumber(v, first);
	fc.root = v->root;
	Mayfly__FsHide hide[HIDES_MAX];
	Mayfly__FsHide *hide_ptr[HIDES_MAX];
	fc.hide = hide_ptr;
	fc.n_hide = v->hides.n;
	fill_hides(&v->hides, hide, hide_ptr);
	return launch_proc_config(l, MACHINE_FS, "mayfly-fs", &fc.base, e);
}

static void vmm_config_kvm(struct launch *l, struct proc *p, const struct vm_config *c,
			   const struct wires *w, Mayfly__VmmConfig *vc)
{
	vc->engine = MAYFLY__VMM_CONFIG__ENGINE__KVM;
	vc->kvm_fd = launch_give(p, w->kvm);
	vc->kernel_fd = launch_give(p, w->kernel);
	vc->initrd_fd = launch_give_if(p, w->init);
	vc->kernel_name = (char *)(uintptr_t)(c->kernel ? c->kernel : "guest/vmlinux");
	vc->initrd_name = (char *)(uintptr_t)(c->init ? c->init : "guest/init.cpio");
	vc->cmdline = l->cmdline;
	vc->memory = c->memory;
	vc->boot_protocol = c->protocol;
	vc->pit = c->boot;
	vc->console_device = c->console;
}

static void vmm_config_disks(struct launch *l, struct proc *p, const struct disk_files *d,
			     const struct wires *w, Mayfly__VmmConfig *vc)
{
	const char *io = getenv("MAYFLY_DISK_IO");
	for (unsigned i = 0; i < d->n; i++) {
		Mayfly__VmmDisk *k = &l->disk[i];
		mayfly__vmm_disk__init(k);
		k->fd = launch_give(p, d->file[i].fd);
		k->vhost_fd = launch_give_if(p, w->disk[i][0]);
		k->size = d->file[i].size;
		k->read_only = d->file[i].read_only;
		k->throwaway = d->file[i].throwaway || (io && strcmp(io, "noflush") == 0);
		k->serial = (char *)(uintptr_t)d->file[i].serial;
		k->threads = io && strcmp(io, "threads") == 0;
		l->disk_ptr[i] = k;
	}
	vc->disk = l->disk_ptr;
	vc->n_disk = d->n;
}

static int make_vmm(struct launch *l, const struct vm_config *c, const struct views *v,
		    const struct disk_files *d, const struct wires *w, struct err *e)
{
	Mayfly__VmmConfig vc = MAYFLY__VMM_CONFIG__INIT;
	int exec_fd = launch_own(l, paths_program("mayfly-vmm", e));
	if (exec_fd < 0)
		return exec_fd;
	struct proc *p = &l->proc[MACHINE_VMM];
	launch_proc_init(l, MACHINE_VMM, exec_fd);
	p->p.own_ids = true;
	p->p.dials = true;
	vc.seccomp = launch_jailed(c);
	vc.link_fd = launch_link(l, p, e);
	if (vc.link_fd < 0)
		return vc.link_fd;
	vc.version = CONFIG_VERSION;
	vc.log_level = log_get_level();
	vc.report_fd = launch_give(p, w->report);
	vc.vsock_vhost_fd = launch_give_if(p, w->vsock[0]);
	vc.fs_vhost_fd = launch_give_if(p, w->fs[0]);
	vc.rng_vhost_fd = launch_give_if(p, w->rng[0]);
	vc.fs_server_fd = launch_give_if(p, w->fs_server);
	vc.fs_writable = !c->boot && v->writable;
	vc.serial_fd = launch_give_if(p, w->serial[0]);
	vc.console_fd = launch_give_if(p, w->console);
	vc.console_lossless = c->boot;
	vc.control_fd = launch_give_if(p, w->control);
	vc.listen_fd = w->control >= 0 ? launch_give(p, w->listen) : -1;
	vc.guest_cid = PROTO_GUEST_CID;
	vc.max_open_files = MAX_OPEN_FILES;
	vc.cpus = c->cpus;
	vmm_config_disks(l, p, d, w, &vc);
	vc.kvm_fd = vc.kernel_fd = vc.initrd_fd = -1;
	if (c->engine == ENGINE_KVM)
		vmm_config_kvm(l, p, c, w, &vc);
	return launch_proc_config(l, MACHINE_VMM, "mayfly-vmm", &vc.base, e);
}

static int open_guest(struct launch *l, const struct vm_config *c, struct wires *w, struct err *e)
{
	w->kernel = launch_own(l, paths_guest(c->kernel, "vmlinux", "kernel", e));
	int ret = w->kernel < 0 ? w->kernel : 0;
	/* Our own loader says more of a file that is none. */
	if (ret == 0 && c->engine == ENGINE_TCG)
		ret = paths_check_kernel(w->kernel, c->kernel, e);
	if (ret < 0 || (c->boot && !c->init))
		return ret;
	w->init = launch_own(
		l, paths_guest(c->init, "init.cpio", c->boot ? "initrd" : "init image", e));
	return w->init < 0 ? w->init : 0;
}

static int own_pair(struct launch *l, int sv[2], struct err *e)
{
	int ret = launch_pair(l, SOCK_STREAM, &sv[0], &sv[1], e);
	if (ret == 0)
		launch_own(l, sv[0]);
	return ret;
}

/* Between the vmm and QEMU. */
static int make_engine_wires(struct launch *l, const struct vm_config *c, unsigned n_disk,
			     struct wires *w, struct err *e)
{
	int ret = own_pair(l, w->serial, e);
	if (ret == 0)
		ret = own_pair(l, w->rng, e);
	if (ret == 0 && !c->boot)
		ret = own_pair(l, w->vsock, e);
	if (ret == 0 && !c->boot)
		ret = own_pair(l, w->fs, e);
	for (unsigned i = 0; ret == 0 && i < n_disk; i++)
		ret = own_pair(l, w->disk[i], e);
	return ret;
}

static int make_wires(struct launch *l, struct machine *m, const struct vm_config *c,
		      unsigned n_disk, struct wires *w, int *fs_far, struct err *e)
{
	int ret = c->engine == ENGINE_TCG ? make_engine_wires(l, c, n_disk, w, e) : 0;
	if (ret == 0 && !c->boot) {
		ret = launch_pair(l, SOCK_SEQPACKET, &w->fs_server, fs_far, e);
		launch_own(l, w->fs_server);
	}
	if (ret == 0 && !c->boot)
		ret = launch_pair(l, SOCK_STREAM, &m->control, &w->control, e);
	if (ret == 0)
		ret = launch_pair(l, SOCK_SEQPACKET, &m->report, &w->report, e);
	if (ret == 0 && c->console)
		ret = launch_pair(l, SOCK_STREAM, &m->console, &w->console, e);
	/* A number that is surely free in the supervisor, too. */
	w->listen = launch_own(l, fcntl(l->null_fd, F_DUPFD_CLOEXEC, LAUNCH_FIRST_FD));
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
	jc.cpu_permille = c->cpu_permille;
	for (unsigned i = 0; i < MACHINE_PROCESSES; i++)
		if (m->has[i])
			list[jc.n_process++] = &l->proc[i].p;
	jc.process = list;
	l->jail_config = launch_own(l, config_memfd("mayfly-jailer", &jc.base));
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
	l->jailer_exec = launch_own(l, paths_program("mayfly-jailer", e));
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
	l->owner_pidfd = launch_own(l, (int)syscall(SYS_pidfd_open, getpid(), 0));
	if (l->owner_pidfd < 0)
		return err_errno(e, errno, "can't make a pidfd (Linux 5.3 or later is needed)");
	return launch_pair(l, SOCK_SEQPACKET, &m->owner, &l->owner_far, e);
}

static int launch(struct launch *l, struct machine *m, struct vm_config *c, struct views *v,
		  const struct disk_files *d, struct err *e)
{
	struct wires w = NO_WIRES;
	int fs_far = -1;
	int ret = make_owner(l, m, e);
	if (ret == 0)
		ret = engine_choose(c, m->base_fd, &w.kvm, e);
	launch_own(l, w.kvm);
	if (ret == 0 && (ret = engine_kernel_args(l->cmdline, sizeof(l->cmdline), c)) < 0)
		return err_set(e, -ret, "the kernel's command line is too long (see --append)");
	m->has[MACHINE_QEMU] = c->engine == ENGINE_TCG;
	m->has[MACHINE_VMM] = true;
	m->has[MACHINE_FS] = !c->boot;
	if (ret == 0)
		ret = make_logs(l, m, e);
	if (ret == 0)
		ret = make_wires(l, m, c, d->n, &w, &fs_far, e);
	if (ret == 0)
		ret = open_guest(l, c, &w, e);
	if (ret == 0)
		ret = launch_publish(l, c, &w, e);
	if (ret == 0 && m->has[MACHINE_QEMU])
		ret = launch_qemu(l, c, &w, e);
	if (ret == 0)
		ret = make_vmm(l, c, v, d, &w, e);
	if (ret == 0 && m->has[MACHINE_FS])
		ret = make_fs(l, c, v, fs_far, e);
	if (ret == 0)
		ret = make_jail_config(l, m, c, &w, e);
	return ret < 0 ? ret : start_jailer(l, m, e);
}

int machine_launch(struct machine *m, struct vm_config *c, struct views *v,
		   const struct disk_files *d, struct err *e)
{
	static struct launch l;
	*m = MACHINE_NONE;
	memset(&l, 0, sizeof(l));
	int ret = launch(&l, m, c, v, d, e);
	for (size_t i = 0; i < l.n_fd; i++)
		close_fd(&l.fd[i]);
	tcg_free_args(&l.qemu);
	return ret;
}
