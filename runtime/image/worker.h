// SPDX-License-Identifier: Apache-2.0
// worker.h - the confined process that reads hostile bytes, and what it may tell its parent
#ifndef MAYFLY_IMAGE_WORKER_H
#define MAYFLY_IMAGE_WORKER_H

#include "base/err.h"

#include <signal.h>
#include <stdint.h>

#define WORKER_MEMORY (3ull << 30) /* RLIMIT_AS */
#define WORKER_FILES 64u	   /* RLIMIT_NOFILE */

enum worker_phase {
	WORKER_READ,
	WORKER_WRITE,
	WORKER_PHASES,
};

/* In the worker: what its function gets. */
struct worker {
	int tell;	  /* pipe to the parent */
	uint64_t told_at; /* when progress was told last */
};

struct worker_job {
	/* Runs in the confined process; 0 or -errno with text. */
	int (*run)(struct worker *w, void *arg, struct err *e);
	void *arg;
	int dir;	   /* a directory that may be read, -1: none */
	uint64_t file_max; /* RLIMIT_FSIZE */
	const int *keep;   /* descriptors that the worker needs; all others are closed */
	size_t nkeep;
	/* Called in the parent; may be NULL. */
	void (*progress)(void *arg, enum worker_phase phase, uint64_t done, uint64_t total);
	void *progress_arg;
	const volatile sig_atomic_t *stop; /* non-zero: kill the worker, -EINTR */
};

/*
 * worker_run() - runs job in a process of its own: no new files by name but below dir, no other
 * programs, no capabilities but, for dir, to read, no system calls but those of its table; root
 * becomes nobody unless there is a dir;
 * memory, files and processes limited; it ends with its parent. Returns 0, or -errno with the
 * worker's text.
 */
int worker_run(const struct worker_job *job, struct err *e);

/* worker_tell() - progress, from the worker; often is fine. */
void worker_tell(struct worker *w, enum worker_phase phase, uint64_t done, uint64_t total);

#endif
