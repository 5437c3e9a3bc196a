// SPDX-License-Identifier: Apache-2.0
// test_host_facts.c - what doctor reads out of the host's texts, and that it looks at all of it
#include "cli/host_facts.h"

#include "cli/host_exec.h"

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
#include <sys/stat.h>
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

static void test_cgroup_kinds(void **state)
{
	(void)state;
#define V1(name) "33 31 0:30 / /cg/" name " rw - cgroup cgroup rw," name "\n"
#define V2 "30 22 0:26 /../.. /cg/unified rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
	static const struct {
		const char *mounts;
		enum host_cgroup_kind kind;
	} good[] = {
		{MOUNT_ROOT V2, HOST_CGROUP_V2},
		{MOUNT_ROOT V1("memory") V1("pids"), HOST_CGROUP_V1},
		{V1("cpu,cpuacct") MOUNT_ROOT V2, HOST_CGROUP_HYBRID},
		{V2 V1("blkio"), HOST_CGROUP_HYBRID},
		/* A hierarchy with a name is none for limits. */
		{V1("name=systemd") V2, HOST_CGROUP_V2},
		{V1("name=systemd"), HOST_CGROUP_NONE},
	};
	for (size_t i = 0; i < LEN(good); i++)
		assert_int_equal(host_cgroup_kind_of(good[i].mounts), good[i].kind);
	static const char *const bad[] = {
		"",
		"\n\n\n",
		MOUNT_ROOT,
		"30 22 0:26 / /cg rw cgroup2 cgroup2 rw\n",
		"30 22 0:26 / /cg rw -\n",
		"30 22 0:26 / /cg rw - cgroup2\n",
	};
	for (size_t i = 0; i < LEN(bad); i++)
		assert_int_equal(host_cgroup_kind_of(bad[i]), HOST_CGROUP_NONE);
	size_t big = 1u << 20;
	char *text = malloc(big + 1);
	assert_non_null(text);
	memset(text, '/', big);
	text[big] = '\0';
	assert_int_equal(host_cgroup_kind_of(text), HOST_CGROUP_NONE);
	free(text);
}

/* A directory that looks like a v2 group, below one that does, too. */
static char group_top[] = "/tmp/mayfly-test-XXXXXX";
static struct cgroup_place group_place;

static void put_group(const char *below, const char *file, const char *text)
{
	char path[128];
	snprintf(path, sizeof(path), "%s%s/%s", group_top, below, file);
	FILE *out = fopen(path, "w");
	assert_non_null(out);
	assert_true(fputs(text, out) >= 0);
	fclose(out);
}

static int make_groups(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(group_top));
	snprintf(group_place.point, sizeof(group_place.point), "%s", group_top);
	snprintf(group_place.own, sizeof(group_place.own), "%s/a/b", group_top);
	group_place.ctls = (1u << CGROUP_CTLS) - 1;
	char path[128];
	static const char *const dirs[] = {"", "/a", "/a/b"};
	for (size_t i = 0; i < LEN(dirs); i++) {
		snprintf(path, sizeof(path), "%s%s", group_top, dirs[i]);
		if (i > 0)
			assert_int_equal(mkdir(path, 0755), 0);
		put_group(dirs[i], "cgroup.controllers", "");
		put_group(dirs[i], "cgroup.subtree_control", "");
		if (i > 0)
			put_group(dirs[i], "cgroup.type", "domain\n");
	}
	return 0;
}

static int remove_groups(void **state)
{
	(void)state;
	static const char *const names[] = {"/cgroup.controllers", "/cgroup.subtree_control",
					    "/cgroup.type", "/tasks", ""};
	static const char *const dirs[] = {"/a/b", "/a", ""};
	char path[128];
	for (size_t i = 0; i < LEN(dirs); i++)
		for (size_t k = 0; k < LEN(names); k++) {
			snprintf(path, sizeof(path), "%s%s%s", group_top, dirs[i], names[k]);
			(void)remove(path);
		}
	return access(group_top, F_OK) == 0;
}

