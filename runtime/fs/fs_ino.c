// SPDX-License-Identifier: Apache-2.0
// fs_ino.c - (device, inode) to one 64-bit number
#include "fs/fs_ino.h"

#include <errno.h>
#include <stdlib.h>

#define INO_BITS 48
#define LARGE_BIT (1ull << 63)
#define HASHED_BIT (1ull << 62)
#define SYNTH_BASE (0x7ffeull << INO_BITS)
#define LARGE_FIRST 256u

_Static_assert(FS_INO_DEVS_MAX < 0x7ffe, "device numbers stay below the synthetic ones");

int fs_ino_dev(struct fs_inos *m, uint64_t dev)
{
	if (m->last < m->ndevs && m->dev[m->last] == dev)
		return (int)m->last;
	for (uint32_t i = 0; i < m->ndevs; i++) {
		if (m->dev[i] == dev) {
			m->last = i;
			return (int)i;
		}
	}
	if (m->ndevs == FS_INO_DEVS_MAX)
		return -ENOSPC;
	m->last = m->ndevs;
	m->dev[m->ndevs] = dev;
	return (int)m->ndevs++;
}

static uint64_t hash(uint64_t ino, uint32_t dev)
{
	uint64_t x = (ino ^ ((uint64_t)dev << 40)) * 0x9e3779b97f4a7c15ull;
	return x ^ (x >> 29);
}

static struct fs_ino_large *large_slot(struct fs_ino_large *tab, uint32_t cap, uint64_t ino,
				       uint32_t dev_plus1)
{
	uint32_t i = (uint32_t)hash(ino, dev_plus1) & (cap - 1);
	while (tab[i].dev_plus1 != 0 && (tab[i].dev_plus1 != dev_plus1 || tab[i].ino != ino))
		i = (i + 1) & (cap - 1);
	return &tab[i];
}

/* Keeps the table at most half full. */
static int large_grow(struct fs_inos *m)
{
	if (m->nlarge >= FS_INO_LARGE_MAX)
		return -ENOSPC;
	if (m->large_cap > 0 && m->nlarge < m->large_cap / 2)
		return 0;
	uint32_t cap = m->large_cap ? m->large_cap * 2 : LARGE_FIRST;
	struct fs_ino_large *tab = calloc(cap, sizeof(*tab));
	if (!tab)
		return -ENOMEM;
	for (uint32_t i = 0; i < m->large_cap; i++) {
		const struct fs_ino_large *e = &m->large[i];
		if (e->dev_plus1 != 0)
			*large_slot(tab, cap, e->ino, e->dev_plus1) = *e;
	}
	free(m->large);
	m->large = tab;
	m->large_cap = cap;
	return 0;
}

static uint64_t large_map(struct fs_inos *m, uint32_t dev_plus1, uint64_t ino)
{
	struct fs_ino_large *e = NULL;
	if (m->large_cap > 0) {
		e = large_slot(m->large, m->large_cap, ino, dev_plus1);
		if (e->dev_plus1 != 0)
			return LARGE_BIT | e->number;
	}
	if (large_grow(m) < 0)
		return LARGE_BIT | HASHED_BIT | (hash(ino, dev_plus1) >> 2);
	e = large_slot(m->large, m->large_cap, ino, dev_plus1);
	*e = (struct fs_ino_large){.ino = ino, .dev_plus1 = dev_plus1, .number = m->nlarge++};
	return LARGE_BIT | e->number;
}

uint64_t fs_ino_map(struct fs_inos *m, uint16_t dev, uint64_t ino)
{
	if (ino >> INO_BITS)
		return large_map(m, dev + 1u, ino);
	return ((uint64_t)dev << INO_BITS) | ino;
}

uint64_t fs_ino_synth(uint32_t slot)
{
	return SYNTH_BASE | slot;
}

void fs_ino_destroy(struct fs_inos *m)
{
	free(m->large);
	m->large = NULL;
	m->nlarge = m->large_cap = 0;
}
