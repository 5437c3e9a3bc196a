// SPDX-License-Identifier: Apache-2.0
// fs.c - the table of mayfly-fs: one thread, which opens files for reading
//
// No extended attributes: mayfly always asks for FsConfig.no_xattr.
#include "policy.h"

#include <fcntl.h>

/* O_TMPFILE without the O_DIRECTORY in it. */
#define TMPFILE_BIT (O_TMPFILE & ~O_DIRECTORY)

static const struct policy_row fs_rows[] = {
	ROWS_PROCESS,
	ROW("recvmsg", "requests of the device"),
	ROW("sendmsg", "answers, with open files"),
	ROW("openat", "opens a file that is already known by an O_PATH descriptor, to read it",
	    IF(WITHOUT(2, O_ACCMODE | O_CREAT | O_TRUNC | TMPFILE_BIT | O_APPEND))),
	/* Its flags are in memory, where a filter doesn't see them: Landlock forbids writing. */
	ROW("openat2", "looks names up without leaving the directory"),
	ROW("statx", "attributes"),
	ROW("readlinkat", "symbolic links"),
	ROW("getdents64", "directories"),
	ROW("lseek", "goes back in a directory"),
	ROW("fcntl", "a file for the device is made blocking", IF(IS(1, F_GETFL))),
	ROW("fcntl", "a file for the device is made blocking", IF(IS(1, F_SETFL))),
	ROW("fstatfs", "free space, for the guest's df"),
	ROW("close", "descriptors that are in use no more"),
	ROW("exit_group", "the end"),
};

const struct policy policy_fs = TABLE("fs", true, fs_rows);
