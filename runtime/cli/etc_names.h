// SPDX-License-Identifier: Apache-2.0
// etc_names.h - what of the host's /etc the system view shows
#ifndef MAYFLY_CLI_ETC_NAMES_H
#define MAYFLY_CLI_ETC_NAMES_H

#include <stddef.h>

struct etc_name {
	const char *name; /* below /etc; at most one directory deep, and that one is ssl */
	const char *why;
};

/* In order of name. The same table is in docs/view.md. */
extern const struct etc_name etc_names[];
extern const size_t etc_names_count;

#endif
