// SPDX-License-Identifier: Apache-2.0
// launch_qemu.c - the tcg engine's process: QEMU, its files and its end of the wires
#include "base/log.h"
#include "cli/launch.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * In the reduced jail QEMU reopens its files under an id of the machine's own: what is not for
 * everybody has to be copied for it.
 */
static int publish(struct launch *l, int *fd, struct err *e)
{
	struct stat st;
	if (*fd < 0 || fstat(*fd, &st) < 0 || (st.st_mode & S_IROTH))
		return 0;
	int copy = launch_own(l, memfd_create("mayfly-file", MFD_CLOEXEC));
	off_t at = 0;
	while (copy >= 0 && at < st.st_size)
		if (sendfile(copy, *fd, &at, (size_t)(st.st_size - at)) <= 0)
			return err_errno(e, errno, "can't copy a file for the machine");
	if (copy < 0)
		return err_errno(e, errno, "can't make a file in memory");
	*fd = copy;
	return 0;
}

int launch_publish(struct launch *l, const struct vm_config *c, struct wires *w, struct err *e)
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
		snprintf(path, TCG_PATH_MAX, "/proc/self/fd/%d", launch_give(p, fd));
	return path;
}

int launch_qemu(struct launch *l, const struct vm_config *c, const struct wires *w, struct err *e)
{
	int exec_fd = launch_own(l, tcg_find_qemu(e));
	if (exec_fd < 0)
		return exec_fd;
	struct proc *p = &l->proc[MACHINE_QEMU];
	launch_proc_init(l, MACHINE_QEMU, exec_fd);
	p->p.own_ids = true;
	p->p.table = (char *)(uintptr_t)TCG_SECCOMP_TABLE;
	p->p.n_tree = tcg_trees(p->tree);
	char kernel[TCG_PATH_MAX];
	char init[TCG_PATH_MAX];
	struct tcg_fds fds = {
		.kernel = show_file(p, c, w->kernel, "kernel", kernel),
		.init = w->init < 0 ? NULL : show_file(p, c, w->init, "init", init),
		.vsock = launch_give_if(p, w->vsock[1]),
		.fs = launch_give_if(p, w->fs[1]),
		.rng = launch_give_if(p, w->rng[1]),
		.serial = launch_give(p, w->serial[1]),
	};
	for (; fds.n_disk < CONFIG_MAX_DISKS && w->disk[fds.n_disk][1] >= 0; fds.n_disk++)
		fds.disk[fds.n_disk] = launch_give(p, w->disk[fds.n_disk][1]);
	int ret = tcg_build_args(&l->qemu, c, &fds, l->cmdline);
	if (ret < 0)
		return err_errno(e, -ret, "can't build QEMU's arguments");
	for (size_t i = 0; i < l->qemu.n; i++) {
		log_debug("qemu argument: %s", l->qemu.argv[i]);
		launch_proc_word(p->argv, &p->p.n_argv, l->qemu.argv[i]);
	}
	return 0;
}
