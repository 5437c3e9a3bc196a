// SPDX-License-Identifier: Apache-2.0
// host_rows.c - facts about the host, judged: one row each, with what would improve it
#include "cli/host_rows.h"

#include "base/checked.h"
#include "cli/config.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MIB (1ull << 20)
/* QEMU, the device processes and their page tables, beside the guest's own memory. */
#define OVERHEAD (192 * MIB)
#define NOT_BUILT "not built yet in this version"
#define NOFILE_ENOUGH 4096u
#define SLOW_CREATE_NS 5000000ull

static const char *const mark_names[] = {"ok", "note", "missing"};
static_assert(ARRAY_SIZE(mark_names) == HOST_ROWS_MARKS, "a name for each mark");

const char *host_rows_mark_name(enum host_rows_mark mark)
{
	return mark < HOST_ROWS_MARKS ? mark_names[mark] : "?";
}

/* ---- the machine ---- */

static void row_host(struct host_row *r, const struct host_facts *f)
{
	bool right = strcmp(f->uts.machine, "x86_64") == 0;
	host_row_value(r, "%s", f->uts.machine);
	host_row_say(r, right ? HOST_ROWS_OK : HOST_ROWS_MISSING, "%s %s on %s, %ld CPU%s%s",
		     f->uts.sysname, f->uts.release, f->uts.machine, f->cpus,
		     f->cpus == 1 ? "" : "s", right ? "" : "; this version runs on x86_64 only");
}

static void row_user(struct host_row *r, const struct host_facts *f)
{
	host_row_value(r, "%u", f->uid);
	if (f->uid == 0)
		host_row_say(r, HOST_ROWS_OK, "root; mayfly doesn't need to be");
	else
		host_row_say(r, HOST_ROWS_OK, "ordinary user (uid %u)", f->uid);
}

static void row_memory(struct host_row *r, const struct host_facts *f)
{
	uint64_t need = CONFIG_DEFAULT_MEMORY + OVERHEAD;
	uint64_t have = f->mem_available;
	host_row_value(r, "%" PRIu64, have);
	if (!have) {
		host_row_say(r, HOST_ROWS_NOTE, "the kernel doesn't say how much is available");
		return;
	}
	host_row_say(r, have >= need ? HOST_ROWS_OK : HOST_ROWS_NOTE,
		     "%" PRIu64 " MiB available; a machine takes up to %" PRIu64
		     " MiB and some for the programs around it",
		     (uint64_t)(have / MIB), (uint64_t)(CONFIG_DEFAULT_MEMORY / MIB));
	if (have < need)
		host_row_fix(r, NULL, "mayfly run --memory 256M -- COMMAND");
}

static void row_nofile(struct host_row *r, const struct host_facts *f)
{
	bool enough = f->nofile_hard >= NOFILE_ENOUGH;
	host_row_value(r, "%" PRIu64, f->nofile_hard);
	host_row_say(r, enough ? HOST_ROWS_OK : HOST_ROWS_NOTE,
		     "hard limit of %" PRIu64 " open files%s", f->nofile_hard,
		     enough ? "" : "; works, but large shared trees get slower below 4096");
	if (!enough)
		host_row_fix(r, f, "prlimit --pid $$ --nofile=20000:20000");
}

/* ---- engines ---- */

static void fix_kvm(struct host_row *r, const struct host_facts *f)
{
	const struct probe_result *k = &f->kvm;
	if (k->denied && k->group[0])
		host_row_fix(r, f, "usermod -aG %s $USER", k->group);
	else if (k->denied)
		host_row_fix(r, f, "chgrp kvm " PROBE_DEVICE " && sudo chmod 0660 " PROBE_DEVICE);
	else if (!k->present && f->cpu_virt == HOST_CPU_VIRT_SVM)
		host_row_fix(r, f, "modprobe kvm_amd");
	else if (!k->present && f->cpu_virt == HOST_CPU_VIRT_VMX)
		host_row_fix(r, f, "modprobe kvm_intel");
}

