// SPDX-License-Identifier: Apache-2.0
// test_elf.c - ELF vmlinux: what is loaded where, each field when it is wrong, cut files
// links: runtime/boot/elf.c runtime/boot/place.c runtime/vmm/gmem.c
#include "boot/elf.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "lib/boot_rig.h"

#include <elf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define PAGE 4096u
#define RAM (8 * MIB)
#define TEXT 0x200000ull
#define DATA 0x400000ull
#define ENTRY (TEXT + 0x123)
#define PVH_ENTRY (TEXT + 0x40)

#define NOTES_AT 0x400u
#define NOTES_LEN 0x44u

struct image {
	Elf64_Ehdr eh;
	Elf64_Phdr ph[4]; /* text, data with bss, notes, stack flags */
	uint8_t to_notes[NOTES_AT - sizeof(Elf64_Ehdr) - 4 * sizeof(Elf64_Phdr)];
	uint8_t notes[PAGE - NOTES_AT];
	uint8_t text[2 * PAGE];
	uint8_t data[PAGE + 0x50];
};

static struct {
	struct image f;
	struct gmem m;
	struct boot_kernel k;
	struct err e;
} t;

static size_t put_note(uint8_t *at, const char *owner, uint32_t type, const void *desc,
		       uint32_t len)
{
	Elf64_Nhdr n = {.n_namesz = (uint32_t)strlen(owner) + 1, .n_descsz = len, .n_type = type};
	size_t name = (n.n_namesz + 3u) & ~3u;
	memcpy(at, &n, sizeof(n));
	memcpy(at + sizeof(n), owner, n.n_namesz);
	memcpy(at + sizeof(n) + name, desc, len);
	return sizeof(n) + name + ((len + 3u) & ~3u);
}

static void make(void)
{
	uint64_t pvh = PVH_ENTRY;
	memset(&t.f, 0, sizeof(t.f));
	t.f.eh = (Elf64_Ehdr){
		.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
		.e_type = ET_EXEC,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_entry = ENTRY,
		.e_phoff = offsetof(struct image, ph),
		.e_ehsize = sizeof(Elf64_Ehdr),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = 4,
	};
	t.f.ph[0] = (Elf64_Phdr){.p_type = PT_LOAD,
				 .p_offset = offsetof(struct image, text),
				 .p_vaddr = 0xffffffff81000000,
				 .p_paddr = TEXT,
				 .p_filesz = sizeof(t.f.text),
				 .p_memsz = sizeof(t.f.text)};
	t.f.ph[1] = (Elf64_Phdr){.p_type = PT_LOAD,
				 .p_offset = offsetof(struct image, data),
				 .p_paddr = DATA,
				 .p_filesz = sizeof(t.f.data),
				 .p_memsz = 0x5000};
	t.f.ph[2] = (Elf64_Phdr){.p_type = PT_NOTE,
				 .p_offset = NOTES_AT,
				 .p_filesz = NOTES_LEN,
				 .p_memsz = NOTES_LEN,
				 .p_align = 4};
	t.f.ph[3] = (Elf64_Phdr){.p_type = PT_GNU_STACK, .p_offset = UINT64_MAX};
	uint8_t *n = t.f.notes;
	n += put_note(n, "Linux", 18, "\1\2\3", 3);
	n += put_note(n, "Xen", 17, "\1\2\3\4", 4);
	n += put_note(n, "Xen", 18, &pvh, sizeof(pvh));
	assert_int_equal(n - t.f.notes, NOTES_LEN);
	for (size_t i = 0; i < sizeof(t.f.text); i++)
		t.f.text[i] = (uint8_t)(1 + i % 251);
	for (size_t i = 0; i < sizeof(t.f.data); i++)
		t.f.data[i] = (uint8_t)(1 + i % 241);
}

static int setup(void **state)
{
	(void)state;
	make();
	memset(&t.k, 0x5a, sizeof(t.k));
	memset(&t.e, 0, sizeof(t.e));
	boot_rig_ram(&t.m, RAM);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	gmem_clear(&t.m);
	return 0;
}

static int load_cut(size_t len, uint64_t told, enum boot_protocol want)
{
	int fd = boot_rig_file(&t.f, len);
	int ret = elf_load(&t.m, fd, told, "k", want, &t.k, &t.e);
	close(fd);
	return ret;
}

