// SPDX-License-Identifier: Apache-2.0
// test_host_rows.c - how doctor judges a host, from facts alone
#include "cli/host_rows.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

static void add_flaw(struct host_facts *f, const char *name, const char *word)
{
	struct host_flaw *flaw = &f->shared.flaw[f->shared.flaws++];
	snprintf(flaw->name, sizeof(flaw->name), "%s", name);
	snprintf(flaw->state, sizeof(flaw->state), "%s", word);
}

static void good_host(struct host_facts *f)
{
	memset(f, 0, sizeof(*f));
	f->uid = 1000;
	snprintf(f->uts.machine, sizeof(f->uts.machine), "x86_64");
	f->cpus = 2;
	f->kvm = (struct probe_result){.present = true, .usable = true, .reason = "fast"};
	f->qemu = (struct host_qemu){.found = true,
				     .usable = true,
				     .version = {7, 2, 22},
				     .path = "/usr/bin/qemu-system-x86_64"};
	snprintf(f->guest_kernel.path, sizeof(f->guest_kernel.path), "/opt/guest/vmlinux");
	snprintf(f->guest_init.path, sizeof(f->guest_init.path), "/opt/guest/init.cpio");
	snprintf(f->passt.path, sizeof(f->passt.path), "/usr/bin/passt");
	f->kernel.max_user_ns = 1000;
	f->kernel.userns_clone = HOST_KERNEL_NO_VALUE;
	f->kernel.apparmor_restrict = HOST_KERNEL_NO_VALUE;
	f->kernel.landlock_abi = 4;
	f->gid = 100;
	f->shared = (struct host_shared){.ksm_run = 0, .smt_active = 0, .nx_huge_pages = "N"};
	add_flaw(f, "itlb_multihit", "Not affected");
	f->kernel.tun_present = true;
	f->cgroup.kind = HOST_CGROUP_V2;
	f->cgroup.usable = (1u << CGROUP_CTLS) - 1;
	f->mem_available = 8ull << 30;
	f->nofile_hard = 20000;
}

static const struct host_row *find(const struct host_rows *rows, const char *id)
{
	size_t i = 0;
	while (i < rows->n && strcmp(rows->row[i].id, id) != 0)
		i++;
	assert_true(i < rows->n);
	return &rows->row[i];
}

static const struct host_row *judge(struct host_rows *rows, const struct host_facts *f,
				    const char *id)
{
	host_rows_build(rows, f);
	return find(rows, id);
}

static void test_good_host_can_run(void **state)
{
	(void)state;
	static struct host_facts f;
	static struct host_rows rows;
	good_host(&f);
	host_rows_build(&rows, &f);
	assert_true(rows.can_run);
	assert_string_equal(rows.engine, "kvm");
	assert_non_null(strstr(rows.plan, "kvm engine"));
	assert_int_equal(find(&rows, "kvm")->mark, HOST_ROWS_OK);
	assert_string_equal(find(&rows, "engine")->value, "kvm");
	for (size_t i = 0; i < rows.n; i++) {
		assert_true(strlen(rows.row[i].text) > 0);
		assert_int_not_equal(rows.row[i].mark, HOST_ROWS_MISSING);
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(rows.row[i].id, rows.row[j].id);
	}
	assert_non_null(strstr(find(&rows, "tcg_boundary")->text, "security boundary"));
}

