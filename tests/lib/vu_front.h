// SPDX-License-Identifier: Apache-2.0
// vu_front.h - a vhost-user front end as QEMU is one, and a device that echoes, for tests
#ifndef MAYFLY_TESTS_VU_FRONT_H
#define MAYFLY_TESTS_VU_FRONT_H

#include "virtio/vhost_user.h"
#include "virtio/vhost_user_msg.h"

#include <stdbool.h>

#define VU_FRONT_QUEUES 2
#define VU_FRONT_QSIZE 8
#define VU_FRONT_MEM (64u * 1024)
#define VU_FRONT_GPA 0x100000ull
#define VU_FRONT_UADDR 0x7f0000000000ull

/* Ring layout in the memory file, by queue. */
#define VU_FRONT_DESC(q) (0x1000u + (q)*0x4000u)
#define VU_FRONT_AVAIL(q) (VU_FRONT_DESC(q) + 0x1000)
#define VU_FRONT_USED(q) (VU_FRONT_DESC(q) + 0x2000)
#define VU_FRONT_BUF(q) (VU_FRONT_DESC(q) + 0x3000)

/* Copies what is readable in a chain to where it is writable. */
struct vu_echo {
	struct virtio_dev dev;
	unsigned kicks[VU_FRONT_QUEUES];
	unsigned resets;
	unsigned served;
	struct chain chain;
};

struct vu_front {
	struct evloop loop;
	struct vu_echo echo;
	struct vhost_user vu;
	unsigned gone;
	int sock; /* our end */
	int memfd;
	uint8_t *mem;
	int kick[VU_FRONT_QUEUES], call[VU_FRONT_QUEUES];
};

/* vu_front_init() - connects an echo device to a front end with sealed memory; aborts on failure.
 */
void vu_front_init(struct vu_front *f);
void vu_front_destroy(struct vu_front *f);

/* vu_front_memfd() - a memory file with these seals; -1 on failure. */
int vu_front_memfd(size_t size, int seals);

/* vu_front_run() - lets the back end work until it is idle. */
void vu_front_run(struct vu_front *f);

/* vu_front_send() - one message as it is, with its descriptors; then lets the back end work. */
void vu_front_send(struct vu_front *f, uint32_t request, const void *payload, uint32_t len,
		   const int *fds, size_t nfds);

/* vu_front_send_flags() - the same with flags beside the version. */
void vu_front_send_flags(struct vu_front *f, uint32_t request, uint32_t flags, const void *payload,
			 uint32_t len, const int *fds, size_t nfds);

/* vu_front_reply() - the next reply, false if there is none. */
bool vu_front_reply(struct vu_front *f, struct vu_msg *m);

/* Short forms. */
void vu_front_u64(struct vu_front *f, uint32_t request, uint64_t v);
void vu_front_state(struct vu_front *f, uint32_t request, uint32_t index, uint32_t num);
void vu_front_mem_table(struct vu_front *f);
void vu_front_addr(struct vu_front *f, uint32_t q);
void vu_front_ring_fds(struct vu_front *f, uint32_t q);

/* vu_front_handshake() - everything that QEMU sends until both rings run. */
void vu_front_handshake(struct vu_front *f, uint64_t extra_features);

/* vu_front_add() - makes an echo request available on q, with or without a kick. */
void vu_front_add(struct vu_front *f, unsigned q, const char *text, bool kick);

/* vu_front_used() - the used index of q. */
uint16_t vu_front_used(const struct vu_front *f, unsigned q);

#endif