static int load(enum boot_protocol want)
{
	return load_cut(sizeof(t.f), sizeof(t.f), want);
}

/* Refused with this text, and neither memory nor result are touched. */
static void refused(int ret, int want, const char *text)
{
	struct boot_kernel same;
	memset(&same, 0x5a, sizeof(same));
	if (ret != want || !strstr(t.e.text, text))
		fail_msg("%d, '%s' instead of %d, '%s'", ret, t.e.text, want, text);
	assert_ptr_equal(strstr(t.e.text, "kernel 'k'"), t.e.text);
	assert_null(strchr(t.e.text, '\n'));
	assert_int_equal(boot_rig_touched(&t.m, 0, RAM), 0);
	assert_memory_equal(&t.k, &same, sizeof(same));
}

static void loaded(void)
{
	assert_memory_equal(gmem_ptr(&t.m, GPA(TEXT), 1), t.f.text, sizeof(t.f.text));
	assert_memory_equal(gmem_ptr(&t.m, GPA(DATA), 1), t.f.data, sizeof(t.f.data));
	assert_true(boot_rig_zero(&t.m, DATA + sizeof(t.f.data), 0x5000 - sizeof(t.f.data)));
	assert_int_equal(t.k.start, TEXT);
	assert_int_equal(t.k.end, DATA + 0x5000);
	assert_int_equal(t.k.initrd_end, UINT64_MAX);
	assert_int_equal(t.k.cmdline_max, 2047);
	assert_false(t.k.is_bzimage);
	assert_int_equal(t.k.setup_header_len, 0);
	assert_int_equal(t.k.mapped, 3 * PAGE);
	assert_int_equal(t.k.copied, 0x50);
}

static void test_linux64(void **state)
{
	(void)state;
	assert_int_equal(load(BOOT_LINUX64), 0);
	assert_int_equal(t.k.protocol, BOOT_LINUX64);
	assert_int_equal(t.k.entry, ENTRY);
	loaded();
	assert_int_equal(boot_rig_touched(&t.m, 0, TEXT), 0);
	assert_int_equal(boot_rig_touched(&t.m, TEXT + 2 * PAGE, DATA), 0);
	assert_int_equal(boot_rig_touched(&t.m, DATA + 0x5000, RAM), 0);
}

static void test_pvh(void **state)
{
	(void)state;
	for (int auto_too = 0; auto_too < 2; auto_too++) {
		assert_int_equal(load(auto_too ? BOOT_AUTO : BOOT_PVH), 0);
		assert_int_equal(t.k.protocol, BOOT_PVH);
		assert_int_equal(t.k.entry, PVH_ENTRY);
		loaded();
	}
}

static void test_no_note(void **state)
{
	(void)state;
	t.f.ph[2].p_type = PT_NULL;
	refused(load(BOOT_PVH), -ENOEXEC, "no PVH entry");
	assert_int_equal(load(BOOT_AUTO), 0);
	assert_int_equal(t.k.protocol, BOOT_LINUX64);
	assert_int_equal(t.k.entry, ENTRY);
}

#define EH(field) offsetof(struct image, eh.field), sizeof(((struct image *)0)->eh.field)
#define PH(i, field) offsetof(struct image, ph[i].field), sizeof(((struct image *)0)->ph[i].field)
/* The header of the third note. */
#define NOTE(field) NOTES_AT + 0x2c + offsetof(Elf64_Nhdr, field), 4

struct patch {
	size_t at, len;
	uint64_t value;
	const char *text;
};

static void refuse_patched(const struct patch *p)
{
	make();
	memcpy((uint8_t *)&t.f + p->at, &p->value, p->len);
	refused(load(BOOT_AUTO), -ENOEXEC, p->text);
}

