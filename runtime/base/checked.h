// SPDX-License-Identifier: Apache-2.0
// checked.h - arithmetic that can't wrap silently, and small compile-time helpers
#ifndef MAYFLY_BASE_CHECKED_H
#define MAYFLY_BASE_CHECKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

/* Each returns true on overflow, like the builtins; the name says what is checked. */
#define add_overflows(a, b, res) __builtin_add_overflow(a, b, res)
#define mul_overflows(a, b, res) __builtin_mul_overflow(a, b, res)

/* range_inside() - true if [off, off + len) lies within [0, size). len 0 at the end is inside. */
static inline bool range_inside(uint64_t off, uint64_t len, uint64_t size)
{
	return off <= size && len <= size - off;
}

#define container_of(ptr, type, member)                                                            \
	((type *)(void *)(&((char *)(ptr))[-(ptrdiff_t)offsetof(type, member)]))

#endif
