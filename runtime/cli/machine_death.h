/* SPDX-License-Identifier: Apache-2.0 */
/* machine_death.h - which of a machine's processes was the first to fail, and how */
#ifndef MAYFLY_CLI_MACHINE_DEATH_H
#define MAYFLY_CLI_MACHINE_DEATH_H

#include <stdbool.h>

/* All zero: none has failed. */
struct machine_death {
	bool seen;
	unsigned which; /* enum machine_process */
	int status;	/* as waitpid() reports it */
	bool host_oom;	/* the host's kernel killed it, for lack of memory */
};

/*
 * One more has ended. Told of in the order in which they were seen to end, d keeps the one that
 * the others' ends came from. told_to: the supervisor had sent it SIGKILL. Any thread, one at a
 * time.
 */
void machine_death_note(struct machine_death *d, const struct machine_death *one, bool told_to);

#endif
