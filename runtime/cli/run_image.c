// SPDX-License-Identifier: Apache-2.0
// run_image.c - an image's configuration against the user's words, as `docker run` does it
#include "cli/run_image.h"

#include "base/checked.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t count(char *const *words)
{
	size_t n = 0;
	while (words[n])
		n++;
	return n;
}

static int choose_argv(struct run_image *i, struct vm_config *c, struct err *e)
{
	const struct image_config *g = &i->image.meta.config;
	char **rest = c->argc > 0 ? c->argv : g->cmd;
	size_t first = c->entrypoint ? 1 : count(g->entrypoint);
	/* Another entrypoint has no use for the words that were meant for the image's own. */
	if (c->entrypoint && c->argc == 0)
		rest = i->default_argv;
	size_t n = first + count(rest);
	if (c->entrypoint && c->entrypoint[0] == '\0')
		n -= first--;
	if (n == 0)
		return err_set(
			e, EINVAL,
			"image '%s' names no command to run; say one (mayfly run --image %s -- "
			"COMMAND)",
			c->image, c->image);
	i->argv = calloc(n + 1, sizeof(*i->argv));
	if (!i->argv)
		return err_errno(e, ENOMEM, "command");
	if (c->entrypoint && first)
		i->argv[0] = (char *)(uintptr_t)c->entrypoint;
	else
		memcpy(i->argv, g->entrypoint, first * sizeof(*i->argv));
	memcpy(i->argv + first, rest, count(rest) * sizeof(*i->argv));
	if (i->argv[0][0] == '\0')
		return err_set(e, EINVAL, "the command's name is empty");
	c->argv = i->argv;
	c->argc = (int)n;
	return 0;
}

int run_image_open(struct run_image *i, struct vm_config *c, struct err *e)
{
	if (!c->image)
		return 0;
	int ret = image_find(c->image, &i->image, e);
	if (ret < 0)
		return err_wrap(e, ret, "option --image");
	i->open = true;
	c->image_fd = i->image.fd;
	c->image_env = i->image.meta.config.env;
	if (!c->workdir)
		c->workdir = i->image.meta.config.workdir;
	/* A machine that lives needs no command. */
	return c->keep && c->argc == 0 && !c->entrypoint ? 0 : choose_argv(i, c, e);
}

void run_image_close(struct run_image *i)
{
	if (i->open)
		image_free(&i->image);
	free(i->argv);
	*i = (struct run_image){0};
}

int run_image_user(const struct run_image *i, const struct vm_config *c, struct guest_user *u,
		   struct err *e)
{
	const struct image_config *g = &i->image.meta.config;
	memset(u, 0, sizeof(*u));
	u->uid = c->uid;
	u->gid = c->gid;
	if (!c->user_given) {
		if (!g->user_known && g->user[0])
			return err_set(e, EINVAL,
				       "image '%s' is to run as '%s', whom it does not know (see "
				       "--user)",
				       c->image, g->user);
		u->uid = g->uid;
		u->gid = g->gid;
		u->n_groups = MIN(g->ngids, (size_t)PROTO_GROUPS_MAX);
		memcpy(u->groups, g->gids, u->n_groups * sizeof(u->groups[0]));
	}
	/* Name and home are in the image's passwd: the agent looks there. */
	return 0;
}
