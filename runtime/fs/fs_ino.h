// SPDX-License-Identifier: Apache-2.0
// fs_ino.h - inode numbers that are unique in the guest although they come from several devices
//
// The guest sees one file system. A number holds the device's index above bit 48 and the host's
// inode number below; the first device has index 0, so its numbers are the host's own (and 32-bit
// programs without large file support can stat its files). Host numbers of 2^48 and more get the
// next free number with bit 63 set, the same one each time.
#ifndef MAYFLY_FS_INO_H
#define MAYFLY_FS_INO_H

#include <stddef.h>
#include <stdint.h>

#define FS_INO_DEVS_MAX 1024u

/* Large numbers remembered; beyond it they are hashed, and a collision becomes possible. */
#define FS_INO_LARGE_MAX (1u << 20)

struct fs_ino_large {
	uint64_t ino;
	uint32_t dev_plus1; /* 0: free */
	uint32_t number;
};

struct fs_inos {
	uint64_t dev[FS_INO_DEVS_MAX];
	uint32_t ndevs, last;
	struct fs_ino_large *large;
	uint32_t nlarge, large_cap;
};

/* fs_ino_dev() - index of a host device, or -ENOSPC if there are too many. */
int fs_ino_dev(struct fs_inos *m, uint64_t dev);

/* fs_ino_map() - the guest's number of a file of a device from fs_ino_dev(). */
uint64_t fs_ino_map(struct fs_inos *m, uint16_t dev, uint64_t ino);

/* fs_ino_synth() - the number of a directory that no host file stands behind. */
uint64_t fs_ino_synth(uint32_t slot);

void fs_ino_destroy(struct fs_inos *m);

#endif
