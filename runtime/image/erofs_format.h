// SPDX-License-Identifier: Apache-2.0
// erofs_format.h - the part of the EROFS on-disk format that images use: plain, no compression
//
// Linux Documentation/filesystems/erofs.rst. All numbers are little endian. An image is: the
// superblock at byte 1024, inodes from byte 1152 on, then whole blocks of directories and files.
#ifndef MAYFLY_IMAGE_EROFS_FORMAT_H
#define MAYFLY_IMAGE_EROFS_FORMAT_H

#include <stdint.h>

#define EROFS_BLOCK_BITS 12
#define EROFS_BLOCK 4096u
#define EROFS_MAGIC 0xe0f5e1e2u
#define EROFS_SUPER_AT 1024u
#define EROFS_INODES_AT 1152u
#define EROFS_NID_SHIFT 5     /* a nid counts units of 32 bytes */
#define EROFS_COMPAT_MTIME 2u /* times are those of the last change */

struct erofs_super {
	uint32_t magic;
	uint32_t checksum;
	uint32_t feature_compat;
	uint8_t block_bits;
	uint8_t extra_slots;
	uint16_t root_nid;
	uint64_t inodes;
	uint64_t build_time;
	uint32_t build_time_nsec;
	uint32_t blocks;
	uint32_t meta_block;
	uint32_t xattr_block;
	uint8_t uuid[16];
	uint8_t volume[16];
	uint32_t feature_incompat;
	uint8_t unused[44]; /* compression, further devices, long xattr prefixes: none */
} __attribute__((packed));

/* i_format: bit 0 extended, bits 1 to 3 the layout. */
#define EROFS_EXTENDED 1u
#define EROFS_FLAT_PLAIN (0u << 1)
#define EROFS_FLAT_INLINE (2u << 1)

struct erofs_inode {
	uint16_t format;
	uint16_t xattr_count; /* 0, or (bytes - 12) / 4 + 1 */
	uint16_t mode;
	uint16_t reserved;
	uint64_t size;
	uint32_t block; /* of the data */
	uint32_t ino;	/* for 32-bit programs */
	uint32_t uid;
	uint32_t gid;
	uint64_t mtime;
	uint32_t mtime_nsec;
	uint32_t nlink;
	uint8_t reserved2[16];
} __attribute__((packed));

#define EROFS_XATTR_HEADER 12u
struct erofs_xattr {
	uint8_t name_len; /* without the prefix that index stands for */
	uint8_t index;
	uint16_t value_len;
} __attribute__((packed));
#define EROFS_XATTR_USER 1
#define EROFS_XATTR_SECURITY 6

struct erofs_dirent {
	uint64_t nid;
	uint16_t name_at; /* in the block; the first one's tells how many there are */
	uint8_t type;
	uint8_t reserved;
} __attribute__((packed));

#endif
