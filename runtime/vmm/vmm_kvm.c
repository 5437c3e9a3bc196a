// SPDX-License-Identifier: Apache-2.0
// vmm_kvm.c - the whole machine in this process: memory, kernel, CPUs, devices over virtio-mmio
//
// Built in visible order by start(), ended by end(). A CPU's thread that ends the machine (reset,
// triple fault, error) makes end_fd readable, which stops the main loop.
#include "arch/x86_64/layout.h"
#include "arch/x86_64/mptable.h"
#include "arch/x86_64/pvh.h"
#include "arch/x86_64/regs.h"
#include "arch/x86_64/zeropage.h"
#include "base/checked.h"
#include "base/io.h"
#include "boot/initrd.h"
#include "boot/loader.h"
#include "device/i8042.h"
#include "device/rtc.h"
#include "device/serial.h"
#include "engine/kvm.h"
#include "virtio/console.h"
#include "virtio/mmio.h"
#include "vmm/confine.h"
#include "vmm/ram.h"
#include "vmm/vmm.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define SLOTS 8
#define SLOT_NAME_MAX 24
/* The I/O APIC's first pin behind the 16 of the ISA bus. */
#define SLOT_FIRST_IRQ 16
#define QUEUE_NOTIFY 0x50 /* virtio 1.2, section 4.2.2 */
#define STOP_MS 1000
#define PAUSE_MS 1000
#define EXIT_ROWS 32

/* An exit count as the report has it. */
struct exit_row {
	char name[SLOT_NAME_MAX + 8];
	Mayfly__ExitCount msg;
};
/* The report is one datagram: two numbers of at most 10 bytes a row, some bytes of frame. */
_Static_assert(EXIT_ROWS *(SLOT_NAME_MAX + 8 + 28) + SERIAL_LOG_LINES * (SERIAL_LOG_LINE_MAX + 4) +
			       SERIAL_LOG_LINE_MAX + VCPU_DETAIL_MAX + 64 <=
		       CONFIG_DATAGRAM_MAX,
	       "the report fits");

static struct {
	struct gmem ram;
	struct boot_kernel kernel;
	struct boot_initrd initrd;
	struct kvm_vm vm;
	struct vcpus cpus;
	struct bus ports, mmio;
	unsigned n_slots;
	struct virtio_mmio slot[SLOTS];
	struct virtio_dev *console;
	struct serial uart;
	struct i8042 i8042;
	struct rtc rtc;
	struct evsource ended;
	char cmdline[LAYOUT_CMDLINE_MAX];
	uint64_t entered_ns;
	struct exit_row exits[EXIT_ROWS];
	Mayfly__ExitCount *exit_ptr[EXIT_ROWS];
	unsigned n_exits;
} m;

static void on_ended(struct evsource *src, uint32_t events)
{
	struct vmm *v = src->arg;
	(void)events;
	v->loop.stop = true;
}

static void on_reset(void *arg)
{
	(void)arg;
	vcpus_end(&m.cpus, VCPUS_END_RESET, "reset by the keyboard controller");
}

/* From a CPU's thread. */
static void on_serial_wake(void *arg)
{
	const struct guest_serial *s = arg;
	uint64_t one = 1;
	ssize_t n = write(s->source.fd, &one, sizeof(one));
	(void)n; /* a full counter wakes, too */
}

static size_t serial_port_take(struct guest_serial *s, void *buf, size_t max)
{
	uint64_t count;
	size_t n = serial_take(&m.uart, buf, max);
	if (n > 0)
		return n;
	/* The wake-up is used up only when there is nothing left; what came meanwhile has its own.
	 */
	ssize_t r = read(s->source.fd, &count, sizeof(count));
	(void)r;
	return serial_take(&m.uart, buf, max);
}

static size_t serial_port_give(struct guest_serial *s, const void *buf, size_t len)
{
	(void)s;
	return serial_input(&m.uart, buf, len);
}

static void serial_port_room(struct guest_serial *s)
{
	(void)s;
	if (m.console)
		virtio_console_resume(m.console);
}

static size_t console_out(void *arg, const void *data, size_t len)
{
	return guest_serial_say(arg, data, len);
}

static int eventfd_for_irq(unsigned irq, int *fd, struct err *e)
{
	*fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (*fd < 0)
		return err_errno(e, errno, "can't make an eventfd");
	return kvm_irqfd(&m.vm, *fd, irq, e);
}

/* ---- memory and kernel ---- */

