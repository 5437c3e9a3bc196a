// SPDX-License-Identifier: Apache-2.0
// fs_hide.c - files that no view shows
#include "fs/fs_hide.h"

#include "fs/fs.h"
#include "fs/fs_attr.h"
#include "proto/config.pb-c.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

static bool same(const struct fs_hide_id *id, const struct statx *stx)
{
	return id->ino != 0 && id->ino == stx->stx_ino &&
	       id->dev == makedev(stx->stx_dev_major, stx->stx_dev_minor);
}

static int row_init(struct fs_hide_row *r, const Mayfly__FsHide *h, struct err *err)
{
	if (fs_tree_name_ok(h->name) < 0)
		return err_set(err, EINVAL, "'%s' can't be a file name", h->name);
	*r = (struct fs_hide_row){.file = {h->dev, h->ino}, .dir = {h->dir_dev, h->dir_ino}};
	memcpy(r->name, h->name, strlen(h->name) + 1);
	return 0;
}

int fs_hide_init(struct fs *fs, const Mayfly__FsConfig *cfg, struct err *err)
{
	if (cfg->n_hide == 0)
		return 0;
	if (cfg->n_hide > FS_HIDE_MAX)
		return err_set(err, E2BIG, "more than %u files are hidden", FS_HIDE_MAX);
	fs->hides.row = calloc(cfg->n_hide, sizeof(*fs->hides.row));
	if (!fs->hides.row)
		return err_set(err, ENOMEM, "out of memory");
	int ret = 0;
	for (size_t i = 0; ret == 0 && i < cfg->n_hide; i++)
		ret = row_init(&fs->hides.row[fs->hides.n++], cfg->hide[i], err);
	return ret;
}

void fs_hide_destroy(struct fs *fs)
{
	free(fs->hides.row);
	fs->hides = (struct fs_hides){0};
}

bool fs_hide_hides(const struct fs *fs, int dirfd, const char *name, const struct statx *stx)
{
	struct statx dir;
	for (unsigned i = 0; i < fs->hides.n; i++) {
		const struct fs_hide_row *r = &fs->hides.row[i];
		if (stx && same(&r->file, stx))
			return true;
		if (strcmp(name, r->name) != 0)
			continue;
		/* Where it can't be told it is hidden. */
		if (fs_attr_statx(dirfd, "", &dir) < 0 || same(&r->dir, &dir))
			return true;
	}
	return false;
}
