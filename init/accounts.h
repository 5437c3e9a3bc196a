// SPDX-License-Identifier: Apache-2.0
// accounts.h - the user's lines in /etc/passwd and /etc/group
#ifndef MAYFLY_INIT_ACCOUNTS_H
#define MAYFLY_INIT_ACCOUNTS_H

#include "base/err.h"
#include "proto/agent.pb-c.h"

/*
 * accounts_prepare() - writes both files, with the user's line, below upper, the changed side of an
 * overlay that is not mounted yet; what they hold comes from lower. A file that is unusual there
 * (behind a link, not regular, very large) is left to accounts_finish(). 0 or -errno with text.
 */
int accounts_prepare(const char *lower, const char *upper, const Mayfly__Setup *setup,
		     struct err *e);

/* accounts_finish() - the lines that are missing yet; in the new root. 0 or -errno with text. */
int accounts_finish(const Mayfly__Setup *setup, struct err *e);

#endif
