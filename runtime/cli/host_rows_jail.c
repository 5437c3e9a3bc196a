// SPDX-License-Identifier: Apache-2.0
// host_rows_jail.c - rows about what jails are made of: namespaces, groups, limits, filters
#include "cli/host_row.h"

#include "base/checked.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define REDUCED "mayfly run --jail reduced -- COMMAND"

/* ---- namespaces ---- */

/* Root needs no user namespace. */
static const struct host_kernel_ns *needed_ns(const struct host_facts *f)
{
	return f->uid == 0 ? &f->kernel.plain_ns : &f->kernel.user_ns;
}

static bool can_jail(const struct host_facts *f)
{
	return needed_ns(f)->step == HOST_KERNEL_NS_DONE;
}

/* A sysctl that forbids user namespaces, NULL: none of the known ones. */
static const char *userns_sysctl(const struct host_kernel *k)
{
	if (k->max_user_ns == 0)
		return "user.max_user_namespaces=15000";
	if (k->userns_clone == 0)
		return "kernel.unprivileged_userns_clone=1";
	if (k->apparmor_restrict == 1)
		return "kernel.apparmor_restrict_unprivileged_userns=0";
	/* The other sorts of namespaces have limits of their own: which was hit is not known. */
	if (k->user_ns.step == HOST_KERNEL_NS_USER && k->user_ns.error == ENOSPC)
		return "user.max_user_namespaces=15000";
	return NULL;
}

/* What forbids it, with the command against it. One cause hides the next: one at a time. */
static const char *explain_user_ns(struct host_row *r, const struct host_facts *f)
{
	const struct host_kernel *k = &f->kernel;
	const char *sysctl = userns_sysctl(k);
	if (sysctl) {
		host_row_fix(r, f, "sysctl -w %s", sysctl);
		return k->apparmor_restrict == 1 && strstr(sysctl, "apparmor")
			       ? "AppArmor lets only programs with a profile make user namespaces "
				 "(a "
				 "profile for mayfly-jailer that says \"userns,\" does, too)"
			       : "a sysctl forbids it";
	}
	if (k->filtered) {
		host_row_fix(r, NULL, "docker run --security-opt seccomp=unconfined IMAGE");
		return "a seccomp filter, a container's most likely, forbids it";
	}
	if (k->confined[0]) {
		host_row_fix(r, NULL, "docker run --security-opt apparmor=unconfined IMAGE");
		return "an AppArmor profile, a container's most likely, forbids it";
	}
	host_row_fix(r, NULL, REDUCED);
	if (k->user_ns.step == HOST_KERNEL_NS_USER && k->user_ns.error == EINVAL)
		return "this kernel is built without user namespaces";
	if (k->user_ns.step == HOST_KERNEL_NS_USER && k->user_ns.error == EPERM)
		return "inside a chroot they can't be made, or a security module forbids it";
	return "the cause is not known";
}

static const char *explain_root_ns(struct host_row *r, const struct host_facts *f)
{
	host_row_fix(r, NULL, REDUCED);
	if (!f->kernel.sys_admin)
		return "this root lacks CAP_SYS_ADMIN, as in most containers";
	return f->kernel.filtered ? "a seccomp filter, a container's most likely, forbids it"
	       : f->kernel.confined[0]
		       ? "an AppArmor profile, a container's most likely, forbids it"
		       : "the cause is not known";
}

void host_row_user_ns(struct host_row *r, const struct host_facts *f)
{
	const struct host_kernel_ns *ns = needed_ns(f);
	host_row_value(r, "%s", f->kernel.user_ns.step == HOST_KERNEL_NS_DONE ? "yes" : "no");
	if (can_jail(f) && ns->proc_masked) {
		host_row_say(
			r, HOST_ROWS_NOTE,
			"allowed, but no procfs in them, as a container masks parts of /proc: fs "
			"gets a descriptor in the host's, and Landlock alone keeps it from the "
			"rest of that");
		host_row_fix(r, NULL, "docker run --security-opt systempaths=unconfined IMAGE");
		return;
	}
	if (can_jail(f)) {
		host_row_say(r, HOST_ROWS_OK,
			     "allowed: %smount, PID, network, IPC, UTS and cgroup; tried, with "
			     "mounts in them",
			     f->uid == 0 ? "" : "user, ");
		return;
	}
	const char *why = f->uid == 0 ? explain_root_ns(r, f) : explain_user_ns(r, f);
	host_row_say(r, HOST_ROWS_MISSING,
		     "%s: %s: %s; without them `mayfly run` needs --jail reduced",
		     host_kernel_step_name(ns->step), strerror(ns->error), why);
}

/* ---- the jail as a whole ---- */

