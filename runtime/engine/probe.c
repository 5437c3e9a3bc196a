// SPDX-License-Identifier: Apache-2.0
// probe.c - can this host's KVM run a kernel at speed, and if not, why
//
// Theory of operation: some hosts offer a /dev/kvm that runs user-mode guest code natively but
// interprets kernel-mode code, a hundred times slower. Capabilities don't tell; time does. A VM
// with one page of memory and no interrupt controller runs a counted loop at CPL 0 that ends with
// a port write. (Never with hlt: with an in-kernel interrupt controller that blocks for ever.) A
// timer bounds each run. Its signal is blocked here and let through by KVM only while the guest
// runs, so one that comes early stays pending and ends KVM_RUN at once: no race, no handler.
#include "engine/probe.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

#define NS_PER_S 1000000000ull
#define GUEST_PAGE 4096u
#define GUEST_CODE 0x1000u
#define GUEST_PORT 0xf4u
#define TSS_ADDR 0xfffbd000ul /* three pages that some Intel CPUs need below 4 GiB */
#define CR0_PE 1u
#define RFLAGS_FIXED 2u
#define CACHE_MAGIC "mayfly-kvm-probe 1"
#define CACHE_MAX 512u

/* 10,000 rounds of two instructions; after the port write it starts again, for the next sample. */
static const uint8_t guest_loop[] = {
	0xb9, 0x10,	  0x27, 0x00, 0x00, /* mov $10000, %ecx */
	0x49,				    /* dec %ecx */
	0x75, 0xfd,			    /* jnz the dec */
	0xe6, GUEST_PORT,		    /* out %al, $GUEST_PORT */
	0xeb, 0xf4,			    /* jmp the mov */
};

struct probe_vm {
	int vm;
	int vcpu;
	void *page;
	struct kvm_run *run;
	size_t run_len;
};

/* Says no with a reason; returns false, so that a check can `return no(...)`. */
static bool __attribute__((format(printf, 2, 3))) no(struct probe_result *out, const char *fmt, ...)
{
	va_list ap;
	out->usable = false;
	va_start(ap, fmt);
	vsnprintf(out->reason, sizeof(out->reason), fmt, ap);
	va_end(ap);
	return false;
}

/* ---- decision ---- */

enum probe_verdict probe_decide(const struct probe_sample *s, size_t n)
{
	const struct probe_sample *last = &s[n - 1];
	if (last->done && last->wall_ns <= PROBE_BOUND_NS)
		return PROBE_YES;
	if (last->wall_ns > PROBE_NO_NS && last->cpu_ns > PROBE_BOUND_NS)
		return PROBE_NO;
	return n < PROBE_SAMPLES ? PROBE_MORE : PROBE_NO;
}

void probe_explain(struct probe_result *out)
{
	double ms = (double)out->loop_ns / 1e6;
	double limit = (double)PROBE_BOUND_NS / 1e6;
	if (out->loop_ns <= PROBE_BOUND_NS) {
		out->usable = true;
		snprintf(out->reason, sizeof(out->reason),
			 "kernel-mode code runs at full speed: " PROBE_INSNS
			 " instructions took %.2f ms, %.0f ms is the limit",
			 ms, limit);
	} else if (out->loop_ns >= PROBE_CUT_NS) {
		no(out,
		   "kernel-mode code is interpreted: " PROBE_INSNS
		   " instructions took more than %.0f ms, %.0f ms is the limit",
		   (double)PROBE_CUT_NS / 1e6, limit);
	} else {
		no(out,
		   "kernel-mode code is %s: " PROBE_INSNS
		   " instructions took %.1f ms, %.0f ms is the limit",
		   out->loop_ns > PROBE_NO_NS ? "interpreted" : "too slow", ms, limit);
	}
}

/* ---- cache ---- */

static int read_boot_id(char *id, size_t size)
{
	AUTO_CLOSE int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ssize_t n = read(fd, id, size - 1);
	if (n <= 0)
		return n < 0 ? -errno : -ENODATA;
	id[n] = '\0';
	id[strcspn(id, "\n")] = '\0';
	return 0;
}