static void test_what_is_needed(void **state)
{
	(void)state;
	static struct host_facts f;
	static struct host_rows rows;
	good_host(&f);
	f.qemu = (struct host_qemu){0};
	/* With usable KVM, QEMU is no need. */
	assert_int_equal(judge(&rows, &f, "qemu")->mark, HOST_ROWS_NOTE);
	assert_true(rows.can_run);
	f.kvm.usable = false;
	assert_int_equal(judge(&rows, &f, "qemu")->mark, HOST_ROWS_MISSING);
	assert_false(rows.can_run);
	assert_string_equal(find(&rows, "qemu")->fix, "sudo apt-get install qemu-system-x86");
	good_host(&f);
	f.kvm = (struct probe_result){.present = true, .reason = "code is interpreted"};
	assert_string_equal(judge(&rows, &f, "engine")->value, "tcg");
	assert_string_equal(rows.engine, "tcg");
	assert_non_null(strstr(rows.plan, "code is interpreted"));
	f.qemu.usable = false;
	f.qemu.version[0] = 6;
	assert_non_null(strstr(judge(&rows, &f, "qemu")->text, "too old"));
	assert_false(rows.can_run);
	good_host(&f);
	f.qemu.usable = false;
	f.qemu.error = ETIMEDOUT;
	assert_non_null(strstr(judge(&rows, &f, "qemu")->text, "no answer in time"));
	good_host(&f);
	f.guest_kernel.error = ENOENT;
	assert_int_equal(judge(&rows, &f, "guest_kernel")->mark, HOST_ROWS_MISSING);
	assert_false(rows.can_run);
	good_host(&f);
	f.missing_program = "mayfly-vmm";
	assert_non_null(strstr(judge(&rows, &f, "programs")->text, "mayfly-vmm"));
	assert_false(rows.can_run);
	good_host(&f);
	snprintf(f.uts.machine, sizeof(f.uts.machine), "aarch64");
	assert_int_equal(judge(&rows, &f, "host")->mark, HOST_ROWS_MISSING);
}

static void test_kvm_advice(void **state)
{
	(void)state;
	static struct host_facts f;
	static struct host_rows rows;
	good_host(&f);
	f.kvm = (struct probe_result){.present = true, .denied = true, .group = "kvm"};
	assert_string_equal(judge(&rows, &f, "kvm")->fix, "sudo usermod -aG kvm $USER");
	assert_int_equal(find(&rows, "kvm")->mark, HOST_ROWS_NOTE);
	assert_true(rows.can_run);
	f.kvm = (struct probe_result){.reason = "no /dev/kvm"};
	f.cpu_virt = HOST_CPU_VIRT_SVM;
	assert_string_equal(judge(&rows, &f, "kvm")->fix, "sudo modprobe kvm_amd");
	f.cpu_virt = HOST_CPU_VIRT_VMX;
	assert_string_equal(judge(&rows, &f, "kvm")->fix, "sudo modprobe kvm_intel");
	f.cpu_virt = HOST_CPU_VIRT_NONE;
	assert_string_equal(judge(&rows, &f, "kvm")->fix, "");
	assert_non_null(strstr(find(&rows, "kvm")->text, "nested"));
	f.kvm.create_ns = 70000000;
	assert_non_null(strstr(judge(&rows, &f, "kvm")->text, "nx_huge_pages"));
}

/* One row, against what it must be; a NULL is not looked at. */
static void check(const struct host_facts *f, const char *id, enum host_rows_mark mark,
		  const char *val, const char *text, const char *command)
{
	static struct host_rows rows;
	const struct host_row *r = judge(&rows, f, id);
	assert_int_equal(r->mark, mark);
	if (val)
		assert_string_equal(r->value, val);
	if (text && !strstr(r->text, text))
		fail_msg("%s: no \"%s\" in \"%s\"", id, text, r->text);
	if (command)
		assert_string_equal(r->fix, command);
	assert_int_equal(rows.can_run, mark != HOST_ROWS_MISSING);
}

static void no_user_ns(struct host_facts *f, enum host_kernel_step step, int error)
{
	good_host(f);
	f->kernel.user_ns = (struct host_kernel_ns){.step = step, .error = error};
	f->kernel.plain_ns = (struct host_kernel_ns){.step = HOST_KERNEL_NS_OTHERS, .error = EPERM};
}

#define REDUCED "mayfly run --jail reduced -- COMMAND"

