// SPDX-License-Identifier: Apache-2.0
// fuzz_bzimage.c - any file as a bzImage, up to the boot parameters
//
// Input: the file. What is loaded lies inside the RAM and is what the setup header says; what is
// refused has left the RAM alone and has one line of text.
#include "arch/x86_64/layout.h"
#include "arch/x86_64/zeropage.h"
#include "base/checked.h"
#include "boot/bzimage.h"
#include "boot/initrd.h"
#include "lib/boot_rig.h"

#include <asm/bootparam.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RAM (32 * MIB)
#define ZEROS_MAX 65536u /* looked at behind the kernel's bytes */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "fuzz_bzimage: %s\n", what);
		abort();
	}
}

static void check_payload(const struct gmem *m, const uint8_t *data, const struct boot_kernel *k)
{
	struct setup_header h = {0};
	memcpy(&h, data + 0x1f1, MIN(k->setup_header_len, sizeof(h)));
	size_t at = ((h.setup_sects ? h.setup_sects : 4u) + 1) * 512u;
	uint64_t len = h.syssize * 16ull;
	must(k->mapped + k->copied == len && len <= k->end - k->start, "length");
	must(memcmp(gmem_ptr(m, GPA(k->start), len), data + at, len) == 0, "the kernel's bytes");
	must(boot_rig_zero(m, k->start + len, MIN(k->end - k->start - len, ZEROS_MAX)), "zeros");
	must(k->entry == k->start + 0x200, "entry");
	must(!h.relocatable_kernel || k->start % h.kernel_alignment == 0, "alignment");
}

static void check_params(struct gmem *m, int fd, const struct boot_kernel *k)
{
	struct boot_initrd rd;
	struct boot_params p;
	bool with = boot_load_initrd(m, fd, "i", k, &rd, NULL) == 0;
	if (with)
		must(rd.gpa >= k->end && rd.gpa + rd.size <= MIN(k->initrd_end, RAM), "initrd");
	must(zeropage_write(m, k, "", with ? &rd : NULL, NULL) == 0, "boot parameters");
	must(gmem_read(m, GPA(LAYOUT_ZERO_PAGE), &p, sizeof(p)) == 0 && p.sentinel == 0 &&
		     p.e820_entries == 3 && p.hdr.cmd_line_ptr == LAYOUT_CMDLINE,
	     "what the boot parameters say");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct gmem m;
	struct boot_kernel k;
	struct err e = {0};
	int fd = boot_rig_file(data, size);
	boot_rig_ram(&m, RAM);
	int ret = bzimage_load(&m, fd, size, "k", BOOT_AUTO, &k, &e);
	if (ret == 0) {
		const char *wrong = boot_rig_verdict(&m, &k);
		must(!wrong, wrong);
		must(k.is_bzimage && k.protocol == BOOT_LINUX64, "protocol");
		check_payload(&m, data, &k);
		check_params(&m, fd, &k);
	} else {
		must(ret == -ENOEXEC || ret == -ENOMEM, "the error's number");
		must(strncmp(e.text, "kernel 'k'", 10) == 0 && !strchr(e.text, '\n'), "its text");
		must(boot_rig_touched(&m, 0, RAM) == 0, "memory of a refused kernel");
	}
	gmem_clear(&m);
	close(fd);
	return 0;
}
