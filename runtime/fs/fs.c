// SPDX-License-Identifier: Apache-2.0
// fs.c - building and freeing the state of a mayfly-fs process
#include "fs/fs.h"

#include "base/cleanup.h"
#include "proto/config.pb-c.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define CONFIG_VERSION 1u

int fs_init(struct fs *fs, const Mayfly__FsConfig *cfg, const struct fs_limits *limits,
	    struct err *err)
{
	fs->proc_fd = -1;
	if (cfg->version != CONFIG_VERSION)
		return err_set(err, EPROTO, "configuration version %u, this program knows %u",
			       cfg->version, CONFIG_VERSION);
	if (!cfg->root)
		return err_set(err, EINVAL, "the configuration has no tree");
	fs->map_ids = cfg->map_ids;
	fs->no_xattr = cfg->no_xattr;
	fs->own_uid = geteuid();
	fs->own_gid = getegid();
	fs->uid = cfg->uid;
	fs->gid = cfg->gid;
	/* In a jail there is no /proc to open. */
	fs->proc_fd = cfg->proc_fd > 0 ? fcntl(cfg->proc_fd, F_DUPFD_CLOEXEC, 3)
				       : open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fs->proc_fd < 0)
		return err_errno(err, errno, "/proc/self/fd");
	/* getxattr() takes only paths, so our descriptors must have one: their number. */
	if (fchdir(fs->proc_fd) < 0)
		return err_errno(err, errno, "entering /proc/self/fd");
	int ret = fs_node_init(&fs->nodes, limits->max_bytes);
	if (ret < 0)
		return err_errno(err, -ret, "node table");
	fs_cache_init(fs, limits->max_cached);
	fs_dir_init(fs, limits->max_dirs);
	fs_file_init(fs, limits->max_files);
	ret = fs_tree_build(fs, cfg->root, err);
	return ret < 0 ? ret : fs_hide_init(fs, cfg, err);
}

void fs_destroy(struct fs *fs)
{
	fs_file_destroy(fs);
	fs_dir_destroy(fs);
	if (fs->nodes.bucket)
		fs_node_destroy(&fs->nodes);
	fs_tree_destroy(fs);
	fs_hide_destroy(fs);
	fs_ino_destroy(&fs->inos);
	close_fd(&fs->proc_fd);
}