static int load(const Mayfly__VmmConfig *cfg, struct err *e)
{
	int ret = ram_map(&m.ram, cfg->memory, e);
	if (ret == 0)
		ret = boot_load_kernel(&m.ram, cfg->kernel_fd, cfg->kernel_name,
				       (enum boot_protocol)cfg->boot_protocol, &m.kernel, e);
	if (ret == 0 && cfg->initrd_fd >= 0)
		ret = boot_load_initrd(&m.ram, cfg->initrd_fd, cfg->initrd_name, &m.kernel,
				       &m.initrd, e);
	if (ret == 0)
		ram_advise(&m.ram);
	return ret;
}

static int write_tables(const Mayfly__VmmConfig *cfg, struct kvm_entry *entry, struct err *e)
{
	const struct boot_initrd *rd = cfg->initrd_fd >= 0 ? &m.initrd : NULL;
	int ret = regs_write_tables(&m.ram, e);
	if (ret == 0)
		ret = mptable_write(&m.ram, cfg->cpus, e);
	if (ret < 0)
		return ret;
	*entry = (struct kvm_entry){.pvh = m.kernel.protocol == BOOT_PVH, .rip = m.kernel.entry};
	if (entry->pvh)
		return pvh_write(&m.ram, &m.kernel, m.cmdline, rd, &entry->info, e);
	entry->info = LAYOUT_ZERO_PAGE;
	return zeropage_write(&m.ram, &m.kernel, m.cmdline, rd, e);
}

/* ---- devices ---- */

static int add_window(struct bus *b, uint64_t base, uint64_t len, const struct bus_window *w,
		      struct err *e)
{
	int ret = bus_add(b, base, len, w);
	return ret < 0 ? err_errno(e, -ret, "can't place the %s", w->name) : 0;
}

static int cmdline_add(const char *text, struct err *e)
{
	size_t used = strlen(m.cmdline);
	size_t len = strlen(text);
	if (len >= sizeof(m.cmdline) - used)
		return err_set(e, E2BIG, "the kernel's command line has no room for the devices");
	memcpy(m.cmdline + used, text, len + 1);
	return 0;
}

/* Gives a device a window, an interrupt, notifications without exits, and tells the kernel. */
static int add_slot(struct virtio_dev *dev, struct err *e)
{
	unsigned i = m.n_slots;
	unsigned irq = SLOT_FIRST_IRQ + i;
	uint64_t base = LAYOUT_MMIO_BASE + i * LAYOUT_MMIO_SIZE;
	char text[64];
	int irq_fd;
	if (i == SLOTS)
		return err_set(e, ENOSPC, "no slot for the %s device: a machine has %d",
			       dev->ops->name, SLOTS);
	struct bus_window w = {
		.name = dev->ops->name,
		.arg = &m.slot[i],
		.read = virtio_mmio_read,
		.write = virtio_mmio_write,
	};
	int ret = eventfd_for_irq(irq, &irq_fd, e);
	if (ret < 0)
		return ret;
	ret = virtio_mmio_init(&m.slot[i], dev, &m.ram, irq_fd);
	if (ret < 0)
		return err_errno(e, -ret, "can't carry the %s device", dev->ops->name);
	m.n_slots++;
	for (unsigned q = 0; ret == 0 && q < dev->ops->num_queues; q++)
		ret = kvm_ioeventfd(&m.vm, virtio_mmio_kick_fd(&m.slot[i], q), base + QUEUE_NOTIFY,
				    q, e);
	if (ret == 0)
		ret = add_window(&m.mmio, base, LAYOUT_MMIO_SIZE, &w, e);
	snprintf(text, sizeof(text), "virtio_mmio.device=4K@0x%llx:%u ", (unsigned long long)base,
		 irq);
	return ret < 0 ? ret : cmdline_add(text, e);
}

static int add_serial(struct vmm *v, struct err *e)
{
	const struct bus_window w = {
		.name = "serial", .arg = &m.uart, .read = serial_read, .write = serial_write};
	int irq_fd;
	int wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (wake < 0)
		return err_errno(e, errno, "can't make an eventfd");
	v->serial.port = (struct guest_serial_port){
		.take = serial_port_take, .give = serial_port_give, .room = serial_port_room};
	int ret = guest_serial_init(&v->serial, &v->loop, wake, v->cfg->console_fd,
				    v->cfg->console_lossless);
	if (ret < 0)
		return err_errno(e, -ret, "can't watch the serial port");
	ret = eventfd_for_irq(SERIAL_COM1_IRQ, &irq_fd, e);
	if (ret < 0)
		return ret;
	ret = serial_init(&m.uart, irq_fd, on_serial_wake, &v->serial);
	if (ret < 0)
		return err_errno(e, -ret, "can't make the serial port");
	m.uart.patient = v->cfg->console_lossless;
	return add_window(&m.ports, SERIAL_COM1_PORT, SERIAL_NUM_REGS, &w, e);
}

