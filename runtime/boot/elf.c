// SPDX-License-Identifier: Apache-2.0
// elf.c - ELF vmlinux: header checks, PVH note, segments
#include "boot/elf.h"

#include "arch/x86_64/layout.h"
#include "base/checked.h"
#include "base/cleanup.h"
#include "boot/place.h"

#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define PHDRS_MAX 64
#define NOTES_MAX 65536u /* bytes of one PT_NOTE */
#define XEN_ELFNOTE_PHYS32_ENTRY 18

struct elf {
	int fd;
	uint64_t size;
	const char *name;
	struct err *e;
	Elf64_Ehdr eh;
	Elf64_Phdr ph[PHDRS_MAX];
};

#define BAD(l, fmt, ...) err_set((l)->e, ENOEXEC, "kernel '%s': ELF " fmt, (l)->name, ##__VA_ARGS__)

static int check_ident(const struct elf *l)
{
	const unsigned char *id = l->eh.e_ident;
	if (memcmp(id, ELFMAG, SELFMAG) != 0)
		return BAD(l, "e_ident has no ELF magic");
	if (id[EI_CLASS] != ELFCLASS64)
		return BAD(l, "e_ident[EI_CLASS] is %u, not 2 (64 bit)", id[EI_CLASS]);
	if (id[EI_DATA] != ELFDATA2LSB)
		return BAD(l, "e_ident[EI_DATA] is %u, not 1 (little-endian)", id[EI_DATA]);
	if (id[EI_VERSION] != EV_CURRENT)
		return BAD(l, "e_ident[EI_VERSION] is %u, not 1", id[EI_VERSION]);
	return 0;
}

static int check_header(const struct elf *l)
{
	const Elf64_Ehdr *h = &l->eh;
	int ret = check_ident(l);
	if (ret < 0)
		return ret;
	if (h->e_machine != EM_X86_64)
		return BAD(l, "e_machine is %u, not 62 (x86-64)", h->e_machine);
	if (h->e_type != ET_EXEC)
		return BAD(l, "e_type is %u, not 2 (executable at a fixed address)", h->e_type);
	if (h->e_version != EV_CURRENT)
		return BAD(l, "e_version is %u, not 1", h->e_version);
	if (h->e_phentsize != sizeof(Elf64_Phdr))
		return BAD(l, "e_phentsize is %u, not %zu", h->e_phentsize, sizeof(Elf64_Phdr));
	if (h->e_phnum == 0 || h->e_phnum > PHDRS_MAX)
		return BAD(l, "e_phnum is %u, not between 1 and %u", h->e_phnum, PHDRS_MAX);
	if (!range_inside(h->e_phoff, h->e_phnum * sizeof(Elf64_Phdr), l->size))
		return BAD(l,
			   "e_phoff 0x%" PRIx64
			   " + %u program headers lies behind the end of the file",
			   h->e_phoff, h->e_phnum);
	return 0;
}

static int read_headers(struct elf *l)
{
	if (l->size < sizeof(l->eh))
		return BAD(l, "header: the file ends after %" PRIu64 " bytes", l->size);
	int ret = boot_read(l->fd, 0, &l->eh, sizeof(l->eh));
	if (ret == 0) {
		ret = check_header(l);
		if (ret < 0)
			return ret;
		ret = boot_read(l->fd, l->eh.e_phoff, l->ph, l->eh.e_phnum * sizeof(Elf64_Phdr));
	}
	return ret < 0 ? err_errno(l->e, -ret, "kernel '%s': reading the ELF headers", l->name) : 0;
}

static bool in_memory(const Elf64_Phdr *p)
{
	return p->p_type == PT_LOAD && p->p_memsz > 0;
}

static int check_overlap(const struct elf *l, unsigned i)
{
	const Elf64_Phdr *a = &l->ph[i];
	for (unsigned j = 0; j < i; j++) {
		const Elf64_Phdr *b = &l->ph[j];
		if (in_memory(b) && a->p_paddr < b->p_paddr + b->p_memsz &&
		    b->p_paddr < a->p_paddr + a->p_memsz)
			return BAD(l,
				   "program header %u: p_paddr 0x%" PRIx64 " + p_memsz 0x%" PRIx64
				   " overlaps program header %u",
				   i, a->p_paddr, a->p_memsz, j);
	}
	return 0;
}

