// SPDX-License-Identifier: Apache-2.0
// tcg.c - QEMU's argument list: a microvm without a device of its own
#include "engine/tcg.h"

#include "cli/paths.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FS_QUEUE_SIZE 1024
/* As many as the device has for each CPU (VIRTIO_DEV_MAX_QUEUES). */
#define TCG_DISK_QUEUES 4
/* The buffer of translated code is host memory that the guest can make QEMU use. */
#define TCG_ACCEL "tcg,thread=multi,tb-size=256"
#define TSC_TRIES 5
#define TSC_MIN_NS 2000000ull

int tcg_find_qemu(struct err *e)
{
	int fd = paths_which(TCG_QEMU);
	if (fd < 0)
		return err_set(e, ENOENT,
			       "%s is not installed (the tcg engine needs it: apt-get install "
			       "qemu-system-x86)",
			       TCG_QEMU);
	return fd;
}

static int add(struct tcg_args *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static int add(struct tcg_args *a, const char *fmt, ...)
{
	va_list ap;
	char *s = NULL;
	if (a->n + 1 >= TCG_MAX_ARGS)
		return -E2BIG;
	va_start(ap, fmt);
	int n = vasprintf(&s, fmt, ap);
	va_end(ap);
	if (n < 0)
		return -ENOMEM;
	a->argv[a->n++] = s;
	return 0;
}

static int add_pair(struct tcg_args *a, const char *opt, const char *value)
{
	int ret = add(a, "%s", opt);
	return ret < 0 ? ret : add(a, "%s", value);
}

static uint64_t tsc_read(void)
{
	uint32_t lo;
	uint32_t hi;
	__asm__ volatile("lfence; rdtsc" : "=a"(lo), "=d"(hi));
	return (uint64_t)hi << 32 | lo;
}

/*
 * TCG passes the host's time stamp counter through. Under load the guest fails to measure it
 * against an emulated timer, and nothing corrects a wrong value later, so it is told: measured
 * here against the host's own clock, from the program's start to now.
 */
static struct {
	uint64_t tsc;
	uint64_t ns;
} tsc_start;

static uint64_t raw_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC_RAW, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

/* Both clocks at one moment: of some tries the one in which nothing came between. */
static void read_both(uint64_t *tsc, uint64_t *ns)
{
	uint64_t best = UINT64_MAX;
	for (int i = 0; i < TSC_TRIES; i++) {
		uint64_t before = raw_ns();
		uint64_t ticks = tsc_read();
		uint64_t after = raw_ns();
		if (after - before >= best)
			continue;
		best = after - before;
		*tsc = ticks;
		*ns = before + best / 2;
	}
}

void tcg_tsc_begin(void)
{
	read_both(&tsc_start.tsc, &tsc_start.ns);
}

unsigned long tcg_tsc_khz(void)
{
	uint64_t tsc = 0;
	uint64_t ns = 0;
	/* The two readings are some 50 ns apart: 2 ms make that 25 parts in a million. */
	do
		read_both(&tsc, &ns);
	while (ns - tsc_start.ns < TSC_MIN_NS);
	return (unsigned long)((double)(tsc - tsc_start.tsc) * 1e6 / (double)(ns - tsc_start.ns) +
			       0.5);
}

int tcg_kernel_args(char *buf, size_t len, const struct vm_config *c)
{
	/*
	 * loglevel=1: the port is slow, panics still get through. nolapic_timer: saves a quarter of
	 * a second of calibration, but only one CPU can live from the PIT alone. noreplace-smp and
	 * no_timer_check: less patching and probing at boot. rcu_expedited: cgroups and mounts wait
	 * for grace periods, which a machine of one command has no reason to batch.
	 * init_on_alloc=1: correctness. Our devices write guest pages behind QEMU's back, so code
	 * that it translated from a page's old content would be run for the new one; a page that
	 * the guest clears itself before it is filled has lost its translations (tests:
	 * code_pages). tsc=reliable: else Linux compares the TSC with its ticks, of which a busy
	 * host loses some, takes the ticks for the better clock, and is late ever after.
	 * norandmaps: what QEMU has translated is good for one address only, so a library that is
	 * elsewhere in each process is translated for each process.
	 */
	int n = snprintf(buf, len,
			 "console=ttyS0 loglevel=%d reboot=t panic=-1 noreplace-smp "
			 "no_timer_check rcupdate.rcu_expedited=1 init_on_alloc=1 "
			 "tsc_early_khz=%lu tsc=reliable cgroup.memory=nokmem%s%s",
			 c->console ? 7 : 1, tcg_tsc_khz(), c->cpus == 1 ? " nolapic_timer" : "",
			 c->aslr ? "" : " norandmaps");
	return n < 0 || (size_t)n >= len ? -E2BIG : 0;
}

static int add_machine(struct tcg_args *a, const struct vm_config *c)
{
	unsigned long long mib = c->memory >> 20;
	int ret = add_pair(a, "-M", "microvm,rtc=on,acpi=off,memory-backend=mem");
	if (ret == 0)
		ret = add_pair(a, "-accel", TCG_ACCEL);
	if (ret == 0)
		/*
		 * TCG copies byte by byte for "rep movsb": hide that it is said to be fast. With
		 * SMAP each copy from and to a program is code of another kind, and is translated
		 * apart; it would guard the guest's kernel from its users.
		 */
		ret = add_pair(a, "-cpu", "max,-erms,-fsrm,-smap");
	if (ret == 0 && (ret = add(a, "-smp")) == 0)
		ret = add(a, "%u", c->cpus);
	if (ret == 0 && (ret = add(a, "-m")) == 0)
		ret = add(a, "%lluM", mib);
	if (ret == 0 && (ret = add(a, "-object")) == 0)
		ret = add(a, "memory-backend-memfd,id=mem,size=%lluM,share=on", mib);
	return ret;
}

static int add_device(struct tcg_args *a, const char *id, int fd, const char *device)
{
	int ret = add(a, "-chardev");
	if (ret == 0)
		ret = add(a, "socket,id=%s,fd=%d", id, fd);
	if (ret == 0)
		ret = add_pair(a, "-device", device);
	return ret;
}

static int add_disks(struct tcg_args *a, const struct vm_config *c, const struct tcg_fds *fds)
{
	unsigned queues = c->cpus < TCG_DISK_QUEUES ? c->cpus : TCG_DISK_QUEUES;
	int ret = 0;
	for (unsigned i = 0; ret == 0 && i < fds->n_disk; i++) {
		char id[16];
		char device[96];
		snprintf(id, sizeof(id), "disk%u", i);
		snprintf(device, sizeof(device), "vhost-user-blk,chardev=%s,num-queues=%u", id,
			 queues);
		ret = add_device(a, id, fds->disk[i], device);
	}
	return ret;
}

static int add_devices(struct tcg_args *a, const struct vm_config *c, const struct tcg_fds *fds)
{
	char fs[128];
	int ret = add_pair(a, "-global", "virtio-mmio.force-legacy=false");
	if (ret == 0 && fds->vsock >= 0)
		ret = add_device(a, "vsock", fds->vsock, "vhost-user-vsock-device,chardev=vsock");
	snprintf(fs, sizeof(fs), "vhost-user-fs-device,chardev=fs,tag=mayfly,queue-size=%d",
		 FS_QUEUE_SIZE);
	if (ret == 0 && fds->fs >= 0)
		ret = add_device(a, "fs", fds->fs, fs);
	if (ret == 0 && fds->rng >= 0)
		ret = add_device(a, "rng", fds->rng, "vhost-user-rng,chardev=rng");
	if (ret == 0)
		ret = add_disks(a, c, fds);
	if (ret == 0 && (ret = add(a, "-chardev")) == 0)
		ret = add(a, "socket,id=serial,fd=%d", fds->serial);
	if (ret == 0)
		ret = add_pair(a, "-serial", "chardev:serial");
	return ret;
}

int tcg_build_args(struct tcg_args *a, const struct vm_config *c, const struct tcg_fds *fds,
		   const char *cmdline)
{
	memset(a, 0, sizeof(*a));
	int ret = add(a, TCG_QEMU);
	if (ret == 0)
		ret = add(a, "-nodefaults");
	if (ret == 0)
		ret = add(a, "-no-user-config");
	if (ret == 0)
		ret = add(a, "-no-reboot");
	if (ret == 0)
		ret = add_pair(a, "-display", "none");
	/* Our table denies more, and says what was tried; its own filter would kill without a word.
	 */
	if (ret == 0 && c->jail == JAIL_MODE_NONE)
		ret = add_pair(a, "-sandbox",
			       "on,obsolete=deny,elevateprivileges=deny,spawn=deny,"
			       "resourcecontrol=deny");
	if (ret == 0)
		ret = add_machine(a, c);
	if (ret == 0)
		ret = add_devices(a, c, fds);
	if (ret == 0 && (ret = add(a, "-kernel")) == 0)
		ret = add(a, "%s", fds->kernel);
	if (ret == 0 && fds->init && (ret = add(a, "-initrd")) == 0)
		ret = add(a, "%s", fds->init);
	if (ret == 0)
		ret = add_pair(a, "-append", cmdline);
	return ret;
}

size_t tcg_trees(char *tree[TCG_MAX_TREES])
{
	/*
	 * Libraries and accelerator modules, the loader's table of them, firmware. QEMU looks for
	 * its modules from its own directory upwards, so that must be there.
	 */
	static const char *const paths[] = {
		"/lib",
		"/lib64",
		"/usr/lib",
		"/usr/lib64",
		"/usr/share/qemu",
		"/usr/share/seabios",
		"/usr/local/lib",
		"/usr/local/share/qemu",
		"/etc/ld.so.cache",
		"/usr/bin/",
		"/usr/local/bin/",
	};
	size_t n = 0;
	for (; n < sizeof(paths) / sizeof(paths[0]); n++)
		tree[n] = (char *)(uintptr_t)paths[n];
	return n;
}

void tcg_free_args(struct tcg_args *a)
{
	for (size_t i = 0; i < a->n; i++)
		free(a->argv[i]);
	a->n = 0;
}
