// SPDX-License-Identifier: Apache-2.0
// guest_user.c - who the command runs as in the guest, and its environment
#include "cli/guest_user.h"

#include "base/cleanup.h"
#include "cli/env_list.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/openat2.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_ACCOUNTS (16 << 20)
#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/*
 * The file as the guest will see it, without leaving its root. A foreign root may hold a FIFO or
 * an endless file of that name: only a regular file of sane size is read.
 */
static FILE *open_in(int root_fd, const char *path)
{
	struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK,
			       .resolve = RESOLVE_IN_ROOT};
	struct stat st;
	AUTO_CLOSE int fd = root_fd < 0
				    ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
				    : (int)syscall(SYS_openat2, root_fd, path, &how, sizeof(how));
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > MAX_ACCOUNTS)
		return NULL;
	FILE *f = fdopen(fd, "r");
	if (f)
		steal_fd(&fd);
	return f;
}

static bool passwd_has(struct guest_user *u, int root_fd)
{
	FILE *f = open_in(root_fd, "/etc/passwd");
	const struct passwd *pw = NULL;
	while (f && (pw = fgetpwent(f)))
		if (pw->pw_uid == u->uid)
			break;
	if (pw) {
		snprintf(u->name, sizeof(u->name), "%s", pw->pw_name);
		snprintf(u->home, sizeof(u->home), "%s", pw->pw_dir);
	}
	if (f)
		fclose(f);
	return pw != NULL;
}

static bool group_has(const struct guest_user *u, int root_fd)
{
	FILE *f = open_in(root_fd, "/etc/group");
	const struct group *gr = NULL;
	while (f && (gr = fgetgrent(f)))
		if (gr->gr_gid == u->gid)
			break;
	if (f)
		fclose(f);
	return gr != NULL;
}

/* What goes into a passwd line must not end its field or the line. */
static bool field_ok(const char *s)
{
	return s[0] && !strpbrk(s, ":\n");
}

void guest_user_find(struct guest_user *u, const struct vm_config *c, int root_fd)
{
	memset(u, 0, sizeof(*u));
	u->uid = c->uid;
	u->gid = c->gid;
	bool known = passwd_has(u, root_fd);
	if (!known) {
		const struct passwd *pw = root_fd < 0 ? getpwuid(u->uid) : NULL;
		snprintf(u->name, sizeof(u->name), "%s", pw ? pw->pw_name : "user");
		snprintf(u->home, sizeof(u->home), "%s", pw ? pw->pw_dir : "/home/user");
	}
	const char *home = getenv("HOME");
	/* The caller's own HOME counts for the caller only. */
	if (!c->user_given && root_fd < 0 && home && home[0] == '/')
		snprintf(u->home, sizeof(u->home), "%s", home);
	if (!field_ok(u->home) || u->home[0] != '/')
		snprintf(u->home, sizeof(u->home), "/home/user");
	if (!field_ok(u->name))
		snprintf(u->name, sizeof(u->name), "user");
	/* An empty root has no accounts of its own. */
	if (!known || c->view_none)
		snprintf(u->passwd_line, sizeof(u->passwd_line), "%s:x:%u:%u::%s:/bin/sh", u->name,
			 u->uid, u->gid, u->home);
	if (c->view_none || !group_has(u, root_fd))
		snprintf(u->group_line, sizeof(u->group_line), "%s:x:%u:", u->name, u->gid);
	if (!c->user_given) {
		gid_t list[PROTO_GROUPS_MAX];
		int n = getgroups(PROTO_GROUPS_MAX, list);
		for (int i = 0; i < n; i++)
			u->groups[u->n_groups++] = list[i];
	}
}

static int env_basic(const struct guest_user *u, bool image, struct env_list *env)
{
	static const char *const passed[] = {"TERM", "TZ", "LANG"};
	const char *path = image ? NULL : getenv("PATH");
	int ret = env_list_pair(env, "PATH", path && *path ? path : DEFAULT_PATH);
	/* Of an image's user the agent knows them. */
	if (ret == 0 && u->home[0])
		ret = env_list_pair(env, "HOME", u->home);
	if (ret == 0 && u->name[0])
		ret = env_list_pair(env, "USER", u->name);
	for (size_t i = 0; ret == 0 && i < sizeof(passed) / sizeof(passed[0]); i++)
		if (getenv(passed[i]))
			ret = env_list_pair(env, passed[i], getenv(passed[i]));
	for (char **p = environ; ret == 0 && *p; p++)
		if (strncmp(*p, "LC_", 3) == 0 && strchr(*p, '='))
			ret = env_list_put(env, strdup(*p));
	return ret;
}

int guest_user_env(const struct guest_user *u, const struct vm_config *c, char ***out,
		   struct err *e)
{
	struct env_list env = {0};
	int ret = env_basic(u, c->image != NULL, &env);
	for (char *const *p = c->image_env; ret == 0 && p && *p; p++)
		ret = env_list_put(&env, strdup(*p));
	if (ret == 0)
		ret = env_list_options(&env, c->env, c->n_env);
	if (ret < 0) {
		env_list_free(&env);
		return err_errno(e, -ret, "environment");
	}
	*out = env.v;
	return 0;
}

void guest_user_env_free(char **env)
{
	struct env_list list = {.v = env};
	env_list_free(&list);
}