int probe_cache_key(int dev_fd, char *key, size_t size)
{
	char boot_id[64];
	struct utsname uts;
	struct stat st;
	int ret = read_boot_id(boot_id, sizeof(boot_id));
	if (ret < 0)
		return ret;
	if (uname(&uts) < 0 || fstat(dev_fd, &st) < 0)
		return -errno;
	/* A reloaded module gets a new node, hence a new inode. */
	int n = snprintf(key, size, "%s %s %ju:%ju:%ju", boot_id, uts.release, (uintmax_t)st.st_dev,
			 (uintmax_t)st.st_ino, (uintmax_t)st.st_rdev);
	return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

/* Digits only, then exactly this byte; moves *p behind it. */
static int cache_number(const char **p, char end, uint64_t *out)
{
	char *stop;
	errno = 0;
	if (**p < '0' || **p > '9')
		return -EINVAL;
	unsigned long long v = strtoull(*p, &stop, 10);
	if (errno || *stop != end)
		return -EINVAL;
	*out = v;
	*p = stop + 1;
	return 0;
}

static int cache_parse(const char *text, const char *key, uint64_t now_s, uint64_t *loop_ns)
{
	char head[sizeof(CACHE_MAGIC) + PROBE_KEY_MAX + 2];
	int n = snprintf(head, sizeof(head), CACHE_MAGIC " %s ", key);
	if (n < 0 || (size_t)n >= sizeof(head))
		return -EINVAL;
	if (strncmp(text, head, (size_t)n) != 0)
		return -ESTALE;
	const char *p = text + n;
	uint64_t ns;
	uint64_t at;
	int ret = cache_number(&p, ' ', &ns);
	if (ret == 0)
		ret = cache_number(&p, '\n', &at);
	if (ret < 0 || *p || ns == 0 || at > now_s)
		return -EINVAL;
	/* A busy moment must not cost a good host its engine until the next boot. */
	if (ns > PROBE_BOUND_NS && now_s - at > PROBE_NO_AGE_S)
		return -ESTALE;
	*loop_ns = ns;
	return 0;
}

int probe_cache_load(int dir_fd, const char *key, uint64_t now_s, uint64_t *loop_ns)
{
	/* O_NONBLOCK: a FIFO under this name must not hold us. */
	AUTO_CLOSE int fd =
		openat(dir_fd, PROBE_CACHE_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return errno == ENOENT ? -ENOENT : -EINVAL;
	struct stat st;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 022))
		return -EINVAL;
	AUTO_FREE char *text = NULL;
	size_t len;
	if (io_read_all(fd, CACHE_MAX, &text, &len) < 0 || strlen(text) != len)
		return -EINVAL;
	return cache_parse(text, key, now_s, loop_ns);
}

