// SPDX-License-Identifier: Apache-2.0
// sweep.h - how those who remove what dead machines left tell about it
#ifndef MAYFLY_JAILER_SWEEP_H
#define MAYFLY_JAILER_SWEEP_H

#include <stdbool.h>
#include <stddef.h>

enum sweep_kind { SWEEP_MACHINE, SWEEP_CGROUP, SWEEP_ID, SWEEP_KINDS };

struct sweep {
	bool dry_run; /* tell what would be removed, remove nothing */
	/*
	 * Called for each thing: a machine's id, a cgroup's path, an id file's name; ret is 0 if
	 * it was removed (dry_run: would be), or -errno if it stays. May be NULL.
	 */
	void (*found)(void *arg, enum sweep_kind kind, const char *name, int ret);
	void *arg;
};

static inline bool sweep_dry(const struct sweep *s)
{
	return s && s->dry_run;
}

static inline void sweep_found(const struct sweep *s, enum sweep_kind kind, const char *name,
			       int ret)
{
	if (s && s->found)
		s->found(s->arg, kind, name, ret);
}

#endif
