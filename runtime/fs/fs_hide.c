// SPDX-License-Identifier: Apache-2.0
// fs_hide.c - files that no view shows
#include "fs/fs_hide.h"

#include "base/cleanup.h"
#include "fs/fs.h"
#include "fs/fs_attr.h"
#include "proto/config.pb-c.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct fs_hide_id id_of(const struct statx *stx)
{
	return (struct fs_hide_id){stx->stx_dev_major, stx->stx_dev_minor, stx->stx_ino};
}

static bool same(const struct fs_hide_id *a, const struct fs_hide_id *b)
{
	return a->ino == b->ino && a->major == b->major && a->minor == b->minor;
}

static int row_init(struct fs_hide_row *r, const Mayfly__FsHide *h, struct err *err)
{
	struct statx stx;
	*r = (struct fs_hide_row){.fd = h->fd, .dir_fd = h->dir_fd};
	if (fs_tree_name_ok(h->name) < 0)
		return err_set(err, EINVAL, "'%s' can't be a file name", h->name);
	memcpy(r->name, h->name, strlen(h->name) + 1);
	int ret = fs_attr_statx(r->dir_fd, "", &stx);
	r->dir = id_of(&stx);
	if (ret == 0 && r->fd >= 0) {
		ret = fs_attr_statx(r->fd, "", &stx);
		r->file = id_of(&stx);
	}
	return ret < 0 ? err_errno(err, -ret, "descriptors of '%s', which is hidden", h->name) : 0;
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
	for (unsigned i = 0; i < fs->hides.n; i++) {
		close_fd(&fs->hides.row[i].fd);
		close_fd(&fs->hides.row[i].dir_fd);
	}
	free(fs->hides.row);
	fs->hides = (struct fs_hides){0};
}

bool fs_hide_hides(const struct fs *fs, int dirfd, const char *name, const struct statx *stx)
{
	struct statx dir;
	for (unsigned i = 0; i < fs->hides.n; i++) {
		const struct fs_hide_row *r = &fs->hides.row[i];
		struct fs_hide_id id;
		if (stx && r->fd >= 0) {
			id = id_of(stx);
			if (same(&id, &r->file))
				return true;
		}
		if (strcmp(name, r->name) != 0)
			continue;
		/* Not to be told is as good as to be hidden. */
		if (fs_attr_statx(dirfd, "", &dir) < 0)
			return true;
		id = id_of(&dir);
		if (same(&id, &r->dir))
			return true;
	}
	return false;
}
