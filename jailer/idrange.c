// SPDX-License-Identifier: Apache-2.0
// idrange.c - a user and group id of a machine's own
//
// Theory of operation: whoever holds the flock() of "uid-N", and finds that this file still has
// this name, has id N. A file is unlinked only by a holder of its lock. Copies of one open file
// share a lock, so holders that release together agree by a lock on the directory.
#include "idrange.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/io.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>

#define DIR_NAME ".ids"
#define DIR_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#define FILE_FLAGS (O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
#define NAME_MAX_LEN 16
#define FIRST_MIN 1000u
#define LAST_MAX 0xfffffffdu
#define MAP_MAX ((size_t)64 * 1024)
/* How often a file may be unlinked by others while we are about to lock it. */
#define RACES_MAX 64
#define DIR_LOCK_TRIES 200

/* ---- ranges ---- */

static bool parse_u32(const char **s, uint32_t *out)
{
	uint64_t v = 0;
	size_t n = 0;
	for (; **s >= '0' && **s <= '9' && v <= UINT32_MAX; (*s)++, n++)
		v = v * 10 + (uint64_t)(**s - '0');
	*out = (uint32_t)v;
	return n > 0 && v <= UINT32_MAX;
}

int idrange_parse(const char *text, uint32_t *first, uint32_t *count, struct err *e)
{
	const char *s = text;
	if (!parse_u32(&s, first) || *s++ != ':' || !parse_u32(&s, count) || *s != '\0')
		return err_set(e, EINVAL,
			       "'%.40s' is not a range of ids: FIRST:COUNT, such as %u:%u", text,
			       IDRANGE_FIRST, IDRANGE_COUNT);
	uint64_t last = (uint64_t)*first + *count - 1;
	if (*count == 0 || *first < FIRST_MIN || last > LAST_MAX ||
	    (*first <= 65535 && last >= 65534))
		return err_set(e, EINVAL,
			       "the ids of '%.40s' can't be a machine's: at least one, none below "
			       "%u, nor 65534, 65535, or above %u",
			       text, FIRST_MIN, LAST_MAX);
	return 0;
}

static bool three_numbers(const char *s, unsigned long long v[3])
{
	for (unsigned i = 0; i < 3; i++) {
		char *end;
		s += strspn(s, " \t");
		if (*s < '0' || *s > '9')
			return false;
		v[i] = strtoull(s, &end, 10);
		s = end;
	}
	return true;
}

bool idrange_mapped(const char *map, uint32_t first, uint32_t count)
{
	uint64_t next = first;
	const uint64_t end = next + count;
	bool moved = true;
	/* The lines are in no order; each pass takes the range further or is the last. */
	while (next < end && moved) {
		moved = false;
		for (const char *s = map; *s; s += strcspn(s, "\n"), s += *s == '\n') {
			unsigned long long v[3]; /* inside, outside, how many */
			if (!three_numbers(s, v) || v[2] > UINT32_MAX || next < v[0] ||
			    next - v[0] >= v[2])
				continue;
			next = v[0] + v[2];
			moved = true;
		}
	}
	return next >= end;
}

static int file_maps(const char *path, uint32_t first, uint32_t count)
{
	AUTO_FREE char *text = NULL;
	size_t len;
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	int ret = io_read_all(fd, MAP_MAX, &text, &len);
	if (ret < 0)
		return ret;
	return idrange_mapped(text, first, count) ? 0 : -ERANGE;
}

int idrange_usable(uint32_t first, uint32_t count, struct err *e)
{
	int ret = file_maps("/proc/self/uid_map", first, count);
	if (ret == 0)
		ret = file_maps("/proc/self/gid_map", first, count);
	return ret < 0 ? err_set(e, -ret,
				 "this container does not have all of the %u user and group ids "
				 "from %u on",
				 count, first)
		       : 0;
}

int idrange_default(uint32_t *first, uint32_t *count, struct err *e)
{
	*first = IDRANGE_FIRST;
	*count = IDRANGE_COUNT;
	if (idrange_usable(*first, *count, e) == 0)
		return 0;
	*first = IDRANGE_SMALL_FIRST;
	*count = IDRANGE_SMALL_COUNT;
	return idrange_usable(*first, *count, e);
}

/* ---- ids ---- */

static void file_name(char name[NAME_MAX_LEN], uint32_t id)
{
	snprintf(name, NAME_MAX_LEN, "uid-%u", id);
}

