// SPDX-License-Identifier: Apache-2.0
// fs.c - the tables of mayfly-fs: one thread, which opens files for reading, and a second table for
// machines with a writable share
//
// Extended attributes only of writable shares: mayfly always asks for FsConfig.no_xattr.
#include "policy.h"

#include <fcntl.h>

/* O_TMPFILE without the O_DIRECTORY in it. */
#define TMPFILE_BIT (O_TMPFILE & ~O_DIRECTORY)

/* The flags of openat2 are in memory, where a filter doesn't see them: Landlock forbids writing. */
#define ROWS_FS                                                                                    \
	ROWS_PROCESS, ROW("recvmsg", "requests of the device"),                                    \
		ROW("sendmsg", "answers, with open files"),                                        \
		ROW("openat2", "looks names up without leaving the directory"),                    \
		ROW("statx", "attributes"), ROW("readlinkat", "symbolic links"),                   \
		ROW("getdents64", "directories"), ROW("lseek", "goes back in a directory"),        \
		ROW("fcntl", "a file for the device is made blocking", IF(IS(1, F_GETFL))),        \
		ROW("fcntl", "a file for the device is made blocking", IF(IS(1, F_SETFL))),        \
		ROW("fstatfs", "free space, for the guest's df"),                                  \
		ROW("close", "descriptors that are in use no more"), ROW("exit_group", "the end")

static const struct policy_row fs_rows[] = {
	ROWS_FS,
	ROW("openat", "opens a file that is already known by an O_PATH descriptor, to read it",
	    IF(WITHOUT(2, O_ACCMODE | O_CREAT | O_TRUNC | TMPFILE_BIT | O_APPEND))),
};

/* What it may change, and below which directories, Landlock says. */
static const struct policy_row fs_rows_rw[] = {
	ROWS_FS,
	ROW("openat", "opens a file that is already known by an O_PATH descriptor",
	    IF(WITHOUT(2, O_CREAT | O_TRUNC | TMPFILE_BIT | O_APPEND))),
	ROW("mknodat", "files, FIFOs and sockets that the guest makes"),
	ROW("mkdirat", "directories"),
	ROW("symlinkat", "symbolic links"),
	ROW("linkat", "further names of a file"),
	ROW("unlinkat", "names that the guest removes"),
	ROW("renameat2", "and moves"),
	ROW("fchmodat", "modes"),
	ROW("fchownat", "owners; without capabilities nothing is given away"),
	ROW("utimensat", "times"),
	ROW("ftruncate", "sizes"),
	ROW("pwrite64", "data where a quota counts it"),
	ROW("fallocate", "room where a quota counts it"),
	ROW("fsync", "directories; files where a quota counts"),
	ROW("fdatasync", "the same"),
	ROW("getxattr", "user. attributes"),
	ROW("listxattr", "their names"),
	ROW("setxattr", "changing them"),
	ROW("removexattr", "and removing them"),
};

const struct policy policy_fs = TABLE("fs", true, fs_rows);
const struct policy policy_fs_rw = TABLE("fs-rw", true, fs_rows_rw);
