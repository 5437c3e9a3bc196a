// SPDX-License-Identifier: Apache-2.0
// bzimage.c - bzImage: setup header checks, where the protected-mode part goes
#include "boot/bzimage.h"

#include "arch/x86_64/layout.h"
#include "base/checked.h"
#include "boot/place.h"

#include <asm/bootparam.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define HEADER_AT 0x1f1u
#define JUMP_TARGET_AT 0x201u /* the header ends this byte's value behind 0x202 */
#define HDRS 0x53726448u
#define VERSION_MIN 0x020cu
#define SECTOR 512u
#define ENTRY64 0x200u

/* Up to handover_offset: what every header of protocol 2.12 has. */
#define HEADER_MIN (0x268u - HEADER_AT)

struct bz {
	int fd;
	uint64_t size;
	const char *name;
	struct err *e;
	uint8_t head[HEADER_AT + BOOT_SETUP_HEADER_MAX];
	struct setup_header h;
	uint64_t payload; /* offset and size of the protected-mode part */
	uint64_t payload_size;
};

static_assert(sizeof(struct setup_header) >= HEADER_MIN, "the system's header lacks fields");
static_assert(sizeof(struct setup_header) <= BOOT_SETUP_HEADER_MAX, "larger than in boot_params");

#define BAD(b, fmt, ...)                                                                           \
	err_set((b)->e, ENOEXEC, "kernel '%s': bzImage " fmt, (b)->name, ##__VA_ARGS__)

static int read_header(struct bz *b)
{
	size_t len = MIN(b->size, sizeof(b->head));
	if (len < HEADER_AT + HEADER_MIN)
		return BAD(b, "setup header: the file ends after %" PRIu64 " bytes", b->size);
	int ret = boot_read(b->fd, 0, b->head, len);
	if (ret < 0)
		return err_errno(b->e, -ret, "kernel '%s': reading the setup header", b->name);
	memcpy(&b->h, b->head + HEADER_AT, MIN(sizeof(b->h), len - HEADER_AT));
	return 0;
}

static int check_protocol(const struct bz *b)
{
	const struct setup_header *h = &b->h;
	if (h->header != HDRS)
		return BAD(b, "header 0x%08x is not \"HdrS\"", h->header);
	if (h->boot_flag != 0xaa55)
		return BAD(b, "boot_flag 0x%04x is not 0xaa55", h->boot_flag);
	if (h->version < VERSION_MIN)
		return BAD(b, "version %u.%02u: the 64-bit entry needs boot protocol 2.12",
			   h->version >> 8, h->version & 0xffu);
	if (0x202u + b->head[JUMP_TARGET_AT] < HEADER_AT + HEADER_MIN)
		return BAD(b, "jump: the setup header ends at 0x%x, boot protocol 2.12 needs 0x%x",
			   0x202u + b->head[JUMP_TARGET_AT], HEADER_AT + HEADER_MIN);
	if (!(h->loadflags & LOADED_HIGH))
		return BAD(b, "loadflags 0x%02x: bit 0 (load at 1 MiB) is clear: a zImage",
			   h->loadflags);
	if (!(h->xloadflags & XLF_KERNEL_64))
		return BAD(b, "xloadflags 0x%04x: bit 0 is clear: no 64-bit entry", h->xloadflags);
	if (h->cmdline_size == 0)
		return BAD(b, "cmdline_size is 0");
	return 0;
}

static int check_sizes(struct bz *b)
{
	unsigned sects = b->h.setup_sects ? b->h.setup_sects : 4;
	b->payload = (sects + 1ull) * SECTOR;
	b->payload_size = b->h.syssize * 16ull;
	if (b->payload_size <= ENTRY64)
		return BAD(b, "syssize 0x%x: no room for the 64-bit entry", b->h.syssize);
	if (b->payload > b->size)
		return BAD(b, "setup_sects %u: the file ends before, after %" PRIu64 " bytes",
			   sects, b->size);
	if (!range_inside(b->payload, b->payload_size, b->size))
		return BAD(b,
			   "setup_sects %u + syssize 0x%x: the file should have %" PRIu64
			   " bytes, it has %" PRIu64,
			   sects, b->h.syssize, b->payload + b->payload_size, b->size);
	if (b->h.init_size == 0)
		return BAD(b, "init_size is 0");
	return 0;
}

/*
 * A relocatable kernel that is loaded below pref_address moves itself up to there, one that is not
 * runs nowhere else: to load lower saves no memory.
 */
static int choose_place(const struct bz *b, struct boot_kernel *k)
{
	const struct setup_header *h = &b->h;
	uint64_t align = h->kernel_alignment;
	uint64_t room = MAX(h->init_size, b->payload_size);
	if (align < LAYOUT_PAGE || align > LAYOUT_IDENTITY_END || (align & (align - 1)) != 0)
		return BAD(b, "kernel_alignment 0x%x is no power of two from 4 KiB to 1 GiB",
			   h->kernel_alignment);
	/* Checked first, so that nothing below can wrap. */
	if (h->pref_address > LAYOUT_IDENTITY_END)
		return BAD(b, "pref_address 0x%" PRIx64 " lies above 1 GiB",
			   (uint64_t)h->pref_address);
	k->start = h->pref_address;
	if (h->relocatable_kernel)
		k->start = (MAX(k->start, LAYOUT_HIMEM) + align - 1) & ~(align - 1);
	else if (k->start < LAYOUT_HIMEM)
		return BAD(b, "pref_address 0x%" PRIx64 " lies below 1 MiB", k->start);
	k->end = k->start + room;
	if (k->end > LAYOUT_IDENTITY_END)
		return BAD(b,
			   "pref_address 0x%" PRIx64 " + init_size 0x%x reaches above 1 GiB,"
			   " which the 64-bit entry can have at most",
			   (uint64_t)h->pref_address, h->init_size);
	k->entry = k->start + ENTRY64;
	return 0;
}

static int load(const struct bz *b, struct gmem *m, struct boot_kernel *k)
{
	size_t len = 0x202u + b->head[JUMP_TARGET_AT] - HEADER_AT;
	k->setup_header_len = MIN(len, MIN(sizeof(k->setup_header), b->size - HEADER_AT));
	memcpy(k->setup_header, b->head + HEADER_AT, k->setup_header_len);
	k->is_bzimage = true;
	k->protocol = BOOT_LINUX64;
	k->cmdline_max = MIN(b->h.cmdline_size, LAYOUT_CMDLINE_MAX - 1);
	k->initrd_end = b->h.initrd_addr_max + 1ull;
	int ret = boot_place(m, GPA(k->start), b->fd, b->payload, b->payload_size,
			     k->end - k->start, &k->mapped, &k->copied);
	return ret < 0 ? err_errno(b->e, -ret, "kernel '%s': loading it", b->name) : 0;
}

int bzimage_load(struct gmem *m, int fd, uint64_t file_size, const char *name,
		 enum boot_protocol want, struct boot_kernel *out, struct err *e)
{
	struct bz b = {.fd = fd, .size = file_size, .name = name, .e = e};
	struct boot_kernel k = {0};
	if (want == BOOT_PVH)
		return err_set(e, ENOEXEC,
			       "kernel '%s' is a bzImage, which has no PVH entry: take the vmlinux"
			       " that it was made of",
			       name);
	int ret = read_header(&b);
	if (ret == 0)
		ret = check_protocol(&b);
	if (ret == 0)
		ret = check_sizes(&b);
	if (ret == 0)
		ret = choose_place(&b, &k);
	if (ret == 0)
		ret = boot_check_fit(m, name, k.end, e);
	if (ret == 0)
		ret = load(&b, m, &k);
	if (ret == 0)
		*out = k;
	return ret;
}
