// SPDX-License-Identifier: Apache-2.0
// views.c - system view, root directory, current directory, shares
#include "cli/views.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "cli/etc_names.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SYSTEM_CACHE_MS 60000
#define SHARE_CACHE_MS 1000
/*
 * The current directory and --rootfs lie under an overlay, which answers ESTALE for good when what
 * is below it changes. So what the guest has looked at stays as it was seen.
 */
#define OVERLAY_CACHE_MS 86400000
#define HOME_REFUSED "it is or holds a home directory"

static const char *const system_dirs[] = {
	"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32",
};

static Mayfly__FsEntry *entry_new(const char *name, int fd, uint32_t cache_ms)
{
	Mayfly__FsEntry *en = calloc(1, sizeof(*en));
	if (!en)
		return NULL;
	mayfly__fs_entry__init(en);
	en->name = strdup(name);
	en->fd = fd;
	en->cache_ms = cache_ms;
	if (en->name)
		return en;
	free(en);
	return NULL;
}

static Mayfly__FsEntry *entry_add(Mayfly__FsEntry *dir, const char *name, int fd)
{
	Mayfly__FsEntry *en = entry_new(name, fd, dir->cache_ms);
	Mayfly__FsEntry **list = NULL;
	if (en)
		list = realloc(dir->entry, (dir->n_entry + 1) * sizeof(*list));
	if (!list) {
		if (en)
			free(en->name);
		free(en);
		return NULL;
	}
	dir->entry = list;
	dir->entry[dir->n_entry++] = en;
	return en;
}

static void entry_free(Mayfly__FsEntry *en)
{
	if (!en)
		return;
	for (size_t i = 0; i < en->n_entry; i++)
		entry_free(en->entry[i]);
	free(en->entry);
	free(en->name);
	free(en);
}

/* The descriptor belongs to v from here on, also on failure. */
static int keep_fd(struct views *v, int fd, struct err *e)
{
	if (v->n_fd == VIEWS_MAX_FDS) {
		close(fd);
		return err_set(e, EMFILE, "too many shared files");
	}
	v->fd_writable[v->n_fd] = false;
	v->fd[v->n_fd++] = fd;
	return 0;
}

/* Adds a host file if it is there; what is missing or not ours to open is left out. */
static int add_if_there(struct views *v, Mayfly__FsEntry *dir, const char *path, struct err *e)
{
	int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return 0;
	if (hides_file(&v->hides, fd)) {
		close(fd);
		return 0;
	}
	int ret = keep_fd(v, fd, e);
	if (ret < 0)
		return ret;
	return entry_add(dir, strrchr(path, '/') + 1, fd) ? 0 : err_errno(e, ENOMEM, "views");
}

static int add_etc(struct views *v, Mayfly__FsEntry *etc, struct err *e)
{
	char path[128];
	Mayfly__FsEntry *ssl = hides_path(&v->hides, "/etc/ssl") ? NULL : entry_add(etc, "ssl", -1);
	int ret = 0;
	for (size_t i = 0; ret == 0 && i < etc_names_count; i++) {
		bool in_ssl = strncmp(etc_names[i].name, "ssl/", 4) == 0;
		snprintf(path, sizeof(path), "/etc/%s", etc_names[i].name);
		if (!in_ssl || ssl)
			ret = add_if_there(v, in_ssl ? ssl : etc, path, e);
	}
	return ret;
}

static int open_system(struct views *v, const struct vm_config *c, struct err *e)
{
	Mayfly__FsEntry *sys = entry_add(v->root, "system", -1);
	if (!sys)
		return err_errno(e, ENOMEM, "views");
	sys->cache_ms = SYSTEM_CACHE_MS;
	v->root_name = sys->name;
	/* --view none: a root without anything in it. */
	if (c->view_none)
		return 0;
	int ret = 0;
	for (size_t i = 0; ret == 0 && i < ARRAY_SIZE(system_dirs); i++)
		ret = add_if_there(v, sys, system_dirs[i], e);
	if (ret < 0 || hides_path(&v->hides, "/etc"))
		return ret;
	Mayfly__FsEntry *etc = entry_add(sys, "etc", -1);
	return etc ? add_etc(v, etc, e) : err_errno(e, ENOMEM, "views");
}

/* Symbolic links in a path that the user types are the user's to follow. */
static int open_host(const char *path, bool dir_only, struct err *e)
{
	struct stat st;
	AUTO_CLOSE int fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_errno(e, errno, "can't open '%s'", path);
	if (!S_ISDIR(st.st_mode) && (dir_only || !S_ISREG(st.st_mode)))
		return err_set(e, ENOTDIR, "'%s' is not a directory%s", path,
			       dir_only ? "" : " or a regular file");
	if (faccessat(AT_FDCWD, path, S_ISDIR(st.st_mode) ? R_OK | X_OK : R_OK, AT_EACCESS) < 0)
		return err_errno(e, errno, "can't read '%s'", path);
	return steal_fd(&fd);
}

