// SPDX-License-Identifier: Apache-2.0
// initrd.c - where an initrd goes
#include "boot/initrd.h"

#include "arch/x86_64/layout.h"
#include "base/checked.h"
#include "boot/place.h"

#include <errno.h>
#include <inttypes.h>

#define KIB 1024u

int boot_load_initrd(struct gmem *m, int fd, const char *name, const struct boot_kernel *k,
		     struct boot_initrd *out, struct err *e)
{
	struct boot_initrd rd = {0};
	int ret = boot_file_size(fd, "initrd", name, &rd.size, e);
	if (ret < 0)
		return ret;
	if (rd.size == 0)
		return err_set(e, ENOEXEC, "initrd '%s' is an empty file", name);
	uint64_t top = MIN(boot_low_ram(m), k->initrd_end) & ~(LAYOUT_PAGE - 1);
	uint64_t bottom = (MAX(k->end, LAYOUT_HIMEM) + LAYOUT_PAGE - 1) & ~(LAYOUT_PAGE - 1);
	uint64_t room = top > bottom ? top - bottom : 0;
	if (rd.size > room)
		return err_set(e, ENOMEM,
			       "initrd '%s' has %" PRIu64 " KiB, there is room for %" PRIu64
			       " KiB above the kernel: the machine needs more memory",
			       name, rd.size / KIB + (rd.size % KIB != 0), room / KIB);
	rd.gpa = (top - rd.size) & ~(LAYOUT_PAGE - 1);
	ret = boot_place(m, GPA(rd.gpa), fd, 0, rd.size, rd.size, &rd.mapped, &rd.copied);
	if (ret < 0)
		return err_errno(e, -ret, "initrd '%s': loading it", name);
	*out = rd;
	return 0;
}