static void row_kvm(struct host_row *r, const struct host_facts *f)
{
	const struct probe_result *k = &f->kvm;
	const char *hint = "";
	char slow[160] = "";
	if (!k->present && f->cpu_virt == HOST_CPU_VIRT_NONE)
		hint = "; this CPU shows no virtualization (switch it on in the firmware, or "
		       "nested virtualization in the host around this one)";
	if (k->create_ns > SLOW_CREATE_NS)
		snprintf(slow, sizeof(slow),
			 "; making a VM took %.0f ms (kvm.nx_huge_pages or cgroups without "
			 "favordynmods are the usual causes)",
			 (double)k->create_ns / 1e6);
	host_row_value(r, "%s", k->usable ? "usable" : k->present ? "unusable" : "absent");
	host_row_say(r, k->usable ? HOST_ROWS_OK : HOST_ROWS_NOTE, "%s%s%s", k->reason, hint, slow);
	fix_kvm(r, f);
}

static const char *engine_of(const struct host_facts *f)
{
	return f->kvm.usable ? "kvm" : "tcg";
}

static void row_engine(struct host_row *r, const struct host_facts *f)
{
	host_row_value(r, "%s", engine_of(f));
	if (f->kvm.usable)
		host_row_say(r, HOST_ROWS_OK,
			     "kvm: hardware runs the guest's CPU, no QEMU in between");
	else
		host_row_say(r, HOST_ROWS_NOTE,
			     "tcg: QEMU emulates the guest's CPU; see KVM for why");
}

static const char *qemu_problem(int error)
{
	if (error == ETIMEDOUT)
		return "no answer in time";
	if (error == ECANCELED)
		return "it fails";
	return error == EPROTO ? "the answer is not QEMU's" : strerror(error);
}

static void row_qemu(struct host_row *r, const struct host_facts *f)
{
	const struct host_qemu *q = &f->qemu;
	const unsigned *v = q->version;
	/* With the other engine it is no loss. */
	enum host_rows_mark bad = f->kvm.usable ? HOST_ROWS_NOTE : HOST_ROWS_MISSING;
	if (!q->found) {
		host_row_say(r, bad, "qemu-system-x86_64 is not in PATH; the tcg engine needs it");
	} else if (q->error) {
		host_row_say(r, bad, "%.400s --version tells no version: %s", q->path,
			     qemu_problem(q->error));
	} else {
		host_row_value(r, "%u.%u.%u", v[0], v[1], v[2]);
		host_row_say(r, q->usable ? HOST_ROWS_OK : bad, "version %s at %s%s", r->value,
			     q->path, q->usable ? "" : "; too old, 7.2 is the oldest that works");
	}
	if (!q->usable)
		host_row_fix(r, f, "apt-get install qemu-system-x86");
}

static void row_boundary(struct host_row *r, const struct host_facts *f)
{
	(void)f;
	host_row_value(r, "no");
	host_row_say(r, HOST_ROWS_NOTE,
		     "QEMU's project does not call TCG, its emulation of the CPU, a security "
		     "boundary; the "
		     "jail around QEMU is what has to hold");
}

/* ---- mayfly's own files ---- */

static void row_programs(struct host_row *r, const struct host_facts *f)
{
	if (f->missing_program) {
		host_row_say(r, HOST_ROWS_MISSING,
			     "%s is neither beside mayfly nor in ../lib/mayfly",
			     f->missing_program);
		host_row_fix(r, NULL, "make");
	} else {
		host_row_say(r, HOST_ROWS_OK, "mayfly-jailer, mayfly-vmm and mayfly-fs are there");
	}
}

static void row_file(struct host_row *r, const struct host_file *file, const char *name)
{
	if (!file->error) {
		host_row_value(r, "%.*s", (int)sizeof(r->value) - 1, file->path);
		host_row_say(r, HOST_ROWS_OK, "%.*s", HOST_ROWS_TEXT_MAX - 1,
			     file->path[0] ? file->path : name);
		return;
	}
	host_row_say(r, HOST_ROWS_MISSING, "guest/%s, beside mayfly or in ../lib/mayfly: %s", name,
		     strerror(file->error));
	host_row_fix(r, NULL, "make");
}

static void row_guest_kernel(struct host_row *r, const struct host_facts *f)
{
	row_file(r, &f->guest_kernel, "vmlinux");
}

