// SPDX-License-Identifier: Apache-2.0
// views.h - which host files the guest sees, opened with the user's rights
#ifndef MAYFLY_CLI_VIEWS_H
#define MAYFLY_CLI_VIEWS_H

#include "cli/config.h"
#include "cli/hide.h"
#include "proto/agent.pb-c.h"
#include "proto/config.pb-c.h"

#include <limits.h>

#define VIEWS_MAX_FDS 256
#define VIEWS_MAX (CONFIG_MAX_SHARES + 2)

/*
 * The tree for the fs process and the mounts for the agent. Descriptors in the tree are this
 * process's; views_renumber() changes them to those of the fs process.
 */
struct views {
	Mayfly__FsEntry *root;
	int fd[VIEWS_MAX_FDS];
	bool fd_writable[VIEWS_MAX_FDS];
	size_t n_fd;
	struct hides hides;
	bool writable; /* any of them */
	Mayfly__View view[VIEWS_MAX];
	Mayfly__View *view_ptr[VIEWS_MAX];
	size_t n_view;
	const char *root_name; /* of the view that becomes the guest's / */
	char cwd[PATH_MAX];    /* empty: not to be had */
	bool cwd_shared;
	char note[PATH_MAX + 160]; /* why the current directory is not shared; empty: it is */
};

/*
 * views_open() - opens everything that c asks for. Returns 0 or -errno with text; views_close()
 * frees what there is in both cases.
 */
int views_open(struct views *v, const struct vm_config *c, struct err *e);
void views_close(struct views *v);

/* views_close_fds() - when the machine has its copies; names and mounts stay. */
void views_close_fds(struct views *v);

/* views_covers() - true if a share shows this path in the guest. */
bool views_covers(const struct views *v, const char *path);

/* views_renumber() - entry i of fd[] becomes first + i in the tree. */
void views_renumber(struct views *v, int first);

/*
 * views_cwd_refused() - why a directory must not be shared unasked: NULL if it may, else a phrase
 * for a message. @home: the caller's HOME, may be NULL
 */
const char *views_cwd_refused(const char *cwd, const char *home);

#endif
