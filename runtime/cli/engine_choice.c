// SPDX-License-Identifier: Apache-2.0
// engine_choice.c - auto means kvm where a probe shows that it is worth it
#include "cli/engine_choice.h"

#include "base/log.h"
#include "engine/probe.h"
#include "engine/tcg.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <sys/stat.h>

static int open_failed(int code, struct err *e)
{
	struct stat st;
	const struct group *gr = NULL;
	if (code == ENOENT)
		return err_errno(e, code,
				 "can't open " PROBE_DEVICE " (this host has no KVM; use --engine "
				 "tcg, or see 'mayfly doctor')");
	if (stat(PROBE_DEVICE, &st) == 0 && (st.st_mode & S_IWGRP))
		gr = getgrgid(st.st_gid);
	if (code == EACCES && gr)
		return err_errno(e, code,
				 "can't open " PROBE_DEVICE " (join group '%s': usermod -aG %s "
				 "USER; or use --engine tcg)",
				 gr->gr_name, gr->gr_name);
	return err_errno(e, code, "can't open " PROBE_DEVICE " (or use --engine tcg)");
}

static int open_kvm(int *kvm_fd, struct err *e)
{
	*kvm_fd = open(PROBE_DEVICE, O_RDWR | O_CLOEXEC);
	return *kvm_fd < 0 ? open_failed(errno, e) : 0;
}

int engine_choose(struct vm_config *c, int cache_dir_fd, int *kvm_fd, struct err *e)
{
	struct probe_result r;
	*kvm_fd = -1;
	if (c->engine == ENGINE_AUTO) {
		int ret = probe_kvm(&r, true, cache_dir_fd);
		c->engine = ret == 0 && r.usable ? ENGINE_KVM : ENGINE_TCG;
		log_info("engine %s: %s", c->engine == ENGINE_KVM ? "kvm" : "tcg", r.reason);
	}
	return c->engine == ENGINE_KVM ? open_kvm(kvm_fd, e) : 0;
}

/* The user's words come last: the last word on anything is theirs. */
static int boot_args(char *buf, size_t len, const struct vm_config *c)
{
	char clock[64] = "";
	/* What a guest measures on a busy host's emulated timers may be wrong beyond use. */
	if (c->engine == ENGINE_TCG)
		snprintf(clock, sizeof(clock), " no_timer_check tsc_early_khz=%lu tsc=reliable",
			 tcg_tsc_khz());
	int n = snprintf(buf, len, "console=ttyS0 panic=-1 reboot=%s%s%s%s",
			 c->engine == ENGINE_KVM ? "k" : "t", clock, c->append ? " " : "",
			 c->append ? c->append : "");
	return n < 0 || (size_t)n >= len ? -E2BIG : 0;
}

int engine_kernel_args(char *buf, size_t len, const struct vm_config *c)
{
	if (c->boot)
		return boot_args(buf, len, c);
	if (c->engine == ENGINE_TCG)
		return tcg_kernel_args(buf, len, c);
	/*
	 * Panics get through at loglevel=1. reboot=k: one port write. noreplace-smp: the
	 * kernel's text stays as it is in the file, shared by all machines.
	 * rcu_expedited: as tcg.c says.
	 */
	int n = snprintf(buf, len,
			 "console=ttyS0 loglevel=%d reboot=k panic=-1 noreplace-smp "
			 "rcupdate.rcu_expedited=1",
			 c->console ? 7 : 1);
	return n < 0 || (size_t)n >= len ? -E2BIG : 0;
}
