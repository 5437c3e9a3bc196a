// SPDX-License-Identifier: Apache-2.0
// vhost_user_msg.c - one row a request: payload size, descriptors, where the queue index is
#include "virtio/vhost_user_msg.h"

#include "base/checked.h"

#include <errno.h>

enum index_at { INDEX_NONE, INDEX_STATE, INDEX_U64 };

/* size -1: checked by the handler */
static const struct row {
	uint8_t request;
	int16_t size;
	uint8_t max_fds;
	uint8_t index_at;
} rows[] = {
	{VU_GET_FEATURES, 0, 0, INDEX_NONE},
	{VU_SET_FEATURES, 8, 0, INDEX_NONE},
	{VU_SET_OWNER, 0, 0, INDEX_NONE},
	{VU_RESET_OWNER, 0, 0, INDEX_NONE},
	{VU_SET_MEM_TABLE, -1, VU_MEM_MAX_REGIONS, INDEX_NONE},
	{VU_SET_VRING_NUM, 8, 0, INDEX_STATE},
	{VU_SET_VRING_ADDR, 40, 0, INDEX_STATE},
	{VU_SET_VRING_BASE, 8, 0, INDEX_STATE},
	{VU_GET_VRING_BASE, 8, 0, INDEX_STATE},
	{VU_SET_VRING_KICK, 8, 1, INDEX_U64},
	{VU_SET_VRING_CALL, 8, 1, INDEX_U64},
	{VU_SET_VRING_ERR, 8, 1, INDEX_U64},
	{VU_GET_PROTOCOL_FEATURES, 0, 0, INDEX_NONE},
	{VU_SET_PROTOCOL_FEATURES, 8, 0, INDEX_NONE},
	{VU_GET_QUEUE_NUM, 0, 0, INDEX_NONE},
	{VU_SET_VRING_ENABLE, 8, 0, INDEX_STATE},
	{VU_GET_CONFIG, -1, 0, INDEX_NONE},
};

int vhost_user_msg_check(const struct vu_msg *m, unsigned num_queues, size_t nfds)
{
	const struct row *row = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].request == m->request)
			row = &rows[i];
	if (!row)
		return -ENOTSUP;
	if ((m->flags & VU_FLAG_VERSION_MASK) != VU_VERSION || (m->flags & VU_FLAG_REPLY))
		return -EPROTO;
	if (row->size >= 0 && m->size != (uint32_t)row->size)
		return -EPROTO;
	if (m->request == VU_GET_CONFIG && m->size < VU_CONFIG_HDR)
		return -EPROTO;
	if (m->request == VU_SET_MEM_TABLE && m->size < 8)
		return -EPROTO;
	if (nfds > row->max_fds)
		return -EPROTO;
	if (row->index_at == INDEX_STATE && m->state.index >= num_queues)
		return -EPROTO;
	if (row->index_at == INDEX_U64 && (m->u64 & VU_VRING_IDX_MASK) >= num_queues)
		return -EPROTO;
	return 0;
}