static int add_platform(struct vmm *v, struct err *e)
{
	const struct bus_window kbd_data = {.name = "i8042",
					    .arg = &m.i8042,
					    .read = i8042_data_read,
					    .write = i8042_data_write};
	const struct bus_window kbd_command = {.name = "i8042",
					       .arg = &m.i8042,
					       .read = i8042_command_read,
					       .write = i8042_command_write};
	const struct bus_window clock = {
		.name = "rtc", .arg = &m.rtc, .read = rtc_read, .write = rtc_write};
	i8042_init(&m.i8042, on_reset, NULL);
	int ret = rtc_init(&m.rtc);
	if (ret < 0)
		return err_errno(e, -ret, "can't make the clock");
	ret = add_serial(v, e);
	if (ret == 0)
		ret = add_window(&m.ports, I8042_DATA_PORT, 1, &kbd_data, e);
	if (ret == 0)
		ret = add_window(&m.ports, I8042_COMMAND_PORT, 1, &kbd_command, e);
	return ret < 0 ? ret : add_window(&m.ports, RTC_PORT, RTC_NUM_PORTS, &clock, e);
}

static int add_virtio(struct vmm *v, struct err *e)
{
	struct virtio_console_io io = {.out = console_out, .arg = &v->serial};
	int ret = vmm_make_devices(v, e);
	if (ret < 0)
		return ret;
	if (v->cfg->console_device && (ret = virtio_console_create(&m.console, &v->loop, &io)) < 0)
		return err_errno(e, -ret, "can't make the console device");
	struct virtio_dev *const list[] = {v->fs, v->vsock, v->rng, m.console};
	for (size_t i = 0; ret == 0 && i < ARRAY_SIZE(list); i++)
		if (list[i])
			ret = add_slot(list[i], e);
	for (unsigned i = 0; ret == 0 && i < v->disks.n; i++)
		ret = add_slot(v->disks.disk[i].dev, e);
	return ret;
}

/* ---- CPUs ---- */

static int confine_vcpu(const char *thread)
{
	return confine_thread(thread, SECCOMP_VCPU_KVM);
}

static int add_cpus(struct vmm *v, const struct kvm_entry *entry, struct err *e)
{
	int ret = kvm_add_vcpus(&m.vm, v->cfg->cpus, entry, e);
	if (ret < 0)
		return ret;
	ret = vcpus_init(&m.cpus, &kvm_vcpu_ops, &m.ports, &m.mmio);
	m.cpus.begin = confine_vcpu;
	for (unsigned i = 0; ret == 0 && i < m.vm.n; i++)
		ret = vcpus_add(&m.cpus, &m.vm.vcpu[i]);
	m.ended = (struct evsource){.fd = m.cpus.end_fd, .fn = on_ended, .arg = v};
	if (ret == 0)
		ret = evloop_add(&v->loop, &m.ended, EPOLLIN);
	return ret < 0 ? err_errno(e, -ret, "can't set up the CPUs") : 0;
}

static int go(struct vmm *v, struct err *e)
{
	confine_expect(m.cpus.n + (v->fs ? 1 : 0));
	v->fs_thread.table = v->cfg->fs_writable ? SECCOMP_FSDEV_KVM_RW : SECCOMP_FSDEV_KVM;
	int ret = v->fs ? dev_thread_start(&v->fs_thread, v->fs, -1, "fs-device") : 0;
	if (ret < 0)
		return err_errno(e, -ret, "can't start the fs device");
	ret = disks_start(&v->disks, v->cfg, SECCOMP_BLK_KVM, e);
	if (ret < 0)
		return ret;
	m.entered_ns = io_now_ns();
	ret = vcpus_start(&m.cpus);
	return ret < 0 ? err_errno(e, -ret, "can't start the machine's threads") : 0;
}