static void test_user_namespace_advice(void **state)
{
	(void)state;
	static struct host_facts f;
	static const char id[] = "user_namespaces";
	good_host(&f);
	f.kernel.plain_ns = (struct host_kernel_ns){.step = HOST_KERNEL_NS_OTHERS, .error = EPERM};
	check(&f, id, HOST_ROWS_OK, "yes", "user, mount, PID", "");
	no_user_ns(&f, HOST_KERNEL_NS_USER, EPERM);
	check(&f, id, HOST_ROWS_MISSING, "no", "chroot", REDUCED);
	no_user_ns(&f, HOST_KERNEL_NS_USER, EINVAL);
	check(&f, id, HOST_ROWS_MISSING, "no", "built without", REDUCED);
	no_user_ns(&f, HOST_KERNEL_NS_UNKNOWN, ETIMEDOUT);
	check(&f, id, HOST_ROWS_MISSING, "no", "not known", REDUCED);
	/* Debian's switch. */
	no_user_ns(&f, HOST_KERNEL_NS_USER, EPERM);
	f.kernel.userns_clone = 0;
	check(&f, id, HOST_ROWS_MISSING, "no", "sysctl",
	      "sudo sysctl -w kernel.unprivileged_userns_clone=1");
	/* A limit of none, and one that is reached. */
	no_user_ns(&f, HOST_KERNEL_NS_USER, ENOSPC);
	f.kernel.max_user_ns = 0;
	check(&f, id, HOST_ROWS_MISSING, "no", NULL,
	      "sudo sysctl -w user.max_user_namespaces=15000");
	f.kernel.max_user_ns = 5;
	check(&f, id, HOST_ROWS_MISSING, "no", NULL,
	      "sudo sysctl -w user.max_user_namespaces=15000");
	/* Another sort's limit: that command would not help. */
	no_user_ns(&f, HOST_KERNEL_NS_OTHERS, ENOSPC);
	check(&f, id, HOST_ROWS_MISSING, "no", "not known", REDUCED);
	/* Ubuntu's: the namespace is made, and then worth nothing. */
	no_user_ns(&f, HOST_KERNEL_NS_IDS, EPERM);
	f.kernel.apparmor_restrict = 1;
	check(&f, id, HOST_ROWS_MISSING, "no", "profile",
	      "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0");
	f.kernel.apparmor_restrict = 0;
	check(&f, id, HOST_ROWS_MISSING, "no", NULL, REDUCED);
	/* Containers. */
	no_user_ns(&f, HOST_KERNEL_NS_USER, EPERM);
	f.kernel.filtered = true;
	check(&f, id, HOST_ROWS_MISSING, "no", "seccomp filter",
	      "docker run --security-opt seccomp=unconfined IMAGE");
	no_user_ns(&f, HOST_KERNEL_NS_MOUNT, EACCES);
	snprintf(f.kernel.confined, sizeof(f.kernel.confined), "docker-default");
	check(&f, id, HOST_ROWS_MISSING, "no", "AppArmor profile",
	      "docker run --security-opt apparmor=unconfined IMAGE");
	/* Masks over /proc: works, with a bar less. */
	good_host(&f);
	f.kernel.user_ns.proc_masked = true;
	check(&f, id, HOST_ROWS_NOTE, "yes", "Landlock alone",
	      "docker run --security-opt systempaths=unconfined IMAGE");
	no_user_ns(&f, HOST_KERNEL_NS_PROC, ENODEV);
	check(&f, id, HOST_ROWS_MISSING, "no", "not known", REDUCED);
	/* A filter on a process whose namespaces work is nobody's business. */
	good_host(&f);
	f.kernel.filtered = true;
	check(&f, id, HOST_ROWS_OK, "yes", NULL, "");
}

static void test_root_namespaces(void **state)
{
	(void)state;
	static struct host_facts f;
	static const char id[] = "user_namespaces";
	good_host(&f);
	f.uid = 0;
	check(&f, id, HOST_ROWS_OK, "yes", "allowed: mount, PID", "");
	/* Root needs no user namespace. */
	f.kernel.user_ns = (struct host_kernel_ns){.step = HOST_KERNEL_NS_USER, .error = ENOSPC};
	f.kernel.max_user_ns = 0;
	check(&f, id, HOST_ROWS_OK, "no", NULL, "");
	f.kernel.plain_ns = (struct host_kernel_ns){.step = HOST_KERNEL_NS_OTHERS, .error = EPERM};
	check(&f, id, HOST_ROWS_MISSING, "no", "CAP_SYS_ADMIN", REDUCED);
	f.kernel.sys_admin = true;
	check(&f, id, HOST_ROWS_MISSING, "no", "not known", REDUCED);
	f.kernel.filtered = true;
	check(&f, id, HOST_ROWS_MISSING, "no", "seccomp filter", REDUCED);
}

