// SPDX-License-Identifier: Apache-2.0
// seccomp.c - loads a table that was compiled when the program was built
#include "seccomp.h"

#include "base/checked.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Written by seccomp_gen: filters[SECCOMP_TABLES], call_names[]. */
struct compiled {
	const char *name;
	const struct sock_filter *code;
	unsigned short len;
	bool kills;
};
#include "jailer/seccomp_tables.h"

int seccomp_load(enum seccomp_table t, int *listener)
{
	if ((unsigned)t >= ARRAY_SIZE(filters) || filters[t].kills != !listener)
		return -EINVAL;
	struct sock_fprog prog = {
		.len = filters[t].len,
		.filter = (struct sock_filter *)(uintptr_t)filters[t].code,
	};
	unsigned flags = listener ? SECCOMP_FILTER_FLAG_NEW_LISTENER : 0;
	long fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &prog);
	if (fd < 0)
		return -errno;
	if (listener)
		*listener = (int)fd;
	return 0;
}

bool seccomp_table_kills(enum seccomp_table t)
{
	return (unsigned)t < ARRAY_SIZE(filters) && filters[t].kills;
}

const char *seccomp_table_name(enum seccomp_table t)
{
	return (unsigned)t < ARRAY_SIZE(filters) ? filters[t].name : "?";
}

const char *seccomp_call_name(int nr)
{
	const char *name = nr >= 0 && (size_t)nr < ARRAY_SIZE(call_names) ? call_names[nr] : NULL;
	return name ? name : "?";
}