int probe_cache_store(int dir_fd, const char *key, uint64_t now_s, uint64_t loop_ns)
{
	char text[CACHE_MAX];
	int n = snprintf(text, sizeof(text), CACHE_MAGIC " %s %" PRIu64 " %" PRIu64 "\n", key,
			 loop_ns, now_s);
	if (n < 0 || (size_t)n >= sizeof(text))
		return -ENAMETOOLONG;
	/* One fixed name, so that a killed writer leaves no trail; readers check every byte. */
	AUTO_CLOSE int fd =
		openat(dir_fd, PROBE_CACHE_TEMP,
		       O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	if (fd < 0)
		return -errno;
	int ret = io_write_full(fd, text, (size_t)n);
	if (ret == 0 && renameat(dir_fd, PROBE_CACHE_TEMP, dir_fd, PROBE_CACHE_NAME) < 0)
		ret = -errno;
	if (ret < 0)
		unlinkat(dir_fd, PROBE_CACHE_TEMP, 0);
	return ret;
}

/* ---- the VM ---- */

static void vm_close(struct probe_vm *v)
{
	if (v->run)
		munmap(v->run, v->run_len);
	close_fd(&v->vcpu);
	close_fd(&v->vm);
	if (v->page)
		munmap(v->page, GUEST_PAGE);
}

static struct kvm_segment flat_segment(uint16_t selector, uint8_t type)
{
	return (struct kvm_segment){
		.limit = 0xffffffffu,
		.selector = selector,
		.type = type,
		.present = 1,
		.db = 1,
		.s = 1,
		.g = 1,
	};
}

/* 32-bit, flat, no paging, CPL 0: what every CPU with virtualization runs natively. */
static int vm_reset_cpu(int vcpu)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs = {.rip = GUEST_CODE, .rflags = RFLAGS_FIXED};
	if (ioctl(vcpu, KVM_GET_SREGS, &sregs) < 0)
		return -errno;
	sregs.cs = flat_segment(0x08, 0xb);
	sregs.ds = flat_segment(0x10, 0x3);
	sregs.es = sregs.ds;
	sregs.ss = sregs.ds;
	sregs.cr0 |= CR0_PE;
	if (ioctl(vcpu, KVM_SET_SREGS, &sregs) < 0 || ioctl(vcpu, KVM_SET_REGS, &regs) < 0)
		return -errno;
	return 0;
}