static void test_jail(void **state)
{
	(void)state;
	static struct host_facts f;
	good_host(&f);
	check(&f, "jail", HOST_ROWS_OK, "full", "your user id", "");
	f.uid = 0;
	check(&f, "jail", HOST_ROWS_OK, "full", "of the machine's own", "");
	static struct host_rows rows;
	no_user_ns(&f, HOST_KERNEL_NS_USER, EPERM);
	assert_string_equal(judge(&rows, &f, "jail")->value, "reduced");
	assert_false(rows.can_run);
	f.kernel.landlock_abi = -EOPNOTSUPP;
	assert_string_equal(judge(&rows, &f, "jail")->value, "none");
	f.kernel.landlock_abi = 1;
	f.kernel.seccomp_notify = -EINVAL;
	assert_string_equal(judge(&rows, &f, "jail")->value, "none");
	good_host(&f);
	f.kernel.seccomp_notify = -EINVAL;
	check(&f, "seccomp", HOST_ROWS_MISSING, "no", "5.0", "");
}

static void test_groups(void **state)
{
	(void)state;
	static struct host_facts f;
	good_host(&f);
	check(&f, "groups", HOST_ROWS_OK, "0", NULL, "");
	f.groups = 3;
	check(&f, "groups", HOST_ROWS_NOTE, "3", "unmapped",
	      "sudo setpriv --reuid=1000 --regid=100 --clear-groups mayfly run -- COMMAND");
	f.uid = 0;
	check(&f, "groups", HOST_ROWS_OK, "3", "dropped", "");
}

/* ---- what machines share ---- */

static void test_ksm(void **state)
{
	(void)state;
	static struct host_facts f;
	good_host(&f);
	check(&f, "ksm", HOST_ROWS_OK, "off", NULL, "");
	f.shared.ksm_run = 2;
	check(&f, "ksm", HOST_ROWS_OK, "off", NULL, "");
	f.shared.ksm_run = HOST_KERNEL_NO_VALUE;
	check(&f, "ksm", HOST_ROWS_OK, "none", "not in this kernel", "");
	f.shared.ksm_run = 1;
	check(&f, "ksm", HOST_ROWS_NOTE, "on", "don't ask",
	      "sudo sh -c 'echo 2 > /sys/kernel/mm/ksm/run'");
	f.shared.ksm_asked = true;
	f.uid = 0;
	check(&f, "ksm", HOST_ROWS_NOTE, "on", "MemoryKSM",
	      "sh -c 'echo 2 > /sys/kernel/mm/ksm/run'");
}

static void test_smt(void **state)
{
	(void)state;
	static struct host_facts f;
	good_host(&f);
	check(&f, "smt", HOST_ROWS_OK, "off", "one thread", "");
	f.shared.hypervisor = true;
	check(&f, "smt", HOST_ROWS_OK, "off", "virtual machine", "");
	f.shared.smt_active = HOST_KERNEL_NO_VALUE;
	check(&f, "smt", HOST_ROWS_NOTE, "unknown", NULL, "");
	f.shared.smt_active = 1;
	check(&f, "smt", HOST_ROWS_NOTE, "on", "coresched",
	      "coresched new -- mayfly run -- COMMAND");
	f.shared.core_sched = -EINVAL;
	check(&f, "smt", HOST_ROWS_NOTE, "on", "no core scheduling",
	      "sudo sh -c 'echo off > /sys/devices/system/cpu/smt/control'");
	f.shared.core_sched = 0;
	f.shared.core_cookie = true;
	check(&f, "smt", HOST_ROWS_OK, "core-scheduling", "own kind", "");
}

