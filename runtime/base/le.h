// SPDX-License-Identifier: Apache-2.0
// le.h - little-endian words in byte buffers, whatever the alignment
#ifndef MAYFLY_BASE_LE_H
#define MAYFLY_BASE_LE_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

static inline uint32_t le32_get(const void *p)
{
	uint32_t v;
	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

static inline void le32_put(void *p, uint32_t v)
{
	v = htole32(v);
	memcpy(p, &v, sizeof(v));
}

#endif
