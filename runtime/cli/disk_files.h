// SPDX-License-Identifier: Apache-2.0
// disk_files.h - the files behind the machine's disks, opened with the user's rights
#ifndef MAYFLY_CLI_DISK_FILES_H
#define MAYFLY_CLI_DISK_FILES_H

#include "cli/config.h"

#define DISK_SERIAL_MAX 20

struct disk_file {
	int fd;
	uint64_t size; /* bytes, a multiple of 512 */
	bool read_only;
	bool throwaway; /* nobody can read it after the machine */
	char serial[DISK_SERIAL_MAX + 1];
};

struct disk_files {
	unsigned n;
	struct disk_file file[CONFIG_MAX_DISKS];
	char image[16];	  /* the guest's name of the root file system's device; empty: none */
	char scratch[16]; /* the guest's name of the device that takes its changes; empty: none */
};

/*
 * disk_files_open() - what c names with --disk, in that order, then the image, then --scratch. Each
 * is locked against other machines for as long as this one has it. Returns 0 or -errno with text;
 * disk_files_close() closes what there is in both cases.
 */
int disk_files_open(struct disk_files *d, const struct vm_config *c, struct err *e);
void disk_files_close(struct disk_files *d);

#endif
