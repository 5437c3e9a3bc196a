// SPDX-License-Identifier: Apache-2.0
// test_host_facts.c - what doctor reads out of the host's texts, and how it judges
#include "cli/host_facts.h"

#include "cli/host_exec.h"
#include "cli/host_rows.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

/* ---- QEMU ---- */

static void test_qemu_versions(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		unsigned v[3];
		bool enough;
	} good[] = {
		{"QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)\nCopyright\n",
		 {7, 2, 22},
		 true},
		{"QEMU emulator version 6.2.0 (Debian 1:6.2+dfsg-2ubuntu6)\n", {6, 2, 0}, false},
		{"QEMU emulator version 7.1.99\n", {7, 1, 99}, false},
		{"QEMU emulator version 8.0\n", {8, 0, 0}, true},
		{"QEMU emulator version 10.0.0-rc3 (v10.0.0-rc3)\n", {10, 0, 0}, true},
		{"QEMU emulator version 9.2", {9, 2, 0}, true},
	};
	for (size_t i = 0; i < LEN(good); i++) {
		unsigned v[3] = {99, 99, 99};
		assert_true(host_qemu_parse(good[i].text, v));
		assert_memory_equal(v, good[i].v, sizeof(v));
		assert_int_equal(host_qemu_new_enough(v), good[i].enough);
	}
}

static void test_qemu_other_texts(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"",
		"QEMU",
		"QEMU emulator version ",
		"QEMU emulator version 8",
		"QEMU emulator version 8.",
		"QEMU emulator version 8.x",
		"QEMU emulator version 8.1.",
		"QEMU emulator version -8.1.0",
		"QEMU emulator version 99999999999999.1.0",
		"qemu-img version 7.2.22",
		"warning: x\nQEMU emulator version 7.2.22\n",
	};
	for (size_t i = 0; i < LEN(bad); i++) {
		unsigned v[3] = {1, 2, 3};
		assert_false(host_qemu_parse(bad[i], v));
		assert_int_equal(v[0], 1);
	}
}

/* ---- cgroups ---- */

#define MOUNT_ROOT "22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw\n"

static void test_cgroup_v2(void **state)
{
	(void)state;
	struct host_cgroup cg;
	host_cgroup_parse(&cg,
			  MOUNT_ROOT "30 22 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 "
				     "cgroup2 rw,nsdelegate\n",
			  "0::/user.slice/user-1000.slice/session-2.scope\n");
	assert_int_equal(cg.kind, HOST_CGROUP_V2);
	assert_string_equal(cg.place[HOST_CGROUP_MEMORY].dir,
			    "/sys/fs/cgroup/user.slice/user-1000.slice/session-2.scope");
	assert_false(cg.place[HOST_CGROUP_MEMORY].v1);
	assert_string_equal(cg.place[HOST_CGROUP_PIDS].dir, cg.place[HOST_CGROUP_MEMORY].dir);
}

static void test_cgroup_hybrid(void **state)
{
	(void)state;
	struct host_cgroup cg;
	host_cgroup_parse(
		&cg,
		MOUNT_ROOT
		"31 22 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
		"35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
		"33 31 0:30 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
		"40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n"
		"41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n",
		"8:pids:/\n4:memory:/jobs/650e\n1:name=systemd:/\n0::/\n");
	assert_int_equal(cg.kind, HOST_CGROUP_HYBRID);
	assert_true(cg.place[HOST_CGROUP_MEMORY].v1);
	assert_string_equal(cg.place[HOST_CGROUP_MEMORY].dir, "/sys/fs/cgroup/memory/jobs/650e");
	/* No v1 hierarchy has it, so v2 may. */
	assert_false(cg.place[HOST_CGROUP_PIDS].v1);
	assert_string_equal(cg.place[HOST_CGROUP_PIDS].dir, "/sys/fs/cgroup/unified");
}

