// SPDX-License-Identifier: Apache-2.0
// fuzz_elf.c - any file as an ELF kernel, by each protocol
//
// Input: the file. What is loaded lies inside the RAM and is what the program headers say; what is
// refused has left the RAM alone and has one line of text.
#include "base/checked.h"
#include "boot/initrd.h"
#include "boot/loader.h"
#include "lib/boot_rig.h"

#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RAM (32 * MIB)
#define ZEROS_MAX 65536u /* looked at behind a segment */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "fuzz_elf: %s\n", what);
		abort();
	}
}

static void check_segments(const struct gmem *m, const uint8_t *data)
{
	Elf64_Ehdr eh;
	memcpy(&eh, data, sizeof(eh));
	for (unsigned i = 0; i < eh.e_phnum; i++) {
		Elf64_Phdr p;
		memcpy(&p, data + eh.e_phoff + i * sizeof(p), sizeof(p));
		if (p.p_type != PT_LOAD || p.p_memsz == 0)
			continue;
		const uint8_t *at = gmem_ptr(m, GPA(p.p_paddr), p.p_memsz);
		must(at && memcmp(at, data + p.p_offset, p.p_filesz) == 0, "a segment's bytes");
		must(boot_rig_zero(m, p.p_paddr + p.p_filesz,
				   MIN(p.p_memsz - p.p_filesz, ZEROS_MAX)),
		     "a segment's zeros");
	}
}

static void check_initrd(struct gmem *m, int fd, const struct boot_kernel *k)
{
	struct boot_initrd rd;
	if (boot_load_initrd(m, fd, "i", k, &rd, NULL) == 0)
		must(rd.gpa >= k->end && rd.gpa % 4096 == 0 && rd.gpa + rd.size <= RAM, "initrd");
}

static void try(int fd, const uint8_t *data, enum boot_protocol want)
{
	struct gmem m;
	struct boot_kernel k;
	struct err e = {0};
	boot_rig_ram(&m, RAM);
	int ret = boot_load_kernel(&m, fd, "k", want, &k, &e);
	if (ret == 0) {
		const char *wrong = boot_rig_verdict(&m, &k);
		must(!wrong, wrong);
		must(want == BOOT_AUTO || k.protocol == want, "protocol");
		if (!k.is_bzimage)
			check_segments(&m, data);
		check_initrd(&m, fd, &k);
	} else {
		must(ret == -ENOEXEC || ret == -ENOMEM, "the error's number");
		must(strncmp(e.text, "kernel 'k'", 10) == 0 && !strchr(e.text, '\n'), "its text");
		must(boot_rig_touched(&m, 0, RAM) == 0, "memory of a refused kernel");
	}
	gmem_clear(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = boot_rig_file(data, size);
	try(fd, data, BOOT_LINUX64);
	try(fd, data, BOOT_PVH);
	try(fd, data, BOOT_AUTO);
	close(fd);
	return 0;
}
