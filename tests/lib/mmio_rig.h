// SPDX-License-Identifier: Apache-2.0
// mmio_rig.h - a device that echoes behind virtio-mmio registers, and its driver, for tests
#ifndef MAYFLY_TESTS_MMIO_RIG_H
#define MAYFLY_TESTS_MMIO_RIG_H

#include "virtio/mmio.h"

#include <stdbool.h>

#define MMIO_QUEUES 2
#define MMIO_QSIZE 8
#define MMIO_MEM (64u * 1024)
#define MMIO_GPA 0x100000ull
#define MMIO_DEVICE_FEATURE (1ull << 5)

/* Ring layout in guest memory, by queue. */
#define MMIO_DESC(q) (0x1000u + (q)*0x4000u)
#define MMIO_AVAIL(q) (MMIO_DESC(q) + 0x1000)
#define MMIO_USED(q) (MMIO_DESC(q) + 0x2000)
#define MMIO_BUF(q) (MMIO_DESC(q) + 0x3000)

/* Registers and status bits (virtio 1.2, sections 4.2.2 and 2.1), as a driver knows them. */
enum {
	R_MAGIC = 0x00,
	R_VERSION = 0x04,
	R_DEVICE_ID = 0x08,
	R_VENDOR_ID = 0x0c,
	R_DEV_FEATURES = 0x10,
	R_DEV_FEATURES_SEL = 0x14,
	R_DRV_FEATURES = 0x20,
	R_DRV_FEATURES_SEL = 0x24,
	R_QUEUE_SEL = 0x30,
	R_QUEUE_NUM_MAX = 0x34,
	R_QUEUE_NUM = 0x38,
	R_QUEUE_READY = 0x44,
	R_NOTIFY = 0x50,
	R_IRQ_STATUS = 0x60,
	R_IRQ_ACK = 0x64,
	R_STATUS = 0x70,
	R_DESC = 0x80,
	R_AVAIL = 0x90,
	R_USED = 0xa0,
	R_SHM_SEL = 0xac,
	R_SHM_LEN = 0xb0,
	R_QUEUE_RESET = 0xc0,
	R_GENERATION = 0xfc,
	R_CONFIG = 0x100,
};
enum { S_ACK = 1, S_DRIVER = 2, S_DRIVER_OK = 4, S_FEATURES_OK = 8, S_NEEDS_RESET = 64 };
#define S_FAILED 128
#define S_OPEN (S_ACK | S_DRIVER | S_FEATURES_OK)
#define S_RUNNING (S_OPEN | S_DRIVER_OK)

/* Copies what is readable in a chain to where it is writable. */
struct mmio_echo {
	struct virtio_dev dev;
	const char *config;
	unsigned kicks[MMIO_QUEUES];
	unsigned resets;
	unsigned served;
	int entered_fd, gate_fd; /* if not -1: a kick signals the one and waits for the other */
	struct chain chain;
};

struct mmio_rig {
	struct evloop loop;
	struct mmio_echo echo;
	struct virtio_mmio t;
	struct gmem ram;
	uint8_t *mem;
	int irq_fd;
	uint16_t avail[MMIO_QUEUES]; /* the driver's index */
	struct evsource quit;
	pthread_t thread;
};

/* mmio_rig_init() - aborts on failure. The loop is the caller's: virtio_mmio_own_thread() is set.
 */
void mmio_rig_init(struct mmio_rig *r);
void mmio_rig_destroy(struct mmio_rig *r);

/* mmio_rig_run() - lets the device work until it is idle; the number of rounds. */
unsigned mmio_rig_run(struct mmio_rig *r);

/* mmio_rig_thread() - gives the loop to a thread; mmio_rig_join() takes it back. */
void mmio_rig_thread(struct mmio_rig *r);
void mmio_rig_join(struct mmio_rig *r);

/* One access of 4 bytes. */
uint32_t mmio_get(struct mmio_rig *r, uint64_t reg);
void mmio_put(struct mmio_rig *r, uint64_t reg, uint32_t v);
void mmio_put64(struct mmio_rig *r, uint64_t reg, uint64_t v);

/* mmio_rig_negotiate() - everything up to FEATURES_OK; extra: features beside VERSION_1. */
void mmio_rig_negotiate(struct mmio_rig *r, uint64_t extra);

/* mmio_rig_features() - writes both words of the driver's features. */
void mmio_rig_features(struct mmio_rig *r, uint64_t f);

/* mmio_status_legal() - can a device be at this status at all? */
bool mmio_status_legal(uint32_t status);

/* mmio_rig_queue_regs() - sets up the registers of q and leaves memory alone. */
void mmio_rig_queue_regs(struct mmio_rig *r, unsigned q);

/* mmio_rig_queue() - empties the rings of q in memory and sets up its registers. */
void mmio_rig_queue(struct mmio_rig *r, unsigned q);

/* mmio_rig_start() - everything up to DRIVER_OK with both queues. */
void mmio_rig_start(struct mmio_rig *r, uint64_t extra);

/* mmio_rig_add() - makes an echo request available on q; notify: through the register. */
void mmio_rig_add(struct mmio_rig *r, unsigned q, const char *text, bool notify);

/* mmio_rig_used() - the used index of q. */
uint16_t mmio_rig_used(const struct mmio_rig *r, unsigned q);

/* mmio_rig_interrupts() - interrupts since the last call. */
uint64_t mmio_rig_interrupts(struct mmio_rig *r);

#endif