static void test_cgroup_v1_in_a_container(void **state)
{
	(void)state;
	struct host_cgroup cg;
	/* The mount shows the container's own group as its root; the order of mounts is free. */
	host_cgroup_parse(
		&cg,
		"50 22 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
		"51 22 0:33 /docker/abc /sys/fs/cgroup/p\\040x rw - cgroup cgroup "
		"rw,pids\n" MOUNT_ROOT,
		"9:pids:/docker/abc/sub\n4:memory:/docker/abc\n");
	assert_int_equal(cg.kind, HOST_CGROUP_V1);
	assert_string_equal(cg.place[HOST_CGROUP_MEMORY].dir, "/sys/fs/cgroup/memory");
	assert_string_equal(cg.place[HOST_CGROUP_PIDS].dir, "/sys/fs/cgroup/p x/sub");
}

static void test_cgroup_outside_of_the_namespace(void **state)
{
	(void)state;
	struct host_cgroup cg;
	host_cgroup_parse(&cg, "30 22 0:26 /../.. /cg rw - cgroup2 cgroup2 rw\n", "0::/../x\n");
	assert_int_equal(cg.kind, HOST_CGROUP_V2);
	assert_string_equal(cg.place[HOST_CGROUP_PIDS].dir, "/cg");
	host_cgroup_parse(&cg, "30 22 0:26 / /cg rw - cgroup2 cgroup2 rw\n", "0::/../x\n");
	assert_string_equal(cg.place[HOST_CGROUP_PIDS].dir, "/cg");
}

static void test_cgroup_garbage(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"",
		"\n\n\n",
		" - cgroup2 x y\n",
		"30 22 0:26 / /cg rw cgroup2 cgroup2 rw\n",
		"30 22 0:26 / /cg rw -\n",
		"30 22 0:26 / /cg rw - cgroup2\n",
		"30 22 0:26 cg cg rw - cgroup2 cgroup2 rw\n",
		"1 2 3 / / 6 7 8 9 a b c d e f g h i j k l m n o p q r s t u v w x - cgroup2 a rw",
	};
	struct host_cgroup cg;
	for (size_t i = 0; i < LEN(bad); i++) {
		host_cgroup_parse(&cg, bad[i], "0:\n::\n:::\nx\n");
		assert_int_equal(cg.kind, HOST_CGROUP_NONE);
		host_cgroup_check(&cg);
		assert_false(cg.place[HOST_CGROUP_MEMORY].usable);
	}
	size_t big = 1u << 20;
	char *text = malloc(big + 1);
	assert_non_null(text);
	memset(text, '/', big);
	text[big] = '\0';
	host_cgroup_parse(&cg, text, text);
	assert_int_equal(cg.kind, HOST_CGROUP_NONE);
	free(text);
}

static void test_cgroup_long_path_is_no_path(void **state)
{
	(void)state;
	struct host_cgroup cg;
	char self[2 * PATH_MAX] = "0::/";
	memset(self + 4, 'a', PATH_MAX + 100);
	host_cgroup_parse(&cg, "30 22 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", self);
	assert_int_equal(cg.kind, HOST_CGROUP_V2);
	assert_string_equal(cg.place[HOST_CGROUP_MEMORY].dir, "");
}

/* ---- small texts ---- */

static void test_meminfo(void **state)
{
	(void)state;
	const char *text =
		"MemTotal:       2048 kB\nMemAvailableX: 7 kB\nMemAvailable:   1024 kB\n";
	assert_int_equal(host_facts_meminfo(text, "MemAvailable"), 1024 * 1024);
	assert_int_equal(host_facts_meminfo(text, "MemTotal"), 2048 * 1024);
	assert_int_equal(host_facts_meminfo(text, "Mem"), 0);
	assert_int_equal(host_facts_meminfo("MemAvailable: many", "MemAvailable"), 0);
	assert_int_equal(
		host_facts_meminfo("MemAvailable: 18446744073709551615 kB", "MemAvailable"), 0);
	assert_int_equal(host_facts_meminfo("", "MemAvailable"), 0);
}

