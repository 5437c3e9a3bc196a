// SPDX-License-Identifier: Apache-2.0
// landlock.h - which files a process can still open, by the kernel's own access rules
#ifndef MAYFLY_JAILER_LANDLOCK_H
#define MAYFLY_JAILER_LANDLOCK_H

#include <stddef.h>

enum landlock_right {
	LANDLOCK_READ,	    /* files opened for reading, directories listed */
	LANDLOCK_READ_EXEC, /* and programs and libraries run */
	LANDLOCK_WRITE,	    /* as READ; anything but devices made, changed, moved, removed */
};

/* landlock_version() - of the kernel's interface, 1 or more; 0 if it has none or it is off. */
int landlock_version(void);

/*
 * landlock_create() - a rule set that forbids everything this kernel can forbid: files, and from
 * version 4 on TCP, from 6 on signals and abstract sockets out of the process's own domain.
 * Returns a descriptor that belongs to the caller, or -errno.
 */
int landlock_create(void);

/*
 * landlock_allow() - what fd names and everything below it; any kind of descriptor, of O_PATH, too.
 * Symbolic links need no rule and get none. Returns 0 or -errno.
 */
int landlock_allow(int ruleset, int fd, enum landlock_right right);

/* landlock_enter() - the calling thread, for good; needs no_new_privs. Returns 0 or -errno. */
int landlock_enter(int ruleset);

#endif
