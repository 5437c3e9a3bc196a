// SPDX-License-Identifier: Apache-2.0
// zeropage.c - struct boot_params for the 64-bit entry, and the command line
#include "arch/x86_64/zeropage.h"

#include "arch/x86_64/e820.h"
#include "arch/x86_64/layout.h"
#include "base/checked.h"

#include <asm/bootparam.h>
#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#define LOADER_UNDEFINED 0xffu
#define HDRS 0x53726448u

static_assert(sizeof(struct boot_params) == LAYOUT_PAGE, "boot_params is one page");
static_assert(offsetof(struct boot_params, hdr) == 0x1f1, "the setup header lies at 0x1f1");
static_assert(offsetof(struct boot_params, edd_mbr_sig_buffer) == 0x1f1 + BOOT_SETUP_HEADER_MAX,
	      "the longest setup header ends there");
static_assert(E820_MAX <= E820_MAX_ENTRIES_ZEROPAGE, "the zero page holds the whole memory map");

int zeropage_cmdline(struct gmem *m, const struct boot_kernel *k, const char *cmdline,
		     struct err *e)
{
	size_t len = strlen(cmdline);
	size_t max = MIN(k->cmdline_max, LAYOUT_CMDLINE_MAX - 1);
	if (len > max)
		return err_set(e, E2BIG,
			       "the kernel's command line has %zu bytes, this kernel takes %zu at"
			       " most",
			       len, max);
	int ret = gmem_write(m, GPA(LAYOUT_CMDLINE), cmdline, len + 1);
	return ret < 0 ? err_set(e, EFAULT, "no memory for the kernel's command line") : 0;
}

static int put_e820(const struct gmem *m, struct boot_params *p)
{
	struct e820_entry list[E820_MAX];
	int n = e820_build(m, list, ARRAY_SIZE(list));
	for (int i = 0; i < n; i++) {
		p->e820_table[i].addr = list[i].addr;
		p->e820_table[i].size = list[i].size;
		p->e820_table[i].type = list[i].type;
	}
	p->e820_entries = (uint8_t)MAX(n, 0);
	return MIN(n, 0);
}

static void put_header(struct boot_params *p, const struct boot_kernel *k)
{
	if (k->is_bzimage) {
		memcpy((uint8_t *)p + offsetof(struct boot_params, hdr), k->setup_header,
		       MIN(k->setup_header_len, sizeof(k->setup_header)));
	} else {
		p->hdr.boot_flag = 0xaa55;
		p->hdr.header = HDRS;
		p->hdr.version = 0x020c;
		p->hdr.loadflags = LOADED_HIGH;
		p->hdr.kernel_alignment = 0x1000000;
	}
	p->hdr.type_of_loader = LOADER_UNDEFINED;
	p->hdr.code32_start = (uint32_t)k->start;
	p->hdr.setup_data = 0;
}

static void put_initrd(struct boot_params *p, const struct boot_initrd *rd)
{
	p->hdr.ramdisk_image = (uint32_t)rd->gpa;
	p->ext_ramdisk_image = (uint32_t)(rd->gpa >> 32);
	p->hdr.ramdisk_size = (uint32_t)rd->size;
	p->ext_ramdisk_size = (uint32_t)(rd->size >> 32);
}

int zeropage_write(struct gmem *m, const struct boot_kernel *k, const char *cmdline,
		   const struct boot_initrd *rd, struct err *e)
{
	struct boot_params p = {0};
	int ret = zeropage_cmdline(m, k, cmdline, e);
	if (ret < 0)
		return ret;
	put_header(&p, k);
	p.hdr.cmd_line_ptr = LAYOUT_CMDLINE;
	if (rd)
		put_initrd(&p, rd);
	ret = put_e820(m, &p);
	if (ret == 0)
		ret = gmem_write(m, GPA(LAYOUT_ZERO_PAGE), &p, sizeof(p));
	return ret < 0 ? err_errno(e, -ret, "writing the kernel's boot parameters") : 0;
}
