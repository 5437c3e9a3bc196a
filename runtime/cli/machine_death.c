// SPDX-License-Identifier: Apache-2.0
// machine_death.c - which of a machine's processes was the first to fail, and how
#include "machine_death.h"

#include <sys/wait.h>

/*
 * The first to fail, as a rule. But a process that is killed closes its sockets before it can be
 * waited for, and who was at their other end may fail over that and be seen first. A signal that
 * did not come from the supervisor is never what follows from another's end.
 */
void machine_death_note(struct machine_death *d, const struct machine_death *one, bool told_to)
{
	bool killed = WIFSIGNALED(one->status) && !told_to;
	if (one->status == 0 || (d->seen && (WIFSIGNALED(d->status) || !killed)))
		return;
	*d = *one;
	d->seen = true;
}
