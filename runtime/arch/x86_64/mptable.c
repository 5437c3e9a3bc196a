// SPDX-License-Identifier: Apache-2.0
// mptable.c - MP table in the last KiB of base memory
#include "arch/x86_64/mptable.h"

#include "arch/x86_64/layout.h"
#include "base/checked.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

enum { MP_CPU, MP_BUS, MP_IOAPIC, MP_INTR, MP_LINT }; /* entry types */
enum { INTR_INT, INTR_NMI, INTR_SMI, INTR_EXT };

#define MP_SPEC_1_4 4
#define CPU_ENABLED 1
#define CPU_BSP 2
#define CPU_FEATURES 0x201u /* FPU and APIC; kernels ask CPUID */
#define APIC_VERSION 0x14
#define IOAPIC_VERSION 0x11
#define IOAPIC_ENABLED 1
#define ISA_BUS 0
#define ALL_APICS 0xff

struct mp_pointer {
	char signature[4];
	uint32_t table;
	uint8_t length; /* in 16 bytes */
	uint8_t spec;
	uint8_t checksum;
	uint8_t features[5];
};

struct mp_header {
	char signature[4];
	uint16_t length;
	uint8_t spec;
	uint8_t checksum;
	char oem[8];
	char product[12];
	uint32_t oem_table;
	uint16_t oem_size;
	uint16_t entries;
	uint32_t lapic;
	uint32_t reserved;
};

struct mp_cpu {
	uint8_t type, apic_id, apic_version, flags;
	uint32_t signature, features;
	uint32_t reserved[2];
};

struct mp_bus {
	uint8_t type, id;
	char name[6];
};

struct mp_ioapic {
	uint8_t type, id, version, flags;
	uint32_t address;
};

/* Both kinds of route; flags 0: as the bus has it, which for ISA is edge, active high. */
struct mp_route {
	uint8_t type, kind;
	uint16_t flags;
	uint8_t bus, irq, apic, pin;
};

struct table {
	struct mp_pointer pointer;
	struct mp_header header;
	struct mp_cpu cpu[LAYOUT_CPUS_MAX];
	/* The same behind fewer CPUs; hence written one by one. */
	struct mp_bus bus;
	struct mp_ioapic ioapic;
	struct mp_route pin[LAYOUT_IOAPIC_PINS];
	struct mp_route lint[2];
};

static_assert(sizeof(struct mp_pointer) == 16 && sizeof(struct mp_header) == 44 &&
		      sizeof(struct mp_cpu) == 20 && sizeof(struct mp_bus) == 8 &&
		      sizeof(struct mp_ioapic) == 8 && sizeof(struct mp_route) == 8,
	      "sizes of the MultiProcessor Specification, chapter 4");
static_assert(sizeof(struct table) <= LAYOUT_EBDA_SIZE, "the table fits with all CPUs");

struct out {
	uint8_t buf[LAYOUT_EBDA_SIZE];
	size_t len;
	uint16_t entries;
};

static void put(struct out *o, const void *entry, size_t len)
{
	memcpy(o->buf + o->len, entry, len);
	o->len += len;
	o->entries++;
}

/* The byte that makes the sum of all 0. */
static uint8_t checksum(const uint8_t *p, size_t len)
{
	uint8_t sum = 0;
	for (size_t i = 0; i < len; i++)
		sum = (uint8_t)(sum + p[i]);
	return (uint8_t)-sum;
}

static void put_cpus(struct out *o, unsigned cpus)
{
	for (unsigned i = 0; i < cpus; i++) {
		struct mp_cpu c = {
			.type = MP_CPU,
			.apic_id = (uint8_t)i,
			.apic_version = APIC_VERSION,
			.flags = i == 0 ? CPU_ENABLED | CPU_BSP : CPU_ENABLED,
			.features = CPU_FEATURES,
		};
		put(o, &c, sizeof(c));
	}
}

/* All pins as ISA: Linux then takes the pin's number for the interrupt's, above 15, too. */
static void put_routes(struct out *o, uint8_t ioapic_id)
{
	struct mp_bus bus = {.type = MP_BUS, .id = ISA_BUS, .name = {'I', 'S', 'A', ' ', ' ', ' '}};
	struct mp_ioapic ioapic = {
		.type = MP_IOAPIC,
		.id = ioapic_id,
		.version = IOAPIC_VERSION,
		.flags = IOAPIC_ENABLED,
		.address = LAYOUT_IOAPIC,
	};
	put(o, &bus, sizeof(bus));
	put(o, &ioapic, sizeof(ioapic));
	for (uint8_t i = 0; i < LAYOUT_IOAPIC_PINS; i++) {
		struct mp_route r = {
			.type = MP_INTR, .kind = INTR_INT, .irq = i, .apic = ioapic_id, .pin = i};
		put(o, &r, sizeof(r));
	}
	struct mp_route lint = {.type = MP_LINT, .kind = INTR_EXT, .apic = ALL_APICS, .pin = 0};
	put(o, &lint, sizeof(lint));
	lint.kind = INTR_NMI;
	lint.pin = 1;
	put(o, &lint, sizeof(lint));
}

int mptable_write(struct gmem *m, unsigned cpus, struct err *e)
{
	struct out o = {.len = sizeof(struct mp_pointer) + sizeof(struct mp_header)};
	if (cpus == 0 || cpus > LAYOUT_CPUS_MAX)
		return err_set(e, EINVAL, "a machine has 1 to %u CPUs, not %u", LAYOUT_CPUS_MAX,
			       cpus);
	put_cpus(&o, cpus);
	put_routes(&o, (uint8_t)cpus);
	struct mp_pointer p = {
		.signature = {'_', 'M', 'P', '_'},
		.table = LAYOUT_EBDA + sizeof(struct mp_pointer),
		.length = 1,
		.spec = MP_SPEC_1_4,
	};
	struct mp_header h = {
		.signature = {'P', 'C', 'M', 'P'},
		.length = (uint16_t)(o.len - sizeof(p)),
		.spec = MP_SPEC_1_4,
		.oem = {'M', 'A', 'Y', 'F', 'L', 'Y', ' ', ' '},
		.product = {'m', 'i', 'c', 'r', 'o', 'V', 'M', ' ', ' ', ' ', ' ', ' '},
		.entries = o.entries,
		.lapic = LAYOUT_LAPIC,
	};
	p.checksum = checksum((const uint8_t *)&p, sizeof(p));
	memcpy(o.buf, &p, sizeof(p));
	memcpy(o.buf + sizeof(p), &h, sizeof(h));
	h.checksum = checksum(o.buf + sizeof(p), h.length);
	memcpy(o.buf + sizeof(p), &h, sizeof(h));
	int ret = gmem_write(m, GPA(LAYOUT_EBDA), o.buf, o.len);
	return ret < 0 ? err_errno(e, -ret, "writing the MP table") : 0;
}
