// SPDX-License-Identifier: Apache-2.0
// vhost_user_msg.h - vhost-user message layout and its first check
#ifndef MAYFLY_VIRTIO_VHOST_USER_MSG_H
#define MAYFLY_VIRTIO_VHOST_USER_MSG_H

#include <stddef.h>
#include <stdint.h>

enum vu_request {
	VU_GET_FEATURES = 1,
	VU_SET_FEATURES = 2,
	VU_SET_OWNER = 3,
	VU_RESET_OWNER = 4,
	VU_SET_MEM_TABLE = 5,
	VU_SET_VRING_NUM = 8,
	VU_SET_VRING_ADDR = 9,
	VU_SET_VRING_BASE = 10,
	VU_GET_VRING_BASE = 11,
	VU_SET_VRING_KICK = 12,
	VU_SET_VRING_CALL = 13,
	VU_SET_VRING_ERR = 14,
	VU_GET_PROTOCOL_FEATURES = 15,
	VU_SET_PROTOCOL_FEATURES = 16,
	VU_GET_QUEUE_NUM = 17,
	VU_SET_VRING_ENABLE = 18,
	VU_GET_CONFIG = 24,
};

#define VU_VERSION 1u
#define VU_FLAG_VERSION_MASK 3u
#define VU_FLAG_REPLY (1u << 2)
#define VU_FLAG_NEED_REPLY (1u << 3)

#define VU_F_PROTOCOL_FEATURES (1ull << 30)
#define VU_PROTOCOL_F_MQ 0
#define VU_PROTOCOL_F_REPLY_ACK 3
#define VU_PROTOCOL_F_CONFIG 9

#define VU_VRING_IDX_MASK 0xffu
#define VU_VRING_NOFD (1u << 8)

#define VU_MEM_MAX_REGIONS 8
#define VU_CONFIG_MAX 256
#define VU_CONFIG_HDR 12

struct vu_mem_region {
	uint64_t gpa;
	uint64_t size;
	uint64_t uaddr;
	uint64_t mmap_offset;
};

/* Little-endian on the wire, as all hosts we run on. */
struct vu_msg {
	uint32_t request;
	uint32_t flags;
	uint32_t size;
	union {
		uint64_t u64;
		struct {
			uint32_t index;
			uint32_t num;
		} state;
		struct {
			uint32_t index;
			uint32_t flags;
			uint64_t desc;
			uint64_t used;
			uint64_t avail;
			uint64_t log;
		} addr;
		struct {
			uint32_t nregions;
			uint32_t padding;
			struct vu_mem_region region[VU_MEM_MAX_REGIONS];
		} mem;
		struct {
			uint32_t offset;
			uint32_t size;
			uint32_t flags;
			uint8_t data[VU_CONFIG_MAX];
		} config;
	};
} __attribute__((packed));

#define VU_HDR offsetof(struct vu_msg, u64)
_Static_assert(VU_HDR == 12, "header is 12 bytes");

/*
 * vhost_user_msg_check() - version, payload size, queue index and descriptor count by request.
 * Returns 0, -ENOTSUP for a request we don't serve, -EPROTO otherwise.
 */
int vhost_user_msg_check(const struct vu_msg *m, unsigned num_queues, size_t nfds);

#endif