static void test_cpu_virt(void **state)
{
	(void)state;
	assert_int_equal(host_facts_cpu_virt("x : y\nflags\t\t: fpu svm sse\n"), HOST_CPU_VIRT_SVM);
	assert_int_equal(host_facts_cpu_virt("flags : fpu vmx"), HOST_CPU_VIRT_VMX);
	assert_int_equal(host_facts_cpu_virt("flags : fpu svm_lock avmx vmxx\nvmx flags: vnmi\n"),
			 HOST_CPU_VIRT_NONE);
	assert_int_equal(host_facts_cpu_virt(""), HOST_CPU_VIRT_NONE);
}

static void test_numbers(void **state)
{
	(void)state;
	assert_int_equal(host_kernel_number("0\n"), 0);
	assert_int_equal(host_kernel_number("96365"), 96365);
	assert_true(host_kernel_number("") == HOST_KERNEL_NO_VALUE);
	assert_true(host_kernel_number("x") == HOST_KERNEL_NO_VALUE);
	assert_true(host_kernel_number("1 2\n") == HOST_KERNEL_NO_VALUE);
	assert_true(host_kernel_number("99999999999999999999\n") == HOST_KERNEL_NO_VALUE);
}

/* ---- children with a deadline ---- */

static int child_writes(void *arg, int out_fd)
{
	const char *text = arg;
	return write(out_fd, text, strlen(text)) < 0;
}

static int child_fails(void *arg, int out_fd)
{
	(void)arg;
	(void)out_fd;
	return 3;
}

static int child_hangs(void *arg, int out_fd)
{
	/* A child of its own that holds the pipe, both deaf to all but SIGKILL. */
	sigset_t all;
	(void)arg;
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	pid_t pid = fork();
	if (pid > 0 && write(out_fd, &pid, sizeof(pid)) < 0)
		return 1;
	while (pause() < 0)
		;
	return 0;
}

static int child_floods(void *arg, int out_fd)
{
	char block[4096];
	(void)arg;
	memset(block, 'f', sizeof(block));
	for (int i = 0; i < 256; i++)
		if (write(out_fd, block, sizeof(block)) < 0)
			return 1;
	return 0;
}

/* Gone, or a zombie that only waits for its new parent. */
static bool is_dead(pid_t pid)
{
	char path[64];
	char text[256] = "";
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return true;
	ssize_t n = read(fd, text, sizeof(text) - 1);
	close(fd);
	const char *paren = n > 0 ? strrchr(text, ')') : NULL;
	return !paren || paren[2] == 'Z' || paren[2] == 'X';
}

static void test_child_answers(void **state)
{
	(void)state;
	char buf[64];
	char word[] = "hello";
	assert_int_equal(host_exec_call(child_writes, word, 5000, buf, sizeof(buf)), 5);
	assert_string_equal(buf, "hello");
	assert_int_equal(host_exec_call(child_writes, word, 5000, buf, 4), 3);
	assert_string_equal(buf, "hel");
	assert_int_equal(host_exec_call(child_fails, NULL, 5000, buf, sizeof(buf)), -ECANCELED);
	assert_int_equal(host_exec_call(child_floods, NULL, 5000, buf, sizeof(buf)), 63);
}

static void test_child_that_hangs_is_ended(void **state)
{
	(void)state;
	char buf[64];
	pid_t grandchild = 0;
	assert_int_equal(host_exec_call(child_hangs, NULL, 300, buf, sizeof(buf)), -ETIMEDOUT);
	memcpy(&grandchild, buf, sizeof(grandchild));
	assert_true(grandchild > 0);
	for (int i = 0; i < 500 && !is_dead(grandchild); i++)
		usleep(10000);
	assert_true(is_dead(grandchild));
}

static void test_programs(void **state)
{
	(void)state;
	char buf[64];
	char *const argv[] = {(char *)(uintptr_t) "echo", (char *)(uintptr_t) "hi", NULL};
	int fd = open("/bin/echo", O_PATH | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(host_exec_output(fd, argv, 5000, buf, sizeof(buf)), 3);
	assert_string_equal(buf, "hi\n");
	close(fd);
	fd = open("/etc/passwd", O_PATH | O_CLOEXEC);
	assert_int_equal(host_exec_output(fd, argv, 5000, buf, sizeof(buf)), -ECANCELED);
	close(fd);
}

/* ---- judgement ---- */

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
	f->kernel.tun_present = true;
	f->cgroup.kind = HOST_CGROUP_V2;
	f->cgroup.place[HOST_CGROUP_MEMORY].usable = true;
	f->cgroup.place[HOST_CGROUP_PIDS].usable = true;
	f->mem_available = 8ull << 30;
	f->nofile_hard = 20000;
}