static void test_cgroup_usable(void **state)
{
	(void)state;
	const struct cgroup_place *p = &group_place;
	unsigned memory = 1u << CGROUP_MEMORY;
	unsigned pids = 1u << CGROUP_PIDS;
	assert_int_equal(host_cgroup_usable(p, false), 0);
	/* Its own group has processes: what isn't switched on there stays off. */
	put_group("/a/b", "cgroup.controllers", "cpuset memory pids\n");
	assert_int_equal(host_cgroup_usable(p, false), 0);
	put_group("/a/b", "cgroup.subtree_control", "memory\n");
	assert_int_equal(host_cgroup_usable(p, false), memory);
	put_group("/a", "cgroup.controllers", "cpuset memory pids\n");
	assert_int_equal(host_cgroup_usable(p, false), memory | pids);
	/* Only root looks at the top. */
	put_group("", "cgroup.controllers", "cpuset cpu io memory pids\n");
	assert_int_equal(host_cgroup_usable(p, false), memory | pids);
	assert_int_equal(host_cgroup_usable(p, true), p->ctls);
	/* The root of all may have processes and switch controllers on, a container's may not. */
	struct cgroup_place top = *p;
	snprintf(top.own, sizeof(top.own), "%s", top.point);
	assert_int_equal(host_cgroup_usable(&top, false), p->ctls);
	put_group("", "cgroup.type", "domain\n");
	assert_int_equal(host_cgroup_usable(&top, true), 0);
	struct cgroup_place gone = *p;
	snprintf(gone.own, sizeof(gone.own), "%s/x/y", group_top);
	assert_int_equal(host_cgroup_usable(&gone, false), 0);
	struct cgroup_place v1 = *p;
	v1.v1 = true;
	assert_int_equal(host_cgroup_usable(&v1, true), 0);
	put_group("/a/b", "tasks", "");
	assert_int_equal(host_cgroup_usable(&v1, true), v1.ctls);
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

static void test_status(void **state)
{
	(void)state;
	const char *text = "Name:\tx\nSeccompX:\t7\nCapEff:\t000001ffffffffff\nSeccomp:\t2\n";
	assert_int_equal(host_kernel_status(text, "Seccomp", 10), 2);
	assert_true(host_kernel_status(text, "CapEff", 16) == 0x1ffffffffff);
	assert_true(host_kernel_status(text, "Cap", 16) == HOST_KERNEL_NO_VALUE);
	assert_true(host_kernel_status(text, "Name", 10) == HOST_KERNEL_NO_VALUE);
	assert_true(host_kernel_status("", "Seccomp", 10) == HOST_KERNEL_NO_VALUE);
}

static void test_profile(void **state)
{
	(void)state;
	char out[8];
	host_kernel_profile(out, sizeof(out), "docker-default (enforce)\n");
	assert_string_equal(out, "docker-");
	host_kernel_profile(out, sizeof(out), "lxc (enforce)");
	assert_string_equal(out, "lxc");
	static const char *const none[] = {"", "unconfined\n", "lxc (complain)\n", "u:r:init:s0"};
	for (size_t i = 0; i < LEN(none); i++) {
		host_kernel_profile(out, sizeof(out), none[i]);
		assert_string_equal(out, "");
	}
}

/* ---- what machines share ---- */

#define SWAPS "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"

static void test_swaps(void **state)
{
	(void)state;
	struct host_shared s = {.swaps = 9, .swaps_zram = 9, .swap_bytes = 9};
	host_shared_swaps(&s, SWAPS);
	assert_int_equal(s.swaps, 0);
	assert_int_equal(s.swap_bytes, 0);
	host_shared_swaps(&s, SWAPS "/dev/dm-1  partition\t1024\t\t0\t\t-2\n"
				    "/dev/zram0 partition\t1\t0\t100\n"
				    "/swap\\040file file\t2\t0\t3\n");
	assert_int_equal(s.swaps, 3);
	assert_int_equal(s.swaps_zram, 1);
	assert_int_equal(s.swap_bytes, 1027 * 1024);
	static const char *const none[] = {"",
					   "\n",
					   "\n\n\n",
					   SWAPS "x",
					   SWAPS "x y\n",
					   SWAPS "x y -z\n",
					   SWAPS "/a file 18446744073709551615\n"};
	for (size_t i = 0; i < LEN(none); i++) {
		host_shared_swaps(&s, none[i]);
		assert_int_equal(s.swaps, 0);
	}
}

static void test_cpu_kinds(void **state)
{
	(void)state;
	struct host_shared s;
	host_shared_cpu(&s,
			"processor : 0\nvendor_id\t: AuthenticAMD\nflags\t\t: fpu hypervisor\n");
	assert_int_equal(s.vendor, HOST_CPU_AMD);
	assert_true(s.hypervisor);
	host_shared_cpu(&s, "vendor_id : GenuineIntel\nflags : hypervisors xhypervisor\n\n"
			    "vendor_id : AuthenticAMD\nflags : hypervisor\n");
	assert_int_equal(s.vendor, HOST_CPU_INTEL);
	assert_false(s.hypervisor);
	host_shared_cpu(&s, "");
	assert_int_equal(s.vendor, HOST_CPU_OTHER);
	assert_false(s.hypervisor);
}

static void test_mitigations(void **state)
{
	(void)state;
	assert_true(host_shared_mitigations_off("quiet mitigations=off ro"));
	assert_false(host_shared_mitigations_off("mitigations=off quiet mitigations=auto"));
	assert_false(host_shared_mitigations_off("xmitigations=off"));
	assert_false(host_shared_mitigations_off(""));
}

static void test_open_flaws(void **state)
{
	(void)state;
	static const char *const closed[] = {"Not affected", "Mitigation: PTI",
					     "KVM: Mitigation: Split huge pages", ""};
	static const char *const open[] = {"Vulnerable", "KVM: Vulnerable", "Processor vulnerable",
					   "Mitigation: Clear CPU buffers; SMT vulnerable"};
	struct host_flaw flaw = {.name = "x"};
	for (size_t i = 0; i < LEN(closed); i++) {
		snprintf(flaw.state, sizeof(flaw.state), "%s", closed[i]);
		assert_false(host_flaw_is_open(&flaw));
		snprintf(flaw.state, sizeof(flaw.state), "%s", open[i]);
		assert_true(host_flaw_is_open(&flaw));
	}
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
	assert_true(f.shared.flaws > 0);
	assert_int_equal(f.gid, getegid());
	assert_true(f.mem_available > 0);
	assert_true(f.nofile_hard > 0);
	assert_int_not_equal(f.kernel.user_ns.step, HOST_KERNEL_NS_UNKNOWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_qemu_versions),
		cmocka_unit_test(test_qemu_other_texts),
		cmocka_unit_test(test_cgroup_kinds),
		cmocka_unit_test_setup_teardown(test_cgroup_usable, make_groups, remove_groups),
		cmocka_unit_test(test_meminfo),
		cmocka_unit_test(test_cpu_virt),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_profile),
		cmocka_unit_test(test_swaps),
		cmocka_unit_test(test_cpu_kinds),
		cmocka_unit_test(test_mitigations),
		cmocka_unit_test(test_open_flaws),
		cmocka_unit_test(test_child_answers),
		cmocka_unit_test(test_child_that_hangs_is_ended),
		cmocka_unit_test(test_programs),
		cmocka_unit_test(test_collect_here),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
