// SPDX-License-Identifier: Apache-2.0
// pvh.c - writes hvm_start_info and what it points to
#include "arch/x86_64/pvh.h"

#include "arch/x86_64/e820.h"
#include "arch/x86_64/layout.h"
#include "arch/x86_64/zeropage.h"
#include "base/checked.h"

#include <assert.h>

static_assert(sizeof(struct pvh_start_info) == 56, "hvm_start_info of version 1");
static_assert(sizeof(struct pvh_module) == 32, "hvm_modlist_entry");
static_assert(sizeof(struct pvh_memmap) == 24, "hvm_memmap_table_entry");
static_assert(LAYOUT_PVH_START + sizeof(struct pvh_start_info) <= LAYOUT_PVH_MODULES &&
		      LAYOUT_PVH_MODULES + sizeof(struct pvh_module) <= LAYOUT_PVH_MEMMAP &&
		      LAYOUT_PVH_MEMMAP + E820_MAX * sizeof(struct pvh_memmap) <= LAYOUT_ZERO_PAGE,
	      "PVH structures overlap");

/* Returns the number of entries or -errno. */
static int put_memmap(struct gmem *m)
{
	struct e820_entry list[E820_MAX];
	struct pvh_memmap map[E820_MAX] = {0};
	int n = e820_build(m, list, ARRAY_SIZE(list));
	for (int i = 0; i < n; i++)
		map[i] = (struct pvh_memmap){
			.addr = list[i].addr, .size = list[i].size, .type = list[i].type};
	int ret = gmem_write(m, GPA(LAYOUT_PVH_MEMMAP), map, sizeof(map));
	return ret < 0 ? ret : n;
}

static int put_all(struct gmem *m, const struct boot_initrd *rd)
{
	struct pvh_module mod = {0};
	struct pvh_start_info info = {
		.magic = PVH_MAGIC,
		.version = 1,
		.cmdline_paddr = LAYOUT_CMDLINE,
		.memmap_paddr = LAYOUT_PVH_MEMMAP,
	};
	int n = put_memmap(m);
	if (n < 0)
		return n;
	info.memmap_entries = (uint32_t)n;
	if (rd) {
		info.modules = 1;
		info.modlist_paddr = LAYOUT_PVH_MODULES;
		mod.paddr = rd->gpa;
		mod.size = rd->size;
	}
	int ret = gmem_write(m, GPA(LAYOUT_PVH_MODULES), &mod, sizeof(mod));
	return ret < 0 ? ret : gmem_write(m, GPA(LAYOUT_PVH_START), &info, sizeof(info));
}

int pvh_write(struct gmem *m, const struct boot_kernel *k, const char *cmdline,
	      const struct boot_initrd *rd, uint64_t *start_info, struct err *e)
{
	int ret = zeropage_cmdline(m, k, cmdline, e);
	if (ret < 0)
		return ret;
	ret = put_all(m, rd);
	if (ret < 0)
		return err_errno(e, -ret, "writing the kernel's PVH start info");
	*start_info = LAYOUT_PVH_START;
	return 0;
}