static const struct host_row *find(const struct host_rows *rows, const char *id)
{
	for (size_t i = 0; i < rows->n; i++)
		if (strcmp(rows->row[i].id, id) == 0)
			return &rows->row[i];
	fail_msg("no row %s", id);
	return NULL;
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

static void test_namespace_advice(void **state)
{
	(void)state;
	static struct host_facts f;
	static struct host_rows rows;
	good_host(&f);
	f.kernel.user_ns = (struct host_kernel_ns){HOST_KERNEL_NS_USER, EPERM};
	f.kernel.plain_ns = (struct host_kernel_ns){HOST_KERNEL_NS_OTHERS, EPERM};
	assert_string_equal(judge(&rows, &f, "user_namespaces")->fix, "");
	f.kernel.userns_clone = 0;
	assert_string_equal(judge(&rows, &f, "user_namespaces")->fix,
			    "sudo sysctl -w kernel.unprivileged_userns_clone=1");
	f.kernel.userns_clone = 1;
	f.kernel.apparmor_restrict = 1;
	assert_non_null(strstr(judge(&rows, &f, "user_namespaces")->fix, "apparmor"));
	f.kernel.user_ns.error = ENOSPC;
	f.uid = 0;
	assert_string_equal(judge(&rows, &f, "user_namespaces")->fix,
			    "sysctl -w user.max_user_namespaces=15000");
}

static void test_limits_and_memory(void **state)
{
	(void)state;
	static struct host_facts f;
	static struct host_rows rows;
	good_host(&f);
	f.cgroup.place[HOST_CGROUP_PIDS].usable = false;
	assert_int_equal(judge(&rows, &f, "cgroup")->mark, HOST_ROWS_NOTE);
	assert_non_null(strstr(find(&rows, "cgroup")->text, "can't be set here: pids"));
	assert_non_null(strstr(find(&rows, "cgroup")->fix, "Delegate"));
	f.cgroup.kind = HOST_CGROUP_NONE;
	assert_int_equal(judge(&rows, &f, "cgroup")->mark, HOST_ROWS_NOTE);
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

/* Whatever this host is: it ends, it fills everything, it leaves no descriptor open. */
static void test_collect_here(void **state)
{
	(void)state;
	static struct host_facts f;
	int before = dup(0);
	close(before);
	host_facts_collect(&f);
	int after = dup(0);
	close(after);
	assert_int_equal(before, after);
	assert_true(f.cpus > 0);
	assert_true(strlen(f.kvm.reason) > 0);
	assert_true(f.mem_available > 0);
	assert_true(f.nofile_hard > 0);
	assert_int_not_equal(f.kernel.user_ns.step, HOST_KERNEL_NS_UNKNOWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_qemu_versions),
		cmocka_unit_test(test_qemu_other_texts),
		cmocka_unit_test(test_cgroup_v2),
		cmocka_unit_test(test_cgroup_hybrid),
		cmocka_unit_test(test_cgroup_v1_in_a_container),
		cmocka_unit_test(test_cgroup_outside_of_the_namespace),
		cmocka_unit_test(test_cgroup_garbage),
		cmocka_unit_test(test_cgroup_long_path_is_no_path),
		cmocka_unit_test(test_meminfo),
		cmocka_unit_test(test_cpu_virt),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_child_answers),
		cmocka_unit_test(test_child_that_hangs_is_ended),
		cmocka_unit_test(test_programs),
		cmocka_unit_test(test_good_host_can_run),
		cmocka_unit_test(test_what_is_needed),
		cmocka_unit_test(test_kvm_advice),
		cmocka_unit_test(test_namespace_advice),
		cmocka_unit_test(test_limits_and_memory),
		cmocka_unit_test(test_long_paths_are_cut),
		cmocka_unit_test(test_collect_here),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
