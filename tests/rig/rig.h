// SPDX-License-Identifier: Apache-2.0
// rig.h - the program that is PID 1 in the rig: what its files share
#ifndef RIG_H
#define RIG_H

#include <stddef.h>
#include <stdnoreturn.h>

/* A growing, NULL-terminated list of strings that belong to the job's text. */
struct list {
	char **at;
	size_t n;
};

/* What tests/rig/run wants done: records "letter, text, NUL", see job_parse(). */
struct job {
	struct list args, env, keep, scratch, out;
	const char *cwd;
	const char *kvm_mode; /* octal */
	const char *kvm_gid;
	const char *tty; /* "ROWS COLUMNS", or NULL: no terminal */
};

/* Prints one line on the rig's console, from where tests/rig/run shows it, and resets. */
noreturn void die(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The mounts that everything else needs: /proc, /sys, /dev. */
void setup_early(void);
/* Mounts, devices, limits and names as the job wants them. */
void setup_rest(const struct job *j);
/* Runs a small guest on /dev/kvm in a child of its own; whether it ended in time as it should. */
int smoke(void);

#endif