void host_row_jail(struct host_row *r, const struct host_facts *f)
{
	const char *ids = f->uid == 0 ? "vmm and QEMU get ids of the machine's own"
				      : "all keep your user id, in namespaces of their own";
	if (f->kernel.seccomp_notify != 0) {
		host_row_value(r, "none");
		host_row_say(r, HOST_ROWS_NOTE, "none can be made without seccomp, see there");
	} else if (can_jail(f)) {
		host_row_value(r, "full");
		host_row_say(r, HOST_ROWS_OK,
			     "full: each process of a machine sees no files but what it needs, no "
			     "network and no other process, and may make few system calls; %s",
			     ids);
	} else if (f->kernel.landlock_abi <= 0) {
		host_row_value(r, "none");
		host_row_say(
			r, HOST_ROWS_NOTE,
			"none: the full one needs namespaces, --jail reduced Landlock; see there");
	} else {
		host_row_value(r, "reduced");
		host_row_say(
			r, HOST_ROWS_NOTE,
			"--jail reduced at most, see namespaces: system calls, files and rights "
			"are "
			"limited, but nothing else stands before the host's network and processes");
	}
}

void host_row_groups(struct host_row *r, const struct host_facts *f)
{
	host_row_value(r, "%d", MAX(f->groups, 0));
	if (f->uid == 0) {
		host_row_say(r, HOST_ROWS_OK, "dropped by a machine's processes");
		return;
	}
	if (f->groups <= 0) {
		host_row_say(r, HOST_ROWS_OK, "none but your own to take along");
		return;
	}
	host_row_say(
		r, HOST_ROWS_NOTE,
		"%d supplementary: the kernel lets only root drop them, so they stay, unmapped, "
		"in the jails; what only they may read is out of reach there all the same, but "
		"for fs inside a share",
		f->groups);
	host_row_fix(r, f, "setpriv --reuid=%u --regid=%u --clear-groups mayfly run -- COMMAND",
		     f->uid, f->gid);
}

/* ---- limits ---- */

void host_row_cgroup(struct host_row *r, const struct host_facts *f)
{
	const struct host_cgroup *cg = &f->cgroup;
	char can[64] = "";
	char cannot[64] = "";
	host_row_value(r, "%s", host_cgroup_kind_name(cg->kind));
	if (cg->kind == HOST_CGROUP_NONE) {
		host_row_say(r, HOST_ROWS_NOTE,
			     "no hierarchy is mounted: machines run without its limits, and --cpus "
			     "takes whole numbers only");
		return;
	}
	for (unsigned i = 0; i < CGROUP_CTLS; i++) {
		char *to = cg->usable & (1u << i) ? can : cannot;
		size_t n = strlen(to);
		snprintf(to + n, sizeof(can) - n, "%s%s", n ? ", " : "", cgroup_ctl_name(i));
	}
	host_row_say(r, *cannot ? HOST_ROWS_NOTE : HOST_ROWS_OK, "%s; %s%s%s%s%s%s%s", r->value,
		     *can ? "limits can be set here: " : "", can, *can && *cannot ? "; " : "",
		     *cannot ? "limits can't be set here: " : "", cannot,
		     !*cannot			  ? ""
		     : cg->kind == HOST_CGROUP_V2 ? ""
		     : f->uid != 0		  ? " (v1 gives ordinary users none)"
						  : " (not mounted, or not writable)",
		     cg->usable & (1u << CGROUP_CPU) ? "" : "; --cpus takes whole numbers only");
	/* v1 knows no delegation that could be had by a command. */
	if (*cannot && cg->kind == HOST_CGROUP_V2 && f->uid != 0)
		host_row_fix(r, NULL,
			     "systemd-run --user --scope -p Delegate=yes mayfly run -- COMMAND");
}

/* ---- filters ---- */

void host_row_landlock(struct host_row *r, const struct host_facts *f)
{
	int abi = f->kernel.landlock_abi;
	host_row_value(r, "%d", MAX(abi, 0));
	if (abi > 0) {
		host_row_say(r, HOST_ROWS_OK, "ABI %d", abi);
		return;
	}
	host_row_say(
		r, HOST_ROWS_NOTE,
		"%s; without it fs, once taken over, reads whatever you can on the file systems "
		"that hold shared files, and --jail reduced is refused",
		abi == -EOPNOTSUPP ? "built into the kernel but switched off: add landlock to "
				     "lsm= on the host kernel's command line"
				   : "not in this kernel, or a container's filter hides it");
}

void host_row_seccomp(struct host_row *r, const struct host_facts *f)
{
	int ret = f->kernel.seccomp_notify;
	host_row_value(r, "%s", ret == 0 ? "yes" : "no");
	if (ret == 0)
		host_row_say(r, HOST_ROWS_OK, "filters with user notification");
	else
		host_row_say(
			r, HOST_ROWS_MISSING,
			"no user notification: %s; jails can't be made without it (Linux 5.0 has "
			"it)",
			strerror(-ret));
}