static void test_swap(void **state)
{
	(void)state;
	static struct host_facts f;
	good_host(&f);
	check(&f, "swap", HOST_ROWS_OK, "0", "none", "");
	f.shared.swaps = 2;
	f.shared.swaps_zram = 1;
	f.shared.swap_bytes = 3ull << 20;
	check(&f, "swap", HOST_ROWS_OK, "3145728", "cgroup keeps", "");
	/* v1's limit doesn't keep anything out of swap. */
	f.cgroup.v1 = 1u << CGROUP_MEMORY;
	check(&f, "swap", HOST_ROWS_NOTE, "3145728", "can't tell whether it is encrypted",
	      "sudo swapoff -a");
	f.cgroup.v1 = 0;
	f.cgroup.usable = 1u << CGROUP_PIDS;
	check(&f, "swap", HOST_ROWS_NOTE, "3145728", NULL, "sudo swapoff -a");
	f.shared.swaps_zram = 2;
	check(&f, "swap", HOST_ROWS_OK, "3145728", "zram", "");
}

static void nx_host(struct host_facts *f, const char *nx, const char *flaw, unsigned create_ms)
{
	good_host(f);
	snprintf(f->shared.nx_huge_pages, sizeof(f->shared.nx_huge_pages), "%s", nx);
	snprintf(f->shared.flaw[0].state, sizeof(f->shared.flaw[0].state), "%s", flaw);
	f->kvm.create_ns = create_ms * 1000000ull;
}

static void test_nx_huge_pages(void **state)
{
	(void)state;
	static struct host_facts f;
	static const char id[] = "nx_huge_pages";
	static const char never[] =
		"sudo sh -c 'echo never > /sys/module/kvm/parameters/nx_huge_pages'";
	nx_host(&f, "", "Not affected", 0);
	check(&f, id, HOST_ROWS_OK, "absent", NULL, "");
	nx_host(&f, "N", "Not affected", 1);
	check(&f, id, HOST_ROWS_OK, "N", "not needed", "");
	nx_host(&f, "N", "Not affected", 70);
	check(&f, id, HOST_ROWS_NOTE, "N", "70 ms", never);
	nx_host(&f, "never", "Not affected", 70);
	check(&f, id, HOST_ROWS_NOTE, "never", "favordynmods",
	      "sudo mount -o remount,favordynmods /sys/fs/cgroup");
	f.cgroup.kind = HOST_CGROUP_V1;
	check(&f, id, HOST_ROWS_NOTE, "never", "favordynmods", "");
	nx_host(&f, "N", "KVM: Vulnerable", 70);
	check(&f, id, HOST_ROWS_NOTE, "N", "whole host",
	      "sudo sh -c 'echo force > /sys/module/kvm/parameters/nx_huge_pages'");
	nx_host(&f, "never", "KVM: Vulnerable", 1);
	check(&f, id, HOST_ROWS_NOTE, "never", "whole host", NULL);
	nx_host(&f, "Y", "Not affected", 1);
	check(&f, id, HOST_ROWS_NOTE, "Y", "lacks the flaw", never);
	nx_host(&f, "Y", "KVM: Mitigation: Split huge pages", 12);
	check(&f, id, HOST_ROWS_OK, "Y", "12 ms", "");
	/* A kernel that doesn't know the flaw: nothing is said of need. */
	nx_host(&f, "N", "", 1);
	check(&f, id, HOST_ROWS_OK, "N", "off", "");
}

