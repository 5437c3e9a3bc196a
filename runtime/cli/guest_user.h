// SPDX-License-Identifier: Apache-2.0
// guest_user.h - who the command runs as in the guest, and its environment
#ifndef MAYFLY_CLI_GUEST_USER_H
#define MAYFLY_CLI_GUEST_USER_H

#include "cli/config.h"
#include "proto/limits.h"

#include <limits.h>

struct guest_user {
	uint32_t uid, gid;
	uint32_t groups[PROTO_GROUPS_MAX];
	size_t n_groups;
	char name[64];
	char home[PATH_MAX];
	char passwd_line[PATH_MAX + 160]; /* empty: the guest's passwd has the user */
	char group_line[128];
};

/*
 * guest_user_find() - name and home of the user that c asks for.
 * @root_fd: the guest's root directory on the host, -1: the host's own
 */
void guest_user_find(struct guest_user *u, const struct vm_config *c, int root_fd);

/*
 * guest_user_env() - the command's environment: PATH, HOME, USER, LANG, LC_*, TERM, TZ and what
 * --env names. Nothing else of the caller's: tokens stay outside.
 * Returns 0 with *out, a NULL-terminated vector (free it with guest_user_env_free), or -errno.
 */
int guest_user_env(const struct guest_user *u, const struct vm_config *c, char ***out,
		   struct err *e);
void guest_user_env_free(char **env);

#endif
