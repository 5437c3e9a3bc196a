// SPDX-License-Identifier: Apache-2.0
// statedir.c - the directory of one machine
#include "statedir.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define REMOVE_DEPTH 32
#define DIR_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

bool statedir_id_ok(const char *id)
{
	size_t n = strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789-");
	return n > 0 && n <= STATEDIR_ID_MAX && id[n] == '\0';
}

/* The directory must be ours alone, or others could put links into our way. */
static int open_private(int at, const char *name, const char *shown, struct err *e)
{
	struct stat st;
	if (mkdirat(at, name, 0700) < 0 && errno != EEXIST)
		return err_errno(e, errno, "can't make the state directory '%s'", shown);
	AUTO_CLOSE int fd = openat(at, name, DIR_FLAGS);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_errno(e, errno, "can't open the state directory '%s'", shown);
	if (st.st_uid != geteuid() || (st.st_mode & 0077) != 0)
		return err_set(e, EPERM,
			       "the state directory '%s' must belong to you alone (chmod 700 '%s')",
			       shown, shown);
	return steal_fd(&fd);
}

int statedir_base(struct err *e)
{
	char path[512];
	char name[64] = "mayfly";
	const char *parent = getenv("XDG_RUNTIME_DIR");
	if (geteuid() == 0 || !parent || parent[0] != '/')
		parent = geteuid() == 0 ? "/run" : NULL;
	if (!parent) {
		parent = getenv("TMPDIR");
		if (!parent || parent[0] != '/')
			parent = "/tmp";
		snprintf(name, sizeof(name), "mayfly-%u", (unsigned)geteuid());
	}
	int n = snprintf(path, sizeof(path), "%s/%s", parent, name);
	if (n < 0 || (size_t)n >= sizeof(path))
		return err_set(e, ENAMETOOLONG, "the runtime directory's name is too long");
	AUTO_CLOSE int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(e, errno, "can't open the runtime directory '%s'", parent);
	return open_private(fd, name, path, e);
}

int statedir_create(struct statedir *d, int base_fd, const char *id, struct err *e)
{
	*d = (struct statedir){.base_fd = base_fd, .dir_fd = -1, .lock_fd = -1};
	if (!statedir_id_ok(id))
		return err_set(e, EINVAL, "'%s' is not a machine id", id);
	/* Keeps sweepers out until the directory is locked; released when this closes. */
	AUTO_CLOSE int guard = openat(base_fd, ".", DIR_FLAGS);
	if (guard < 0 || flock(guard, LOCK_SH) < 0)
		return err_errno(e, errno, "can't lock the runtime directory");
	if (mkdirat(base_fd, id, 0700) < 0)
		return err_errno(e, errno, "can't make the directory of machine '%s'", id);
	snprintf(d->id, sizeof(d->id), "%s", id);
	d->dir_fd = openat(base_fd, id, DIR_FLAGS);
	if (d->dir_fd >= 0)
		d->lock_fd = openat(d->dir_fd, "lock", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (d->lock_fd < 0 || flock(d->lock_fd, LOCK_EX | LOCK_NB) < 0) {
		int saved = errno;
		statedir_remove(d);
		return err_errno(e, saved, "can't lock the directory of machine '%s'", id);
	}
	return 0;
}

int statedir_listen(const struct statedir *d, const char *name)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	/* Through the descriptor: the directory's own path may be longer than an address. */
	snprintf(sun.sun_path, sizeof(sun.sun_path), "/proc/self/fd/%d/%s", d->dir_fd, name);
	if (bind(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0 || listen(fd, 64) < 0)
		return -errno;
	return steal_fd(&fd);
}

/*
 * The vmm works in this directory, and a taken-over one may leave anything in it. Links are never
 * followed; what is nested deeper than we ever make it stays, and says so by staying.
 */
static void remove_entries(int dir_fd, unsigned depth)
{
	int copy = openat(dir_fd, ".", DIR_FLAGS);
	DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
	if (!dir) {
		close_fd(&copy);
		return;
	}
	const struct dirent *de;
	while ((de = readdir(dir))) {
		if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0)
			continue;
		if (unlinkat(dir_fd, de->d_name, 0) == 0 || depth == 0)
			continue;
		AUTO_CLOSE int sub = openat(dir_fd, de->d_name, DIR_FLAGS);
		if (sub < 0)
			continue;
		remove_entries(sub, depth - 1);
		unlinkat(dir_fd, de->d_name, AT_REMOVEDIR);
	}
	closedir(dir);
}

int statedir_open(int base_fd, const char *id)
{
	int fd = openat(base_fd, id, DIR_FLAGS);
	return fd < 0 ? -errno : fd;
}

static int remove_dir(struct statedir *d, const struct sweep *sweep)
{
	int ret = 0;
	/* The record of groups that can't be removed yet must outlive them. */
	if (d->dir_fd >= 0 && d->id[0])
		ret = cgroup_remove_recorded(d->dir_fd, d->id, sweep);
	if (ret == 0 && !sweep_dry(sweep)) {
		if (d->dir_fd >= 0)
			remove_entries(d->dir_fd, REMOVE_DEPTH);
		if (d->id[0] && unlinkat(d->base_fd, d->id, AT_REMOVEDIR) < 0)
			ret = -errno;
	}
	d->id[0] = '\0';
	close_fd(&d->dir_fd);
	close_fd(&d->lock_fd);
	return ret;
}

void statedir_remove(struct statedir *d)
{
	remove_dir(d, NULL);
}

static bool sweep_one(int base_fd, const char *id, const struct sweep *sweep)
{
	struct statedir d = {.base_fd = base_fd, .lock_fd = -1};
	if (!statedir_id_ok(id))
		return false;
	d.dir_fd = openat(base_fd, id, DIR_FLAGS);
	if (d.dir_fd < 0)
		return false;
	d.lock_fd = openat(d.dir_fd, "lock", O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	/* Without a lock file its maker died between two steps: the guard keeps live makers out. */
	bool dead = d.lock_fd >= 0 ? flock(d.lock_fd, LOCK_EX | LOCK_NB) == 0 : errno == ENOENT;
	int ret = -EBUSY;
	if (dead) {
		snprintf(d.id, sizeof(d.id), "%s", id);
		ret = remove_dir(&d, sweep);
		sweep_found(sweep, SWEEP_MACHINE, id, ret);
	}
	close_fd(&d.dir_fd);
	close_fd(&d.lock_fd);
	return ret == 0;
}

int statedir_sweep_report(int base_fd, const struct sweep *sweep)
{
	int removed = 0;
	int copy = openat(base_fd, ".", DIR_FLAGS);
	if (copy < 0)
		return -errno;
	DIR *dir = NULL;
	/* Held shared by somebody who is making a machine. */
	if (flock(copy, LOCK_EX | LOCK_NB) == 0)
		dir = fdopendir(copy);
	if (!dir) {
		int ret = -errno;
		close_fd(&copy);
		return ret;
	}
	const struct dirent *de;
	while ((de = readdir(dir)))
		if (de->d_name[0] != '.' && sweep_one(base_fd, de->d_name, sweep))
			removed++;
	closedir(dir);
	return removed;
}

unsigned statedir_sweep(int base_fd)
{
	static const struct sweep quiet = {.dry_run = false};
	/* If somebody is making a machine: the next one to come may sweep. */
	int removed = statedir_sweep_report(base_fd, &quiet);
	return removed > 0 ? (unsigned)removed : 0;
}