static bool is_named(int dir_fd, const char *name, int fd)
{
	struct stat a;
	struct stat b;
	return fstat(fd, &a) == 0 && fstatat(dir_fd, name, &b, AT_SYMLINK_NOFOLLOW) == 0 &&
	       a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static int open_dir(int base_dir_fd, bool make, struct err *e)
{
	struct stat st;
	if (make && mkdirat(base_dir_fd, DIR_NAME, 0700) < 0 && errno != EEXIST)
		return err_errno(e, errno, "can't make the directory of the machines' ids");
	AUTO_CLOSE int fd = openat(base_dir_fd, DIR_NAME, DIR_FLAGS);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_errno(e, errno, "can't open the directory of the machines' ids");
	if (st.st_uid != geteuid() || (st.st_mode & 0077) != 0)
		return err_set(e, EPERM, "the directory of the machines' ids is not yours alone");
	return steal_fd(&fd);
}

/* The locked file of an id, -EWOULDBLOCK if somebody has it, or another -errno. */
static int lock_id(int dir_fd, uint32_t id)
{
	char name[NAME_MAX_LEN];
	file_name(name, id);
	for (unsigned i = 0; i < RACES_MAX; i++) {
		AUTO_CLOSE int fd = openat(dir_fd, name, FILE_FLAGS | O_CREAT, 0600);
		if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
			return -errno;
		/* Its last holder may have unlinked it in between: a lock on nothing. */
		if (is_named(dir_fd, name, fd))
			return steal_fd(&fd);
	}
	return -EWOULDBLOCK;
}

int idrange_take(struct idrange *r, int base_dir_fd, uint32_t first, uint32_t count, struct err *e)
{
	uint32_t start = 0;
	*r = (struct idrange){.lock_fd = -1, .dir_fd = -1};
	AUTO_CLOSE int dir = open_dir(base_dir_fd, true, e);
	if (dir < 0)
		return dir;
	/* Anywhere in the range: starts in parallel should not queue for the same few. */
	if (getrandom(&start, sizeof(start), GRND_NONBLOCK) != (ssize_t)sizeof(start))
		start = (uint32_t)getpid();
	for (uint32_t i = 0; i < count; i++) {
		uint32_t id = first + (uint32_t)(((uint64_t)start + i) % count);
		int fd = lock_id(dir, id);
		if (fd >= 0) {
			*r = (struct idrange){id, fd, steal_fd(&dir)};
			return 0;
		}
		if (fd != -EWOULDBLOCK)
			return err_errno(e, -fd, "can't lock the user id %u", id);
	}
	return err_set(e, EAGAIN, "all %u user ids from %u on belong to running machines", count,
		       first);
}

/* A holder that is stopped must not stop us: then the file stays for idrange_sweep(). */
static int lock_dir(int dir_fd)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	AUTO_CLOSE int fd = openat(dir_fd, ".", DIR_FLAGS);
	for (unsigned i = 0; fd >= 0 && i < DIR_LOCK_TRIES; i++) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return steal_fd(&fd);
		nanosleep(&pause, NULL);
	}
	return -1;
}

void idrange_release(struct idrange *r)
{
	char name[NAME_MAX_LEN];
	AUTO_CLOSE int guard = r->lock_fd >= 0 ? lock_dir(r->dir_fd) : -1;
	file_name(name, r->id);
	if (guard >= 0 && is_named(r->dir_fd, name, r->lock_fd))
		unlinkat(r->dir_fd, name, 0);
	idrange_close(r);
}

void idrange_close(struct idrange *r)
{
	/* Without a lock nothing was taken. */
	if (r->lock_fd >= 0)
		close_fd(&r->dir_fd);
	close_fd(&r->lock_fd);
}

static bool is_id_name(const char *name)
{
	char again[NAME_MAX_LEN];
	const char *s = name + 4;
	uint32_t id;
	if (strncmp(name, "uid-", 4) != 0 || !parse_u32(&s, &id))
		return false;
	file_name(again, id);
	return strcmp(name, again) == 0;
}

static bool sweep_id(int dir_fd, const char *name, const struct sweep *sweep)
{
	int ret = 0;
	AUTO_CLOSE int fd = openat(dir_fd, name, FILE_FLAGS);
	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0 || !is_named(dir_fd, name, fd))
		return false;
	if (!sweep_dry(sweep) && unlinkat(dir_fd, name, 0) < 0)
		ret = -errno;
	sweep_found(sweep, SWEEP_ID, name, ret);
	return ret == 0;
}

int idrange_sweep(int base_dir_fd, const struct sweep *sweep)
{
	int removed = 0;
	int fd = open_dir(base_dir_fd, false, NULL);
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	DIR *dir = fdopendir(fd);
	if (!dir) {
		int ret = -errno;
		close_fd(&fd);
		return ret;
	}
	const struct dirent *de;
	while ((de = readdir(dir)))
		if (is_id_name(de->d_name) && sweep_id(fd, de->d_name, sweep))
			removed++;
	closedir(dir);
	return removed;
}
