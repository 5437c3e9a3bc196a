// SPDX-License-Identifier: Apache-2.0
// place.h - puts a piece of a file into guest RAM, mapped where it can be
#ifndef MAYFLY_BOOT_PLACE_H
#define MAYFLY_BOOT_PLACE_H

#include "base/err.h"
#include "vmm/gmem.h"

#include <stddef.h>
#include <stdint.h>

/*
 * boot_place() - [off, off + filesz) of the file at this address, then zeros up to memsz.
 * Whole pages are mapped privately over the RAM, so that all machines share the clean ones through
 * the page cache; partial pages, and all that can't be mapped, are copied. The file must not
 * shrink as long as the guest runs. Pages are replaced only in regions that own their mapping
 * (gmem_region.map) and so lose what madvise() said about them: call madvise() after loading.
 * @memsz: at least filesz
 * @mapped, @copied: incremented by the bytes that went each way
 * Returns 0, -EINVAL (sizes), -EFAULT (not all of it RAM), -ENODATA (outside of the file) or
 * what reading gave. The guest must not run.
 */
int boot_place(struct gmem *m, struct gpa at, int fd, uint64_t off, uint64_t filesz, uint64_t memsz,
	       uint64_t *mapped, uint64_t *copied);

/*
 * boot_file_size() - size of a regular file; anything else is refused with one line.
 * @what: "kernel" or "initrd"
 */
int boot_file_size(int fd, const char *what, const char *name, uint64_t *size, struct err *e);

/* boot_read() - exactly len bytes from this offset; 0, -ENODATA if the file is shorter, -errno. */
int boot_read(int fd, uint64_t off, void *buf, size_t len);

/* boot_low_ram() - end of the RAM that starts at address 0; boot_ram_size() - bytes of all RAM. */
uint64_t boot_low_ram(const struct gmem *m);
uint64_t boot_ram_size(const struct gmem *m);

/* boot_check_fit() - -ENOMEM with one line if a kernel that ends here does not fit into RAM. */
int boot_check_fit(const struct gmem *m, const char *name, uint64_t end, struct err *e);

#endif
