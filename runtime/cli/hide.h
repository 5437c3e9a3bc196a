// SPDX-License-Identifier: Apache-2.0
// hide.h - --hide: what no view shows, found before the machine starts
#ifndef MAYFLY_CLI_HIDE_H
#define MAYFLY_CLI_HIDE_H

#include "cli/config.h"

#include <limits.h>
#include <sys/types.h>

/* One for the path itself, one more if that is a symbolic link: for what it leads to. */
#define HIDES_MAX ((size_t)2 * CONFIG_MAX_HIDES)

struct hide {
	int fd, dir_fd;	     /* O_PATH, held so that the numbers stay theirs; -1: not there */
	char path[PATH_MAX]; /* without links in the directory part */
	const char *name;    /* its last part */
	dev_t dev, dir_dev;
	ino_t ino, dir_ino; /* 0: not there */
};

/* Zero-initialise. */
struct hides {
	struct hide *row;
	size_t n;
};

/* hides_open() - finds what c wants hidden; 0 or -errno with text; hides_close() in both cases. */
int hides_open(struct hides *h, const struct vm_config *c, struct err *e);
void hides_close(struct hides *h);

/* hides_file() - true if this open file is one of them, by whatever name it was opened. */
bool hides_file(const struct hides *h, int fd);

/* hides_path() - true if this path, without links, is one of them or below one. */
bool hides_path(const struct hides *h, const char *path);

#endif