static void row_guest_init(struct host_row *r, const struct host_facts *f)
{
	row_file(r, &f->guest_init, "init.cpio");
}

/* ---- networking, later ---- */

static void row_tun(struct host_row *r, const struct host_facts *f)
{
	const struct host_kernel *k = &f->kernel;
	host_row_value(r, "%s", k->tun_open == 0 ? "yes" : "no");
	if (k->tun_open == 0) {
		host_row_say(r, HOST_ROWS_OK, "/dev/net/tun opens (networking is " NOT_BUILT ")");
		return;
	}
	host_row_say(r, HOST_ROWS_NOTE,
		     "/dev/net/tun: %s (networking is " NOT_BUILT ", nothing lacks)",
		     strerror(-k->tun_open));
	if (!k->tun_present || k->tun_open == -ENODEV)
		host_row_fix(r, f, "modprobe tun");
}

static void row_passt(struct host_row *r, const struct host_facts *f)
{
	host_row_value(r, "%s", f->passt.error ? "no" : "yes");
	if (!f->passt.error) {
		host_row_say(r, HOST_ROWS_OK, "%.*s (networking is " NOT_BUILT ")", 400,
			     f->passt.path);
		return;
	}
	host_row_say(r, HOST_ROWS_NOTE,
		     "not installed (networking is " NOT_BUILT ", nothing lacks)");
	host_row_fix(r, f, "apt-get install passt");
}

/* ---- all of them ---- */

static const struct {
	const char *id;
	const char *title;
	host_row_fn *fn;
} rows[] = {
	{"host", "host", row_host},
	{"user", "user", row_user},
	{"memory", "memory", row_memory},
	{"nofile", "open files", row_nofile},
	{"qemu", "QEMU", row_qemu},
	{"programs", "programs", row_programs},
	{"guest_kernel", "guest kernel", row_guest_kernel},
	{"guest_init", "guest init", row_guest_init},
	{"kvm", "KVM", row_kvm},
	{"engine", "engine", row_engine},
	{"tcg_boundary", "tcg engine", row_boundary},
	{"jail", "jail", host_row_jail},
	{"user_namespaces", "namespaces", host_row_user_ns},
	{"groups", "groups", host_row_groups},
	{"cgroup", "cgroup", host_row_cgroup},
	{"landlock", "Landlock", host_row_landlock},
	{"seccomp", "seccomp", host_row_seccomp},
	{"cpu_flaws", "CPU flaws", host_row_cpu_flaws},
	{"smt", "SMT", host_row_smt},
	{"nx_huge_pages", "nx_huge_pages", host_row_nx_huge_pages},
	{"ksm", "KSM", host_row_ksm},
	{"swap", "swap", host_row_swap},
	{"tun", "tun", row_tun},
	{"passt", "passt", row_passt},
};
static_assert(ARRAY_SIZE(rows) <= HOST_ROWS_MAX, "room for each row");

static void make_plan(struct host_rows *out, const struct host_facts *f)
{
	if (!out->can_run) {
		snprintf(out->plan, sizeof(out->plan),
			 "`mayfly run` can't work here as it is: see what is missing above.");
		return;
	}
	if (f->kvm.usable)
		snprintf(out->plan, sizeof(out->plan),
			 "`mayfly run` works here. It uses the kvm engine: the guest runs on the "
			 "host's own CPU.");
	else
		snprintf(out->plan, sizeof(out->plan),
			 "`mayfly run` works here. It uses the tcg engine (QEMU %u.%u.%u emulates "
			 "the CPU), because this host's KVM won't do: %s.",
			 f->qemu.version[0], f->qemu.version[1], f->qemu.version[2], f->kvm.reason);
}

void host_rows_build(struct host_rows *out, const struct host_facts *f)
{
	memset(out, 0, sizeof(*out));
	out->can_run = true;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct host_row *r = &out->row[out->n++];
		r->id = rows[i].id;
		r->title = rows[i].title;
		rows[i].fn(r, f);
		out->can_run = out->can_run && r->mark != HOST_ROWS_MISSING;
	}
	out->engine = engine_of(f);
	make_plan(out, f);
}