static int check_file_part(const struct elf *l, unsigned i)
{
	const Elf64_Phdr *p = &l->ph[i];
	if (!range_inside(p->p_offset, p->p_filesz, l->size))
		return BAD(l,
			   "program header %u: p_offset 0x%" PRIx64 " + p_filesz 0x%" PRIx64
			   " lies behind the end of the file",
			   i, p->p_offset, p->p_filesz);
	return 0;
}

static int check_segment(const struct elf *l, unsigned i)
{
	const Elf64_Phdr *p = &l->ph[i];
	uint64_t end;
	if (p->p_filesz > p->p_memsz)
		return BAD(l,
			   "program header %u: p_filesz 0x%" PRIx64
			   " is larger than p_memsz 0x%" PRIx64,
			   i, p->p_filesz, p->p_memsz);
	if (!in_memory(p))
		return 0;
	int ret = check_file_part(l, i);
	if (ret < 0)
		return ret;
	if (p->p_paddr < LAYOUT_HIMEM)
		return BAD(l, "program header %u: p_paddr 0x%" PRIx64 " lies below 1 MiB", i,
			   p->p_paddr);
	if (add_overflows(p->p_paddr, p->p_memsz, &end) || end > LAYOUT_HOLE_START)
		return BAD(l,
			   "program header %u: p_paddr 0x%" PRIx64 " + p_memsz 0x%" PRIx64
			   " lies above the 3 GiB where RAM can be",
			   i, p->p_paddr, p->p_memsz);
	return check_overlap(l, i);
}

static int check_segments(const struct elf *l, struct boot_kernel *k)
{
	k->start = UINT64_MAX;
	for (unsigned i = 0; i < l->eh.e_phnum; i++) {
		const Elf64_Phdr *p = &l->ph[i];
		if (p->p_type != PT_LOAD)
			continue;
		int ret = check_segment(l, i);
		if (ret < 0)
			return ret;
		if (in_memory(p)) {
			k->start = MIN(k->start, p->p_paddr);
			k->end = MAX(k->end, p->p_paddr + p->p_memsz);
		}
	}
	if (k->end == 0)
		return BAD(l, "program headers: none is PT_LOAD with p_memsz above 0");
	return 0;
}

static uint64_t align_up(uint64_t v, uint64_t to)
{
	return (v + to - 1) / to * to;
}

/* A whole note lies in the buffer, or it is refused; 1 with the entry, 0 if there is none. */
static int walk_notes(const struct elf *l, unsigned i, const uint8_t *buf, uint64_t *entry)
{
	/* binutils aligns the notes of a program header so marked to 8, all others to 4. */
	uint64_t align = l->ph[i].p_align == 8 ? 8 : 4;
	uint64_t len = l->ph[i].p_filesz;
	Elf64_Nhdr n;
	for (uint64_t at = 0; at < len && len - at >= sizeof(n);) {
		memcpy(&n, buf + at, sizeof(n));
		uint64_t desc = align_up(at + sizeof(n) + n.n_namesz, align);
		if (!range_inside(desc, n.n_descsz, len))
			return BAD(l,
				   "program header %u: note at 0x%" PRIx64
				   ": n_namesz 0x%x + n_descsz 0x%x"
				   " lies behind the end of the notes",
				   i, at, n.n_namesz, n.n_descsz);
		if (n.n_type == XEN_ELFNOTE_PHYS32_ENTRY && n.n_namesz == sizeof("Xen") &&
		    memcmp(buf + at + sizeof(n), "Xen", sizeof("Xen")) == 0) {
			if (n.n_descsz != 4 && n.n_descsz != 8)
				return BAD(l,
					   "program header %u: PVH note: n_descsz is %u,"
					   " not 4 or 8",
					   i, n.n_descsz);
			*entry = 0;
			memcpy(entry, buf + desc, n.n_descsz);
			return 1;
		}
		at = align_up(desc + n.n_descsz, align);
	}
	return 0;
}