static int start(struct vmm *v, struct err *e)
{
	const struct kvm_options opt = {.pit = v->cfg->pit};
	struct kvm_entry entry;
	int ret = load(v->cfg, e);
	if (ret == 0)
		ret = kvm_open(&m.vm, v->cfg->kvm_fd, &opt, e);
	if (ret == 0)
		ret = kvm_set_memory(&m.vm, &m.ram, e);
	if (ret == 0)
		ret = add_platform(v, e);
	if (ret == 0)
		ret = add_virtio(v, e);
	/* Behind the devices: what follows a "--" in it is not the kernel's. */
	if (ret == 0)
		ret = cmdline_add(v->cfg->cmdline, e);
	if (ret == 0)
		ret = write_tables(v->cfg, &entry, e);
	if (ret == 0)
		ret = add_cpus(v, &entry, e);
	return ret < 0 ? ret : go(v, e);
}

/* ---- the end ---- */

static void exit_row(const char *what, const char *name, uint64_t count, bool ready)
{
	char full[sizeof(m.exits[0].name)];
	struct exit_row *r = NULL;
	snprintf(full, sizeof(full), "%s %s", what, name);
	for (unsigned i = 0; i < m.n_exits; i++)
		if (strcmp(m.exits[i].name, full) == 0)
			r = &m.exits[i];
	if (count == 0 || (!r && m.n_exits == EXIT_ROWS))
		return;
	if (!r) {
		r = &m.exits[m.n_exits];
		memcpy(r->name, full, sizeof(full));
		mayfly__exit_count__init(&r->msg);
		r->msg.name = r->name;
		m.exit_ptr[m.n_exits++] = &r->msg;
	}
	r->msg.count = count;
	if (ready)
		r->msg.until_ready = count;
}

static void count_bus(const struct bus *b, const char *what, bool ready)
{
	for (unsigned i = 0; i < b->n; i++)
		exit_row(what, b->window[i].name, atomic_load(&b->window[i].accesses), ready);
	exit_row(what, "(nobody)", atomic_load(&b->unclaimed), ready);
}

/* Ports and addresses by device, the other reasons by name. */
static void count_exits(bool ready)
{
	count_bus(&m.ports, "port", ready);
	count_bus(&m.mmio, "mmio", ready);
	for (unsigned k = 0; k < VCPU_EXIT_KINDS; k++) {
		unsigned long long n = 0;
		for (unsigned i = 0; i < m.cpus.n; i++)
			n += atomic_load(&m.cpus.cpu[i].exits[k]);
		if (k != VCPU_EXIT_PORT && k != VCPU_EXIT_MMIO)
			exit_row("cpu", vcpu_exit_name((enum vcpu_exit_kind)k), n, ready);
	}
}

static int pause_cpus(bool on)
{
	if (on)
		return vcpus_pause(&m.cpus, PAUSE_MS);
	vcpus_resume(&m.cpus);
	return 0;
}

static void ready(struct vmm *v)
{
	(void)v;
	count_exits(true);
}

static int end(struct vmm *v, Mayfly__VmmReport *r, struct err *e)
{
	static const Mayfly__VmmReport__End ends[] = {
		[VCPUS_END_NONE] = MAYFLY__VMM_REPORT__END__DEVICE_ERROR,
		[VCPUS_END_RESET] = MAYFLY__VMM_REPORT__END__GUEST_RESET,
		[VCPUS_END_SHUTDOWN] = MAYFLY__VMM_REPORT__END__GUEST_SHUTDOWN,
		[VCPUS_END_ERROR] = MAYFLY__VMM_REPORT__END__ENGINE_ERROR,
	};
	serial_stop(&m.uart);
	for (unsigned i = 0; i < m.n_slots; i++)
		virtio_mmio_stop(&m.slot[i]);
	int ret = vcpus_stop(&m.cpus, STOP_MS);
	if (ret < 0)
		log_warn("a CPU's thread does not end");
	else
		r->cpus_started = kvm_vcpus_started(&m.vm);
	r->left_ns = io_now_ns();
	r->entered_ns = m.entered_ns;
	guest_serial_drain(&v->serial);
	count_exits(false);
	r->exit = m.exit_ptr;
	r->n_exit = m.n_exits;
	r->end = ends[m.cpus.end];
	r->detail = m.cpus.detail;
	if (v->halted && m.cpus.end == VCPUS_END_NONE) {
		r->end = MAYFLY__VMM_REPORT__END__GUEST_HALTED;
		return 0;
	}
	if (v->asked && m.cpus.end == VCPUS_END_NONE) {
		r->end = MAYFLY__VMM_REPORT__END__UNKNOWN;
		return 0;
	}
	return m.cpus.end == VCPUS_END_NONE ? err_set(e, EIO, "a device can't go on") : 0;
}

const struct vmm_engine vmm_kvm = {
	.table = SECCOMP_VMM_KVM, .start = start, .pause = pause_cpus, .ready = ready, .end = end};