static void test_header_fields(void **state)
{
	(void)state;
	const struct patch rows[] = {
		{EI_MAG0, 1, 0x7e, "ELF e_ident has no ELF magic"},
		{EI_MAG3, 1, 'f', "ELF e_ident has no ELF magic"},
		{EI_CLASS, 1, ELFCLASS32, "ELF e_ident[EI_CLASS] is 1, not 2 (64 bit)"},
		{EI_DATA, 1, ELFDATA2MSB, "ELF e_ident[EI_DATA] is 2"},
		{EI_VERSION, 1, 0, "ELF e_ident[EI_VERSION] is 0"},
		{EH(e_type), ET_DYN, "ELF e_type is 3"},
		{EH(e_type), ET_REL, "ELF e_type is 1"},
		{EH(e_type), ET_CORE, "ELF e_type is 4"},
		{EH(e_machine), EM_AARCH64, "ELF e_machine is 183"},
		{EH(e_machine), EM_386, "ELF e_machine is 3"},
		{EH(e_version), 2, "ELF e_version is 2"},
		{EH(e_phentsize), 0, "ELF e_phentsize is 0"},
		{EH(e_phentsize), 32, "ELF e_phentsize is 32"},
		{EH(e_phentsize), 57, "ELF e_phentsize is 57"},
		{EH(e_phnum), 0, "ELF e_phnum is 0"},
		{EH(e_phnum), 65, "ELF e_phnum is 65"},
		{EH(e_phnum), 0xffff, "ELF e_phnum is 65535"},
		{EH(e_phoff), sizeof(struct image), "ELF e_phoff 0x4050"},
		{EH(e_phoff), sizeof(struct image) - 4 * 56 + 1, "lies behind the end of the file"},
		{EH(e_phoff), UINT64_MAX, "ELF e_phoff 0xffffffffffffffff + 4 program headers"},
		{EH(e_phoff), UINT64_MAX - 4 * 56 + 1, "lies behind the end of the file"},
		{EH(e_phoff), 1ull << 63, "lies behind the end of the file"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		refuse_patched(&rows[i]);
}

static void test_segment_fields(void **state)
{
	(void)state;
	const struct patch rows[] = {
		{PH(1, p_filesz), 0x5001, "ELF program header 1: p_filesz 0x5001 is larger"},
		{PH(1, p_memsz), 0x104f, "p_filesz 0x1050 is larger than p_memsz 0x104f"},
		{PH(1, p_memsz), 0, "p_filesz 0x1050 is larger than p_memsz 0x0"},
		{PH(1, p_offset), 0x3001,
		 "ELF program header 1: p_offset 0x3001 + p_filesz 0x1050"
		 " lies behind the end of the file"},
		{PH(1, p_offset), UINT64_MAX, "lies behind the end of the file"},
		{PH(1, p_offset), UINT64_MAX - 0x104f, "lies behind the end of the file"},
		{PH(1, p_paddr), 0, "ELF program header 1: p_paddr 0x0 lies below 1 MiB"},
		{PH(1, p_paddr), MIB - 1, "p_paddr 0xfffff lies below 1 MiB"},
		{PH(1, p_paddr), MIB - 0x1000, "lies below 1 MiB"},
		{PH(1, p_paddr), UINT64_MAX, "ELF program header 1: p_paddr 0xffffffffffffffff +"},
		{PH(1, p_paddr), UINT64_MAX - 0x4fff, "lies above the 3 GiB"},
		{PH(1, p_paddr), 3 * GIB - 0x4fff, "lies above the 3 GiB"},
		{PH(1, p_paddr), 4 * GIB, "lies above the 3 GiB"},
		{PH(1, p_memsz), UINT64_MAX, "lies above the 3 GiB"},
		{PH(1, p_memsz), UINT64_MAX - DATA + 1, "lies above the 3 GiB"},
		{PH(1, p_paddr), TEXT,
		 "ELF program header 1: p_paddr 0x200000 + p_memsz 0x5000"
		 " overlaps program header 0"},
		{PH(1, p_paddr), TEXT + 0x1fff, "overlaps program header 0"},
		{PH(1, p_paddr), TEXT - 0x4fff, "overlaps program header 0"},
		{PH(0, p_memsz), DATA - TEXT + 1, "overlaps program header 0"},
		{PH(0, p_type), PT_NULL, "PVH note: entry 0x200040 lies in no loaded segment"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		refuse_patched(&rows[i]);
	make();
	t.f.ph[0].p_type = t.f.ph[1].p_type = PT_NULL;
	refused(load(BOOT_AUTO), -ENOEXEC, "ELF program headers: none is PT_LOAD");
	make();
	t.f.ph[0].p_filesz = t.f.ph[1].p_filesz = t.f.ph[0].p_memsz = t.f.ph[1].p_memsz = 0;
	refused(load(BOOT_AUTO), -ENOEXEC, "ELF program headers: none is PT_LOAD");
}

static void test_note_fields(void **state)
{
	(void)state;
	const struct patch rows[] = {
		{PH(2, p_offset), sizeof(struct image), "ELF program header 2: p_offset 0x4050"},
		{PH(2, p_offset), UINT64_MAX - 1, "lies behind the end of the file"},
		{PH(2, p_filesz), sizeof(struct image), "lies behind the end of the file"},
		{PH(2, p_filesz), UINT64_MAX, "lies behind the end of the file"},
		{PH(2, p_filesz), NOTES_LEN - 1,
		 "ELF program header 2: note at 0x2c: n_namesz 0x4"},
		{PH(2, p_filesz), 0x2c + 12, "lies behind the end of the notes"},
		{NOTE(n_namesz), UINT32_MAX, "note at 0x2c: n_namesz 0xffffffff + n_descsz 0x8"},
		{NOTE(n_namesz), 9, "lies behind the end of the notes"},
		{NOTE(n_descsz), UINT32_MAX, "n_namesz 0x4 + n_descsz 0xffffffff lies behind"},
		{NOTE(n_descsz), 9, "lies behind the end of the notes"},
		{NOTE(n_descsz), 0, "ELF program header 2: PVH note: n_descsz is 0, not 4 or 8"},
		{NOTE(n_descsz), 5, "PVH note: n_descsz is 5"},
		{NOTES_AT + 0x3c, 8, 0, "ELF PVH note: entry 0x0 lies in no loaded segment"},
		{NOTES_AT + 0x3c, 8, TEXT - 1, "lies in no loaded segment"},
		{NOTES_AT + 0x3c, 8, TEXT + 2 * PAGE, "lies in no loaded segment"},
		{NOTES_AT + 0x3c, 8, DATA + PAGE + 0x50, "lies in no loaded segment"},
		{NOTES_AT + 0x3c, 8, (1ull << 32) + TEXT, "lies in no loaded segment"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		refuse_patched(&rows[i]);
		/* Nobody looks at notes that nobody asked for. */
		assert_int_equal(load(BOOT_LINUX64), 0);
		teardown(NULL);
		setup(NULL);
	}
}

/* A PVH note that isn't one, or in another shape. */
static void test_other_notes(void **state)
{
	(void)state;
	const struct patch rows[] = {
		{NOTE(n_type), 17, NULL},
		{NOTE(n_namesz), 3, NULL},
		{NOTES_AT + 0x2c + 12, 1, 'x', NULL},
		{PH(2, p_filesz), 0, NULL},
		{PH(2, p_filesz), 0x2c, NULL},
		{PH(2, p_filesz), 0x2c + 11, NULL},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		make();
		memcpy((uint8_t *)&t.f + rows[i].at, &rows[i].value, rows[i].len);
		assert_int_equal(load(BOOT_AUTO), 0);
		assert_int_equal(t.k.protocol, BOOT_LINUX64);
	}
	make();
	memcpy(t.f.notes + 0x2c + 4, &(uint32_t){4}, 4);
	assert_int_equal(load(BOOT_PVH), 0);
	assert_int_equal(t.k.entry, PVH_ENTRY);
	/* Aligned to 8: the fourth word of the first name is padding, as is one behind each note.
	 */
	make();
	memset(t.f.notes, 0, NOTES_LEN);
	put_note(t.f.notes, "GNU", 5, "\1\2\3\4", 4);
	put_note(t.f.notes + 24, "Xen", 18, &(uint64_t){PVH_ENTRY}, 8);
	t.f.ph[2].p_align = 8;
	t.f.ph[2].p_filesz = 24 + 24;
	assert_int_equal(load(BOOT_PVH), 0);
	assert_int_equal(t.k.entry, PVH_ENTRY);
	/* The first of two counts. */
	put_note(t.f.notes, "Xen", 18, &(uint64_t){PVH_ENTRY + 1}, 8);
	assert_int_equal(load(BOOT_PVH), 0);
	assert_int_equal(t.k.entry, PVH_ENTRY + 1);
}

static void test_too_many_notes(void **state)
{
	(void)state;
	size_t len = sizeof(t.f) + 65537;
	AUTO_FREE uint8_t *f = calloc(1, len);
	t.f.ph[2].p_offset = sizeof(t.f);
	t.f.ph[2].p_filesz = 65537;
	memcpy(f, &t.f, sizeof(t.f));
	int fd = boot_rig_file(f, len);
	refused(elf_load(&t.m, fd, len, "k", BOOT_AUTO, &t.k, &t.e), -ENOEXEC,
		"ELF program header 2: p_filesz of notes is 0x10001, at most 0x10000 are read");
	close(fd);
	/* At the limit: empty notes only. */
	t.f.ph[2].p_filesz = 65536;
	memcpy(f, &t.f, sizeof(t.f));
	fd = boot_rig_file(f, len);
	assert_int_equal(elf_load(&t.m, fd, len, "k", BOOT_AUTO, &t.k, &t.e), 0);
	assert_int_equal(t.k.protocol, BOOT_LINUX64);
	close(fd);
}

static void test_entry(void **state)
{
	(void)state;
	const uint64_t bad[] = {0,	   TEXT - 1,	       TEXT + 2 * PAGE,
				DATA - 1,  DATA + PAGE + 0x50, 0xffffffff81000123,
				UINT64_MAX};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		char text[80];
		t.f.eh.e_entry = bad[i];
		snprintf(text, sizeof(text), "ELF e_entry 0x%llx lies in no loaded segment",
			 (unsigned long long)bad[i]);
		refused(load(BOOT_LINUX64), -ENOEXEC, text);
	}
	const uint64_t good[] = {TEXT, TEXT + 2 * PAGE - 1, DATA, DATA + PAGE + 0x4f};
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		t.f.eh.e_entry = good[i];
		assert_int_equal(load(BOOT_LINUX64), 0);
		assert_int_equal(t.k.entry, good[i]);
	}
}

static void test_too_little_memory(void **state)
{
	(void)state;
	t.f.ph[1].p_memsz = RAM - DATA + 1;
	refused(load(BOOT_AUTO), -ENOMEM,
		"kernel 'k' needs at least 9 MiB of memory, the machine has 8 MiB");
	t.f.ph[1].p_memsz = RAM - DATA;
	assert_int_equal(load(BOOT_AUTO), 0);
	assert_int_equal(t.k.end, RAM);
}

/* The page tables of the 64-bit entry map 1 GiB; the PVH entry has none. */
static void test_above_a_gib(void **state)
{
	(void)state;
	gmem_clear(&t.m);
	boot_rig_ram(&t.m, 2 * GIB);
	t.f.ph[1].p_paddr = GIB - 0x4000;
	int ret = load(BOOT_LINUX64);
	assert_int_equal(ret, -ENOEXEC);
	assert_non_null(strstr(t.e.text, "kernel 'k': ELF program headers: the kernel reaches to"
					 " 0x40001000"));
	assert_int_equal(load(BOOT_PVH), 0);
	t.f.ph[1].p_paddr = GIB - 0x5000;
	assert_int_equal(load(BOOT_LINUX64), 0);
}

/* Segments that touch, in any order, and some with nothing in them. */
static void test_neighbours(void **state)
{
	(void)state;
	t.f.ph[1].p_paddr = TEXT + 2 * PAGE;
	assert_int_equal(load(BOOT_AUTO), 0);
	t.f.ph[1].p_paddr = TEXT - 0x5000;
	assert_int_equal(load(BOOT_AUTO), 0);
	assert_int_equal(t.k.start, TEXT - 0x5000);
	assert_int_equal(t.k.end, TEXT + 2 * PAGE);
	t.f.ph[3] = (Elf64_Phdr){.p_type = PT_LOAD, .p_paddr = 5, .p_offset = UINT64_MAX};
	assert_int_equal(load(BOOT_AUTO), 0);
	assert_int_equal(t.k.start, TEXT - 0x5000);
	/* Both in one page of the guest: neither loses a byte. */
	t.f.ph[0].p_filesz = t.f.ph[0].p_memsz = PAGE + 0x800;
	t.f.ph[1].p_paddr = TEXT + PAGE + 0x800;
	assert_int_equal(load(BOOT_AUTO), 0);
	assert_memory_equal(gmem_ptr(&t.m, GPA(TEXT), 1), t.f.text, PAGE + 0x800);
	assert_memory_equal(gmem_ptr(&t.m, GPA(TEXT + PAGE + 0x800), 1), t.f.data,
			    sizeof(t.f.data));
}

static void test_most_headers(void **state)
{
	(void)state;
	struct {
		struct image f;
		Elf64_Phdr ph[64];
	} big = {0};
	t.f.eh.e_phoff = offsetof(typeof(big), ph);
	t.f.eh.e_phnum = 64;
	big.f = t.f;
	for (unsigned i = 0; i < 64; i++) {
		big.ph[i] = t.f.ph[0];
		big.ph[i].p_paddr = TEXT + i * 2ull * PAGE;
	}
	int fd = boot_rig_file(&big, sizeof(big));
	assert_int_equal(elf_load(&t.m, fd, sizeof(big), "k", BOOT_AUTO, &t.k, &t.e), 0);
	assert_int_equal(t.k.end, TEXT + 128 * PAGE);
	assert_int_equal(t.k.mapped, 128 * PAGE);
	close(fd);
}

/* Every length but the full one is refused; so is a file that got shorter meanwhile. */
static void test_cut(void **state)
{
	(void)state;
	for (size_t len = 0; len < sizeof(t.f); len++)
		refused(load_cut(len, len, BOOT_AUTO), -ENOEXEC, "kernel 'k': ELF ");
	for (size_t len = 0; len < sizeof(t.f); len += 7) {
		assert_true(load_cut(len, sizeof(t.f), BOOT_AUTO) < 0);
		assert_ptr_equal(strstr(t.e.text, "kernel 'k': "), t.e.text);
	}
}

/* The kernel of this tree: its pages are the file's, and next to nothing is copied. */
static void test_real(void **state)
{
	(void)state;
	uint64_t size;
	AUTO_CLOSE int fd = boot_rig_open("build/guest/vmlinux", &size);
	if (fd < 0)
		skip();
	const uint8_t *f = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	assert_ptr_not_equal(f, MAP_FAILED);
	Elf64_Ehdr eh;
	memcpy(&eh, f, sizeof(eh));
	gmem_clear(&t.m);
	boot_rig_ram(&t.m, 64 * MIB);
	assert_int_equal(elf_load(&t.m, fd, size, "k", BOOT_LINUX64, &t.k, &t.e), 0);
	assert_int_equal(t.k.entry, eh.e_entry);
	uint64_t sum = 0;
	for (unsigned i = 0; i < eh.e_phnum; i++) {
		Elf64_Phdr p;
		memcpy(&p, f + eh.e_phoff + i * sizeof(p), sizeof(p));
		if (p.p_type != PT_LOAD)
			continue;
		assert_memory_equal(gmem_ptr(&t.m, GPA(p.p_paddr), p.p_memsz), f + p.p_offset,
				    p.p_filesz);
		assert_true(boot_rig_zero(&t.m, p.p_paddr + p.p_filesz, p.p_memsz - p.p_filesz));
		sum += p.p_filesz;
	}
	assert_int_equal(t.k.mapped + t.k.copied, sum);
	assert_true(t.k.copied <= eh.e_phnum * 2ull * PAGE);
	assert_int_equal(elf_load(&t.m, fd, size, "k", BOOT_AUTO, &t.k, &t.e), 0);
	assert_int_equal(t.k.protocol, BOOT_PVH);
	munmap((void *)(uintptr_t)f, size);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_linux64),	T(test_pvh),
		T(test_no_note),	T(test_header_fields),
		T(test_segment_fields), T(test_note_fields),
		T(test_other_notes),	T(test_too_many_notes),
		T(test_entry),		T(test_too_little_memory),
		T(test_above_a_gib),	T(test_neighbours),
		T(test_most_headers),	T(test_cut),
		T(test_real),
	};
	alarm(60);
	return cmocka_run_group_tests_name("elf", tests, NULL, NULL);
}