static int vm_memory(struct probe_vm *v)
{
	v->page =
		mmap(NULL, GUEST_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (v->page == MAP_FAILED) {
		v->page = NULL;
		return -errno;
	}
	memcpy(v->page, guest_loop, sizeof(guest_loop));
	struct kvm_userspace_memory_region slot = {
		.guest_phys_addr = GUEST_CODE,
		.memory_size = GUEST_PAGE,
		.userspace_addr = (uintptr_t)v->page,
	};
	return ioctl(v->vm, KVM_SET_USER_MEMORY_REGION, &slot) < 0 ? -errno : 0;
}

static int vm_map_run(struct probe_vm *v, int kvm)
{
	int len = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (len < (int)sizeof(struct kvm_run))
		return len < 0 ? -errno : -EPROTO;
	void *p = mmap(NULL, (size_t)len, PROT_READ | PROT_WRITE, MAP_SHARED, v->vcpu, 0);
	if (p == MAP_FAILED)
		return -errno;
	v->run = p;
	v->run_len = (size_t)len;
	return 0;
}

/* While the guest runs, only this signal gets through. */
static int vm_signal_mask(int vcpu, int sig)
{
	union {
		struct kvm_signal_mask head;
		uint8_t raw[sizeof(struct kvm_signal_mask) + sizeof(uint64_t)];
	} mask = {.head.len = sizeof(uint64_t)};
	uint64_t blocked = ~(1ull << (sig - 1));
	memcpy(mask.raw + sizeof(struct kvm_signal_mask), &blocked, sizeof(blocked));
	return ioctl(vcpu, KVM_SET_SIGNAL_MASK, &mask.head) < 0 ? -errno : 0;
}

static bool vm_open(struct probe_vm *v, int kvm, int sig, struct probe_result *out)
{
	uint64_t start = io_now_ns();
	v->vm = ioctl(kvm, KVM_CREATE_VM, 0);
	if (v->vm < 0)
		return no(out, "KVM can't make a virtual machine: %s%s", strerror(errno),
			  errno == EBUSY ? " (another hypervisor uses the CPU's virtualization)"
					 : "");
	out->create_ns = io_now_ns() - start;
	if (ioctl(v->vm, KVM_SET_TSS_ADDR, TSS_ADDR) < 0)
		return no(out, "KVM_SET_TSS_ADDR failed: %s", strerror(errno));
	int ret = vm_memory(v);
	if (ret < 0)
		return no(out, "KVM can't be given guest memory: %s", strerror(-ret));
	v->vcpu = ioctl(v->vm, KVM_CREATE_VCPU, 0);
	if (v->vcpu < 0)
		return no(out, "KVM can't make a virtual CPU: %s", strerror(errno));
	ret = vm_map_run(v, kvm);
	if (ret == 0)
		ret = vm_reset_cpu(v->vcpu);
	if (ret == 0)
		ret = vm_signal_mask(v->vcpu, sig);
	return ret < 0 ? no(out, "KVM can't set up a virtual CPU: %s", strerror(-ret)) : true;
}

/* ---- measurement ---- */

static uint64_t cpu_now_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* Runs the loop once: a sample, finished or not, or false with the reason in out. */
static bool take_sample(struct probe_vm *v, timer_t timer, struct probe_sample *s,
			struct probe_result *out)
{
	struct itimerspec on = {.it_value.tv_nsec = (long)PROBE_CUT_NS};
	struct itimerspec off = {0};
	uint64_t cpu = cpu_now_ns();
	uint64_t wall = io_now_ns();
	timer_settime(timer, 0, &on, NULL);
	int ret = ioctl(v->vcpu, KVM_RUN, 0);
	int code = errno;
	s->wall_ns = io_now_ns() - wall;
	s->cpu_ns = cpu_now_ns() - cpu;
	timer_settime(timer, 0, &off, NULL);
	s->done = ret == 0;
	if (ret < 0 && code != EINTR && code != EAGAIN)
		return no(out, "KVM can't run kernel-mode code: %s", strerror(code));
	if (ret < 0) {
		ret = vm_reset_cpu(v->vcpu);
		return ret < 0 ? no(out, "KVM can't reset a virtual CPU: %s", strerror(-ret))
			       : true;
	}
	if (v->run->exit_reason != KVM_EXIT_IO || v->run->io.port != GUEST_PORT)
		return no(out,
			  "KVM can't run kernel-mode code: exit reason %u instead of a port write",
			  v->run->exit_reason);
	return true;
}

static void drain_signal(const sigset_t *set)
{
	const struct timespec now = {0};
	while (sigtimedwait(set, NULL, &now) >= 0 || errno == EINTR)
		;
}

static void take_samples(struct probe_vm *v, timer_t timer, const sigset_t *set,
			 struct probe_result *out)
{
	struct probe_sample s[PROBE_SAMPLES];
	uint64_t best = UINT64_MAX;
	size_t n = 0;
	do {
		if (!take_sample(v, timer, &s[n], out))
			return;
		drain_signal(set);
		/* Only a finished loop has a time; an unfinished one counts as the longest wait. */
		best = MIN(best, s[n].done ? s[n].wall_ns : MAX(s[n].wall_ns, PROBE_CUT_NS));
		n++;
	} while (probe_decide(s, n) == PROBE_MORE);
	out->loop_ns = MAX(best, (uint64_t)1);
	probe_explain(out);
}

/* Fills out with a verdict: 0, or -errno if none could be had. */
static int measure(int kvm, struct probe_result *out)
{
	int sig = SIGRTMAX;
	sigset_t set;
	sigset_t old;
	timer_t timer;
	struct sigevent ev = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = sig};
	struct probe_vm v = {.vm = -1, .vcpu = -1};

	ev.sigev_notify_thread_id = gettid();
	sigemptyset(&set);
	sigaddset(&set, sig);
	int ret = pthread_sigmask(SIG_BLOCK, &set, &old);
	if (ret)
		return -ret;
	if (timer_create(CLOCK_MONOTONIC, &ev, &timer) < 0) {
		ret = -errno;
	} else {
		if (vm_open(&v, kvm, sig, out))
			take_samples(&v, timer, &set, out);
		vm_close(&v);
		timer_delete(timer);
		drain_signal(&set);
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return ret;
}

/* ---- the device ---- */

static void explain_denied(struct probe_result *out)
{
	struct stat st;
	struct group grp;
	struct group *found = NULL;
	char buf[1024];
	out->denied = true;
	if (stat(PROBE_DEVICE, &st) < 0) {
		no(out, "no permission for " PROBE_DEVICE);
		return;
	}
	if ((st.st_mode & 060) != 060) {
		no(out, "no permission for " PROBE_DEVICE " (its mode is %04o: only its owner may)",
		   st.st_mode & 07777u);
		return;
	}
	/* A group whose members don't fit into the buffer goes by its number. */
	if (getgrgid_r(st.st_gid, &grp, buf, sizeof(buf), &found) == 0 && found)
		snprintf(out->group, sizeof(out->group), "%s", found->gr_name);
	else
		snprintf(out->group, sizeof(out->group), "%u", st.st_gid);
	no(out, "no permission for " PROBE_DEVICE " (add yourself to group %s)", out->group);
}

static int open_device(struct probe_result *out)
{
	int fd = open(PROBE_DEVICE, O_RDWR | O_CLOEXEC);
	int code = errno;
	out->present = fd >= 0 || access(PROBE_DEVICE, F_OK) == 0;
	if (fd >= 0)
		return fd;
	if (!out->present)
		no(out, "no " PROBE_DEVICE);
	else if (code == EACCES)
		explain_denied(out);
	else if (code == EPERM)
		no(out,
		   "no permission for " PROBE_DEVICE " (the container's device rules forbid it)");
	else if (code == ENODEV || code == ENXIO)
		no(out, PROBE_DEVICE " has no driver: is the kvm module loaded?");
	else
		no(out, PROBE_DEVICE " can't be opened: %s", strerror(code));
	return -1;
}

static bool check_device(int kvm, struct probe_result *out)
{
	static const struct {
		int cap;
		const char *name;
	} needed[] = {
		{KVM_CAP_USER_MEMORY, "USER_MEMORY"}, {KVM_CAP_SET_TSS_ADDR, "SET_TSS_ADDR"},
		{KVM_CAP_IRQCHIP, "IRQCHIP"},	      {KVM_CAP_IRQFD, "IRQFD"},
		{KVM_CAP_IOEVENTFD, "IOEVENTFD"},     {KVM_CAP_IMMEDIATE_EXIT, "IMMEDIATE_EXIT"},
		{KVM_CAP_EXT_CPUID, "EXT_CPUID"},     {KVM_CAP_MP_STATE, "MP_STATE"},
	};
	int version = ioctl(kvm, KVM_GET_API_VERSION, 0);
	if (version < 0)
		return no(out, PROBE_DEVICE " is not KVM: %s", strerror(errno));
	if (version != KVM_API_VERSION)
		return no(out, "KVM's interface has version %d, %d is needed", version,
			  KVM_API_VERSION);
	for (size_t i = 0; i < ARRAY_SIZE(needed); i++)
		if (ioctl(kvm, KVM_CHECK_EXTENSION, needed[i].cap) <= 0)
			return no(out, "KVM lacks the capability KVM_CAP_%s", needed[i].name);
	return true;
}

int probe_kvm(struct probe_result *out, bool use_cache, int cache_dir_fd)
{
	char key[PROBE_KEY_MAX];
	struct timespec now;
	*out = (struct probe_result){0};
	AUTO_CLOSE int kvm = open_device(out);
	if (kvm < 0 || !check_device(kvm, out))
		return 0;
	bool cache = cache_dir_fd >= 0 && probe_cache_key(kvm, key, sizeof(key)) == 0 &&
		     clock_gettime(CLOCK_BOOTTIME, &now) == 0;
	if (cache && use_cache &&
	    probe_cache_load(cache_dir_fd, key, (uint64_t)now.tv_sec, &out->loop_ns) == 0) {
		out->cached = true;
		probe_explain(out);
		return 0;
	}
	int ret = measure(kvm, out);
	if (ret < 0)
		no(out, "KVM could not be measured: %s", strerror(-ret));
	/* A cache that can't be written costs the next run a few milliseconds, nothing else. */
	if (cache && out->loop_ns)
		(void)probe_cache_store(cache_dir_fd, key, (uint64_t)now.tv_sec, out->loop_ns);
	return ret;
}
