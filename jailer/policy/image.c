// SPDX-License-Identifier: Apache-2.0
// image.c - the table of the process in which mayfly-image reads archives, and that where it reads
// a directory
//
// Nobody listens to this process, so another call kills it. Which names it may open, Landlock says.
#include "policy.h"

#include <errno.h>
#include <fcntl.h>

#define ROWS_IMAGE                                                                                 \
	ROWS_PROCESS, ROW("pread64", "the archive, the image"),                                    \
		ROW("newfstatat", "sizes of what is open", IF(IS(3, AT_EMPTY_PATH))),              \
		ROW("openat", "jansson looks for random numbers, and goes on without",             \
		    IF(WITHOUT(2, O_ACCMODE | O_CREAT | O_TRUNC)), FAILS(EACCES)),                 \
		ROW("pwrite64", "the image"), ROW("ftruncate", "its size"),                        \
		ROW("sysinfo", "qsort() asks how much memory there is"),                           \
		ROW("exit_group", "the end")

static const struct policy_row image_rows[] = {ROWS_IMAGE};

static const struct policy_row image_rows_dir[] = {
	ROWS_IMAGE,
	ROW("openat2", "looks names up without leaving the directory"),
	ROW("newfstatat", "what an OCI layout has", IF(IS(3, AT_SYMLINK_NOFOLLOW))),
	ROW("getdents64", "directories"),
	ROW("readlinkat", "symbolic links"),
	ROW("flistxattr", "attributes that an image keeps"),
	ROW("fgetxattr", "and what they say"),
	ROW("fcntl", "a directory is read through a descriptor of its own",
	    IF(IS(1, F_DUPFD_CLOEXEC))),
	ROW("fcntl", "which fdopendir() looks at", IF(IS(1, F_GETFL))),
	ROW("fcntl", "and closes on exec", IF(IS(1, F_SETFD))),
	ROW("close", "descriptors that are in use no more"),
};

const struct policy policy_image = TABLE_KILLS("image", image_rows);
const struct policy policy_image_dir = TABLE_KILLS("image-dir", image_rows_dir);