static int find_pvh(const struct elf *l, uint64_t *entry)
{
	for (unsigned i = 0; i < l->eh.e_phnum; i++) {
		const Elf64_Phdr *p = &l->ph[i];
		if (p->p_type != PT_NOTE || p->p_filesz == 0)
			continue;
		int ret = check_file_part(l, i);
		if (ret < 0)
			return ret;
		if (p->p_filesz > NOTES_MAX)
			return BAD(l,
				   "program header %u: p_filesz of notes is 0x%" PRIx64
				   ", at most 0x%x are read",
				   i, p->p_filesz, NOTES_MAX);
		AUTO_FREE uint8_t *buf = malloc(p->p_filesz);
		ret = buf ? boot_read(l->fd, p->p_offset, buf, p->p_filesz) : -ENOMEM;
		if (ret < 0)
			return err_errno(l->e, -ret, "kernel '%s': reading the ELF notes", l->name);
		ret = walk_notes(l, i, buf, entry);
		if (ret != 0)
			return ret;
	}
	return 0;
}

/* Linux has the physical address in e_entry. */
static int check_entry(const struct elf *l, const char *field, uint64_t entry)
{
	for (unsigned i = 0; i < l->eh.e_phnum; i++) {
		const Elf64_Phdr *p = &l->ph[i];
		if (in_memory(p) && entry >= p->p_paddr && entry - p->p_paddr < p->p_filesz)
			return 0;
	}
	return BAD(l, "%s 0x%" PRIx64 " lies in no loaded segment", field, entry);
}

static int choose_entry(const struct elf *l, enum boot_protocol want, struct boot_kernel *k)
{
	int ret = 0;
	if (want != BOOT_LINUX64)
		ret = find_pvh(l, &k->entry);
	if (ret < 0)
		return ret;
	if (ret == 1) {
		k->protocol = BOOT_PVH;
		return check_entry(l, "PVH note: entry", k->entry);
	}
	if (want == BOOT_PVH)
		return BAD(l, "notes: no PVH entry (it was built without CONFIG_PVH)");
	k->protocol = BOOT_LINUX64;
	k->entry = l->eh.e_entry;
	if (k->end > LAYOUT_IDENTITY_END)
		return BAD(l,
			   "program headers: the kernel reaches to 0x%" PRIx64
			   ", the 64-bit entry can have 1 GiB at most",
			   k->end);
	return check_entry(l, "e_entry", k->entry);
}

static int load_segments(const struct elf *l, struct gmem *m, struct boot_kernel *k)
{
	for (unsigned i = 0; i < l->eh.e_phnum; i++) {
		const Elf64_Phdr *p = &l->ph[i];
		if (!in_memory(p))
			continue;
		int ret = boot_place(m, GPA(p->p_paddr), l->fd, p->p_offset, p->p_filesz,
				     p->p_memsz, &k->mapped, &k->copied);
		if (ret < 0)
			return err_errno(l->e, -ret, "kernel '%s': loading ELF program header %u",
					 l->name, i);
	}
	return 0;
}

int elf_load(struct gmem *m, int fd, uint64_t file_size, const char *name, enum boot_protocol want,
	     struct boot_kernel *out, struct err *e)
{
	struct elf l = {.fd = fd, .size = file_size, .name = name, .e = e};
	struct boot_kernel k = {
		.initrd_end = UINT64_MAX,
		.cmdline_max = LAYOUT_CMDLINE_DEFAULT - 1,
	};
	int ret = read_headers(&l);
	if (ret == 0)
		ret = check_segments(&l, &k);
	if (ret == 0)
		ret = choose_entry(&l, want, &k);
	if (ret == 0)
		ret = boot_check_fit(m, name, k.end, e);
	if (ret == 0)
		ret = load_segments(&l, m, &k);
	if (ret == 0)
		*out = k;
	return ret;
}