static int add_view(struct views *v, const char *name, int fd, const char *target,
		    Mayfly__View__Mode mode, struct err *e)
{
	int ret = keep_fd(v, fd, e);
	if (ret < 0)
		return ret;
	Mayfly__FsEntry *en = entry_add(v->root, name, fd);
	char *where = target ? strdup(target) : NULL;
	if (!en || (target && !where)) {
		free(where);
		return err_errno(e, ENOMEM, "views");
	}
	en->cache_ms = mode == MAYFLY__VIEW__MODE__OVERLAY ? OVERLAY_CACHE_MS : SHARE_CACHE_MS;
	if (!target) {
		v->root_name = "root";
		return 0;
	}
	Mayfly__View *view = &v->view[v->n_view];
	mayfly__view__init(view);
	view->source = en->name;
	view->target = where;
	view->mode = mode;
	v->view_ptr[v->n_view++] = view;
	return 0;
}

static bool below(const char *path, const char *dir)
{
	size_t n = strlen(dir);
	return strncmp(path, dir, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

/* True if dir is home itself or stands above it. */
static bool holds_home(const char *dir, const char *home)
{
	return home && home[0] == '/' && home[1] && (strcmp(dir, "/") == 0 || below(home, dir));
}

/* Accounts of people, not of services whose "home" is /usr/sbin or the like. */
static bool holds_any_home(const char *dir)
{
	bool found = false;
	const struct passwd *pw;
	setpwent();
	while (!found && (pw = getpwent())) {
		if (pw->pw_uid != 0 && (pw->pw_uid < 1000 || pw->pw_uid >= 65534))
			continue;
		AUTO_FREE char *real = realpath(pw->pw_dir, NULL);
		found = holds_home(dir, pw->pw_dir) || holds_home(dir, real);
	}
	endpwent();
	return found;
}

const char *views_cwd_refused(const char *cwd, const char *home)
{
	static const char *const trees[] = {"/etc", "/proc", "/sys", "/dev", "/run", "/var/lib"};
	if (strcmp(cwd, "/") == 0)
		return "it is the root directory";
	if (strcmp(cwd, "/tmp") == 0 || strcmp(cwd, "/var/tmp") == 0)
		return "it is the temporary directory";
	for (size_t i = 0; i < ARRAY_SIZE(trees); i++)
		if (below(cwd, trees[i]))
			return "it is a system directory";
	if (holds_home(cwd, home) || holds_any_home(cwd))
		return HOME_REFUSED;
	return NULL;
}

static int open_cwd(struct views *v, const struct vm_config *c, struct err *e)
{
	struct err why;
	const char *refused;
	if (!getcwd(v->cwd, sizeof(v->cwd)) || v->cwd[0] != '/') {
		v->cwd[0] = '\0';
		snprintf(v->note, sizeof(v->note), "the current directory is gone, not shared");
		return 0;
	}
	if (c->no_cwd || c->rootfs || c->image || c->view_none || hides_path(&v->hides, v->cwd))
		return 0;
	/* The name of the current directory has no links in it; HOME may. */
	const char *home = getenv("HOME");
	AUTO_FREE char *real_home = home ? realpath(home, NULL) : NULL;
	refused = views_cwd_refused(v->cwd, home);
	/* All accounts have been asked for already: that can cost a library and a server's answer.
	 */
	if (!refused && holds_home(v->cwd, real_home))
		refused = HOME_REFUSED;
	if (refused) {
		snprintf(v->note, sizeof(v->note),
			 "'%s' is not shared with the guest: %s (use --share DIR)", v->cwd,
			 refused);
		return 0;
	}
	int fd = open_host(".", true, &why);
	if (fd < 0) {
		snprintf(v->note, sizeof(v->note),
			 "the current directory is not shared: it can't be read");
		return 0;
	}
	v->cwd_shared = true;
	return add_view(v, "cwd", fd, v->cwd, MAYFLY__VIEW__MODE__OVERLAY, e);
}

/* Drops empty and "." components of an absolute path; ".." is refused. */
static int normalize(const char *path, char out[PATH_MAX], struct err *e)
{
	size_t n = 0;
	for (const char *p = path; *p;) {
		p += strspn(p, "/");
		size_t len = strcspn(p, "/");
		if (len == 2 && p[0] == '.' && p[1] == '.')
			return err_set(e, EINVAL, "the guest path '%s' contains '..'", path);
		if (len > 0 && !(len == 1 && p[0] == '.')) {
			if (n + 1 + len >= PATH_MAX)
				return err_errno(e, ENAMETOOLONG, "the guest path");
			out[n++] = '/';
			memcpy(out + n, p, len);
			n += len;
		}
		p += len;
	}
	out[n] = '\0';
	return 0;
}

/* Mounts of the guest's own that a share must not hide; "/" is what --rootfs is for. */
static int check_target(const char *path, char out[PATH_MAX], struct err *e)
{
	static const char *const taken[] = {"/proc", "/sys", "/dev"};
	int ret = normalize(path, out, e);
	if (ret < 0)
		return ret;
	if (out[0] == '\0')
		return err_set(e, EINVAL, "a share can't be the guest's root (see --rootfs)");
	for (size_t i = 0; i < ARRAY_SIZE(taken); i++)
		if (below(out, taken[i]))
			return err_set(e, EINVAL, "a share can't be at '%s'", out);
	return 0;
}

static bool hidden(const struct views *v, const char *path, int fd)
{
	AUTO_FREE char *real = realpath(path, NULL);
	return hides_file(&v->hides, fd) || (real && hides_path(&v->hides, real));
}

static int open_share(struct views *v, const struct share *s, unsigned n, struct err *e)
{
	char name[32];
	char clean[PATH_MAX];
	AUTO_FREE char *real = NULL;
	const char *target = s->guest;
	if (!target) {
		target = real = realpath(s->host, NULL);
		if (!real)
			return err_errno(e, errno, "can't open '%s'", s->host);
	}
	int ret = check_target(target, clean, e);
	if (ret < 0)
		return ret;
	int fd = open_host(s->host, false, e);
	if (fd < 0)
		return fd;
	if (hidden(v, s->host, fd)) {
		close(fd);
		return err_set(e, EINVAL, "'%s' is hidden by --hide", s->host);
	}
	snprintf(name, sizeof(name), "share%u", n);
	if (s->writable && faccessat(AT_FDCWD, s->host, W_OK, AT_EACCESS) < 0) {
		ret = err_errno(e, errno, "can't write '%s' (leave ':rw' away to only read it)",
				s->host);
		close(fd);
		return ret;
	}
	ret = add_view(v, name, fd, clean,
		       s->writable ? MAYFLY__VIEW__MODE__READ_WRITE : MAYFLY__VIEW__MODE__READ_ONLY,
		       e);
	if (ret < 0)
		return ret;
	Mayfly__FsEntry *en = v->root->entry[v->root->n_entry - 1];
	en->writable = s->writable;
	en->quota = s->quota;
	en->direct = s->uncached;
	if (s->uncached)
		en->cache_ms = 0;
	v->fd_writable[v->n_fd - 1] = s->writable;
	v->writable |= s->writable;
	return 0;
}

int views_open(struct views *v, const struct vm_config *c, struct err *e)
{
	memset(v, 0, sizeof(*v));
	v->root = entry_new("", -1, SYSTEM_CACHE_MS);
	if (!v->root)
		return err_errno(e, ENOMEM, "views");
	int ret = hides_open(&v->hides, c, e);
	if (ret < 0)
		return ret;
	if (c->rootfs) {
		int fd = open_host(c->rootfs, true, e);
		if (fd < 0)
			return err_wrap(e, fd, "option --rootfs");
		ret = add_view(v, "root", fd, NULL, MAYFLY__VIEW__MODE__OVERLAY, e);
	} else if (c->image) {
		v->root_name = "";
		ret = 0;
	} else {
		ret = open_system(v, c, e);
	}
	if (ret == 0)
		ret = open_cwd(v, c, e);
	for (size_t i = 0; ret == 0 && i < c->n_share; i++) {
		ret = open_share(v, &c->share[i], (unsigned)i, e);
		if (ret < 0)
			err_wrap(e, ret, "option --share");
	}
	return ret;
}

void views_close_fds(struct views *v)
{
	for (size_t i = 0; i < v->n_fd; i++)
		close_fd(&v->fd[i]);
	v->n_fd = 0;
}

void views_close(struct views *v)
{
	views_close_fds(v);
	hides_close(&v->hides);
	for (size_t i = 0; i < v->n_view; i++)
		free(v->view[i].target);
	entry_free(v->root);
	v->root = NULL;
	v->n_view = 0;
}

bool views_covers(const struct views *v, const char *path)
{
	for (size_t i = 0; path[0] == '/' && i < v->n_view; i++)
		if (below(path, v->view[i].target))
			return true;
	return false;
}

static void renumber(const struct views *v, Mayfly__FsEntry *en, int first)
{
	for (size_t i = 0; en->fd >= 0 && i < v->n_fd; i++)
		if (v->fd[i] == en->fd) {
			en->fd = first + (int)i;
			break;
		}
	for (size_t i = 0; i < en->n_entry; i++)
		renumber(v, en->entry[i], first);
}

void views_renumber(struct views *v, int first)
{
	renumber(v, v->root, first);
}
