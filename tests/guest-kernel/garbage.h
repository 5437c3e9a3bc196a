// SPDX-License-Identifier: Apache-2.0
// garbage.h - a guest kernel that does by chance whatever a guest must not do
//
// One text, written into the file before it starts (program_text in entry.S), says which program
// this is: seed=N steps=N theme=NAME end=NAME mem=MIB. The same text does the same things, as far
// as the machine's timing allows.
#ifndef MAYFLY_GUEST_KERNEL_GARBAGE_H
#define MAYFLY_GUEST_KERNEL_GARBAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Memory as we use it: TRAMPOLINE (build.sh) is where the second CPU begins; rings and requests in
 * the arena; behind it devices may write at will. */
#define ARENA 0x2000000ull
#define ARENA_END 0x2400000ull

#define HOLE_START 0xc0000000ull
#define HOLE_END 0x100000000ull
#define WINDOWS 0xd0000000ull
#define WINDOW_SIZE 0x1000ull
#define IOAPIC 0xfec00000ull
#define LAPIC 0xfee00000ull
#define COM1 0x3f8

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

struct cpu {
	uint64_t stack; /* entry.S: where try() goes on after an exception */
	struct cpu *self;
	uint64_t random;
	uint64_t pad[5];
};
_Static_assert(sizeof(struct cpu) == 64, "CPU_SIZE of entry.S");

/* What the machine was seen to do: proof that the garbage got somewhere. */
enum seen {
	SEEN_FAULT,    /* exceptions of our own */
	SEEN_STATUS,   /* a step of the status machine that was taken */
	SEEN_REFUSED,  /* one that was refused */
	SEEN_STARTED,  /* DRIVER_OK with queues */
	SEEN_BROKEN,   /* needs-reset */
	SEEN_INFLIGHT, /* reset with requests under way */
	SEEN_USED,     /* chains that came back */
	SEEN_FS_OK,    /* FUSE answers without and with an error */
	SEEN_FS_ERROR,
	SEEN_VSOCK_RST, /* packets by operation */
	SEEN_VSOCK_OPEN,
	SEEN_VSOCK_DATA,
	SEEN_VSOCK_OTHER,
	SEEN_RNG,     /* requests that got bytes */
	SEEN_CONSOLE, /* output that was taken */
	SEEN_SECOND,  /* steps of the second CPU */
	SEEN_KINDS
};

struct program {
	uint64_t seed;
	uint64_t steps;
	uint64_t mem_end; /* of RAM below the hole */
	uint64_t high_end;
	const char *theme, *end;
};

extern struct program program;
extern uint32_t seen[SEEN_KINDS];
extern struct cpu cpus[2];

/* ---- entry.S ---- */
int try(void (*fn)(void));

/* ---- main.c ---- */
void saw(enum seen what);

/* ---- lib.c ---- */
void *memcpy(void *to, const void *from, size_t n);
void *memset(void *to, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
bool same(const char *a, const char *b);

uint64_t random64(void);
/* below() - 0 to n - 1; n above 0. */
uint64_t below(uint64_t n);
bool chance(unsigned percent);
/* odd_number() - one that programs get wrong: 0, all ones, powers of two and their neighbours. */
uint64_t odd_number(void);

void print(const char *text);
void print_number(uint64_t v);

/* ---- access.c: ports and addresses ---- */
uint32_t in(unsigned port, unsigned size);
void out(unsigned port, unsigned size, uint32_t v);
void out_string(unsigned port, const void *data, size_t n);
uint64_t load(uint64_t addr, unsigned size);
void store(uint64_t addr, unsigned size, uint64_t v);
uint64_t ticks(void);
void pause_for(uint64_t n);

void step_port(void);
void step_hole(void);
void step_apic(void);
void step_memory(void);

/* ---- device.c: the driver's side of virtio-mmio ---- */
#define DEV_MAX 8
#define QUEUES 4
#define QUEUE_SIZE_MAX 128

enum { ID_CONSOLE = 3, ID_RNG = 4, ID_VSOCK = 19, ID_FS = 26 };

struct ring_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};
#define DESC_NEXT 1
#define DESC_WRITE 2
#define DESC_INDIRECT 4

struct queue {
	uint64_t page; /* in the arena: descriptors, then both rings */
	uint64_t desc; /* the descriptors, if not there */
	uint16_t size;
	uint16_t avail, used; /* what we have added, what we have taken back */
	uint16_t next_desc;
	bool sane; /* the device was told where it really is */
};

struct device {
	uint64_t base;
	uint32_t id;
	unsigned queues;
	bool started;
	struct queue q[QUEUES];
};

extern struct device device[DEV_MAX];
extern unsigned devices;

#define REG_NOTIFY 0x50
#define REG_STATUS 0x70

void device_scan(void);
/* device_start() - the whole way to DRIVER_OK; dirty: percent of steps that go wrong. */
void device_start(struct device *d, unsigned dirty);
void device_reset(struct device *d);
bool device_broken(struct device *d);
/* any_device() - by chance; NULL if there is none. device_of() - the one of this kind. */
struct device *any_device(void);
struct device *device_of(uint32_t id);
uint64_t wild_address(void);

void step_registers(void);
void step_lifecycle(void);

/* ---- ring.c: chains, right and wrong ---- */
struct piece {
	uint64_t addr;
	uint32_t len;
	bool in; /* the device writes it */
};

struct ring_desc *queue_desc(const struct queue *q);
uint16_t *queue_avail(const struct queue *q);
uint16_t *queue_used(const struct queue *q);
/* queue_add() - one chain, dirty: percent of chains with something wrong. */
void queue_add(struct device *d, unsigned q, const struct piece *p, unsigned n, unsigned dirty);
void queue_notify(struct device *d, unsigned q);
/* queue_take() - the length of the next used chain, -1 if none came in time. */
int64_t queue_take(struct device *d, unsigned q);
/* queue_request() - one chain, split by chance; the length that came back or -1. */
int64_t queue_request(struct device *d, unsigned q, uint64_t to, uint32_t to_len, uint64_t from,
		      uint32_t from_len, unsigned dirty);

void step_ring(void);
void step_vandal(void);

/* ---- fuse.c, request.c: what devices parse ---- */
void step_fs(void);
void step_vsock(void);
void step_rng(void);
void step_console(void);

/* Requests and room for answers, in the arena. */
#define OUT_BUF (ARENA + 0x100000)
#define IN_BUF (ARENA + 0x200000)
#define BUF_SIZE 0x40000u

#endif