static void test_cpu_flaws(void **state)
{
	(void)state;
	static struct host_facts f;
	static const char id[] = "cpu_flaws";
	good_host(&f);
	check(&f, id, HOST_ROWS_OK, "0", "all 1", "");
	add_flaw(&f, "mds", "Mitigation: Clear CPU buffers; SMT vulnerable");
	add_flaw(&f, "l1tf", "Vulnerable");
	check(&f, id, HOST_ROWS_NOTE, "2", "(mds, l1tf)", "");
	f.shared.vendor = HOST_CPU_INTEL;
	check(&f, id, HOST_ROWS_NOTE, "2", NULL, "sudo apt-get install intel-microcode");
	f.shared.vendor = HOST_CPU_AMD;
	check(&f, id, HOST_ROWS_NOTE, "2", NULL, "sudo apt-get install amd64-microcode");
	f.shared.hypervisor = true;
	check(&f, id, HOST_ROWS_NOTE, "2", "host around it", "");
	f.shared.mitigations_off = true;
	check(&f, id, HOST_ROWS_NOTE, "2", "mitigations=off", "");
	f.shared.flaws = 0;
	check(&f, id, HOST_ROWS_NOTE, "unknown", NULL, "");
	/* As many and as long as there can be. */
	good_host(&f);
	f.shared.flaws = 0;
	while (f.shared.flaws < HOST_SHARED_FLAWS_MAX)
		add_flaw(&f, "a_flaw_with_a_name_that_fills_its_field", "Vulnerable");
	check(&f, id, HOST_ROWS_NOTE, "48", "a_flaw_with", NULL);
}

/* ---- limits ---- */

static void test_cgroup(void **state)
{
	(void)state;
	static struct host_facts f;
	good_host(&f);
	check(&f, "cgroup", HOST_ROWS_OK, "v2", "be set here: memory, pids, cpu, io", "");
	f.cgroup.usable &= ~(1u << CGROUP_PIDS);
	check(&f, "cgroup", HOST_ROWS_NOTE, "v2", "can't be set here: pids",
	      "systemd-run --user --scope -p Delegate=yes mayfly run -- COMMAND");
	f.uid = 0;
	check(&f, "cgroup", HOST_ROWS_NOTE, "v2", "can't be set here: pids", "");
	good_host(&f);
	f.cgroup.kind = HOST_CGROUP_HYBRID;
	f.cgroup.usable = 0;
	check(&f, "cgroup", HOST_ROWS_NOTE, "hybrid", "ordinary users none", "");
	f.cgroup.kind = HOST_CGROUP_NONE;
	check(&f, "cgroup", HOST_ROWS_NOTE, "none", "without its limits", "");
}

static void test_limits_and_memory(void **state)
{
	(void)state;
	static struct host_facts f;
	static struct host_rows rows;
	good_host(&f);
	f.mem_available = 512u << 20;
	assert_non_null(strstr(judge(&rows, &f, "memory")->fix, "--memory"));
	f.mem_available = 0;
	assert_int_equal(judge(&rows, &f, "memory")->mark, HOST_ROWS_NOTE);
	f.nofile_hard = 1024;
	assert_int_equal(judge(&rows, &f, "nofile")->mark, HOST_ROWS_NOTE);
	f.kernel.landlock_abi = -EOPNOTSUPP;
	assert_non_null(strstr(judge(&rows, &f, "landlock")->text, "lsm="));
}

static void test_long_paths_are_cut(void **state)
{
	(void)state;
	static struct host_facts f;
	static struct host_rows rows;
	good_host(&f);
	memset(f.guest_kernel.path, 'k', sizeof(f.guest_kernel.path) - 1);
	memset(f.passt.path, 'p', sizeof(f.passt.path) - 1);
	memset(f.qemu.path, 'q', sizeof(f.qemu.path) - 1);
	host_rows_build(&rows, &f);
	assert_true(rows.can_run);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good_host_can_run),
		cmocka_unit_test(test_what_is_needed),
		cmocka_unit_test(test_kvm_advice),
		cmocka_unit_test(test_user_namespace_advice),
		cmocka_unit_test(test_root_namespaces),
		cmocka_unit_test(test_jail),
		cmocka_unit_test(test_groups),
		cmocka_unit_test(test_ksm),
		cmocka_unit_test(test_smt),
		cmocka_unit_test(test_swap),
		cmocka_unit_test(test_nx_huge_pages),
		cmocka_unit_test(test_cpu_flaws),
		cmocka_unit_test(test_cgroup),
		cmocka_unit_test(test_limits_and_memory),
		cmocka_unit_test(test_long_paths_are_cut),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
