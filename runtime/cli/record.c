// SPDX-License-Identifier: Apache-2.0
// record.c - what is known of a machine that lives: a directory by its name, and who keeps it
#include "cli/record.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "statedir.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define ALL ".machines"
#define DIR_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#define JSON_MAX (256u << 10)
#define ID_PREFIX "run-"
#define ID_PART_MIN 4
/* A name that was made up may be taken. */
#define MADE_UP_TRIES 16

bool record_name_ok(const char *name)
{
	size_t n = strlen(name);
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)name[i]) && (i == 0 || !strchr("._-", name[i])))
			return false;
	return n >= 1 && n <= RECORD_NAME_MAX;
}

void record_close(struct record *r)
{
	close_fd(&r->lock_fd);
	close_fd(&r->dir_fd);
	close_fd(&r->all_fd);
}

void record_release(struct record *r)
{
	if (r->dir_fd >= 0)
		unlinkat(r->dir_fd, RECORD_SOCKET, 0);
	close_fd(&r->lock_fd);
}

/* Returns -ENOENT without text if there is none and none is wanted. */
static int open_all_at(int base_fd, bool make, struct err *e)
{
	struct stat st;
	if (make && mkdirat(base_fd, ALL, 0700) < 0 && errno != EEXIST)
		return err_errno(e, errno, "can't make the directory of machines' records");
	AUTO_CLOSE int fd = openat(base_fd, ALL, DIR_FLAGS);
	if (fd < 0 && errno == ENOENT)
		return -ENOENT;
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_errno(e, errno, "can't open the directory of machines' records");
	if (st.st_uid != geteuid() || (st.st_mode & 0077) != 0)
		return err_set(e, EPERM,
			       "the directory of machines' records, '%s', must belong to "
			       "you alone",
			       ALL);
	return steal_fd(&fd);
}

static int open_all(bool make, struct err *e)
{
	AUTO_CLOSE int base = statedir_base(e);
	return base < 0 ? base : open_all_at(base, make, e);
}

/* Whoever holds this makes, removes or sweeps; closing it lets others. */
static int guard(int all_fd, int op)
{
	AUTO_CLOSE int fd = openat(all_fd, ".", DIR_FLAGS);
	if (fd < 0 || flock(fd, op) < 0)
		return -errno;
	return steal_fd(&fd);
}

/* ---- files ---- */

json_t *record_load(const struct record *r, const char *file)
{
	struct stat st;
	AUTO_FREE char *text = NULL;
	size_t len = 0;
	AUTO_CLOSE int fd = openat(r->dir_fd, file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
	    io_read_all(fd, JSON_MAX, &text, &len) < 0)
		return NULL;
	json_t *o = json_loadb(text, len, 0, NULL);
	if (o && !json_is_object(o)) {
		json_decref(o);
		return NULL;
	}
	return o;
}

int record_save(const struct record *r, const char *file, const json_t *o)
{
	char part[RECORD_FILE_MAX + 8];
	AUTO_FREE char *text = json_dumps(o, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
	if (!text)
		return -ENOMEM;
	/* One process writes a file of a record: its keeper, or who completes it. */
	snprintf(part, sizeof(part), "%s.part", file);
	AUTO_CLOSE int fd = openat(r->dir_fd, part,
				   O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	int ret = io_write_full(fd, text, strlen(text));
	if (ret == 0)
		ret = io_write_full(fd, "\n", 1);
	if (ret == 0 && renameat(r->dir_fd, part, r->dir_fd, file) < 0)
		ret = -errno;
	if (ret < 0)
		unlinkat(r->dir_fd, part, 0);
	return ret;
}

static void remove_files(int dir_fd)
{
	int copy = openat(dir_fd, ".", DIR_FLAGS);
	DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
	const struct dirent *de;
	if (!dir) {
		close_fd(&copy);
		return;
	}
	while ((de = readdir(dir)))
		if (strcmp(de->d_name, ".") != 0 && strcmp(de->d_name, "..") != 0)
			unlinkat(dir_fd, de->d_name, 0);
	closedir(dir);
}

static void remove_dir(int all_fd, const char *name)
{
	AUTO_CLOSE int fd = openat(all_fd, name, DIR_FLAGS);
	if (fd >= 0)
		remove_files(fd);
	unlinkat(all_fd, name, AT_REMOVEDIR);
}

/* ---- making ---- */

/* In a directory of its own that becomes the record when it is whole. */
static int make_whole(struct record *r, const char *part, json_t *machine)
{
	if (mkdirat(r->all_fd, part, 0700) < 0)
		return -errno;
	r->dir_fd = openat(r->all_fd, part, DIR_FLAGS);
	if (r->dir_fd < 0)
		return -errno;
	r->lock_fd = openat(r->dir_fd, "lock", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (r->lock_fd < 0 || flock(r->lock_fd, LOCK_EX | LOCK_NB) < 0)
		return -errno;
	if (json_object_set_new(machine, "name", json_string(r->name)) < 0)
		return -ENOMEM;
	return record_save(r, RECORD_MACHINE, machine);
}

static int make_named(struct record *r, const char *name, json_t *machine)
{
	char part[32];
	struct stat st;
	snprintf(r->name, sizeof(r->name), "%s", name);
	snprintf(part, sizeof(part), ".new-%d", (int)getpid());
	if (fstatat(r->all_fd, r->name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return -EEXIST;
	/* Of somebody who was killed, and whose number came again: the guard is ours. */
	remove_dir(r->all_fd, part);
	int ret = make_whole(r, part, machine);
	/* The guard is ours: nobody has made it meanwhile. */
	if (ret == 0 && renameat(r->all_fd, part, r->all_fd, r->name) < 0)
		ret = -errno;
	if (ret < 0) {
		remove_dir(r->all_fd, part);
		close_fd(&r->lock_fd);
		close_fd(&r->dir_fd);
	}
	return ret;
}

static int make_unnamed(struct record *r, json_t *machine)
{
	char name[16];
	uint32_t n;
	int ret = -EEXIST;
	for (int i = 0; i < MADE_UP_TRIES && ret == -EEXIST; i++) {
		if (getrandom(&n, sizeof(n), 0) != sizeof(n))
			return -EIO;
		snprintf(name, sizeof(name), "m-%08x", n);
		ret = make_named(r, name, machine);
	}
	return ret;
}

/* ---- finding ---- */

/* Shared, so that two who ask don't take each other for the keeper. */
static bool lock_free(int dir_fd, int *lock, int op)
{
	AUTO_CLOSE int fd = openat(dir_fd, "lock", O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT;
	if (flock(fd, op | LOCK_NB) < 0)
		return false;
	if (lock)
		*lock = steal_fd(&fd);
	return true;
}

bool record_kept(const struct record *r)
{
	return r->lock_fd >= 0 || !lock_free(r->dir_fd, NULL, LOCK_SH);
}

static bool is_over(const json_t *machine)
{
	const char *state = json_string_value(json_object_get(machine, "state"));
	return state && strcmp(state, "stopped") == 0;
}

static json_t *killed_verdict(void)
{
	return json_pack("{s:s, s:i, s:s}", "reason", "keeper-killed", "status", 125, "message",
			 "the machine's keeper was killed");
}

enum swept { SWEPT_NOTHING, SWEPT_COMPLETED, SWEPT_REMOVED };

/* Somebody who is just about to do the same is let go first. */
static enum swept complete(struct record *r, bool dry_run)
{
	AUTO_CLOSE int lock = -1;
	json_t *o = record_load(r, RECORD_MACHINE);
	enum swept did = SWEPT_NOTHING;
	if (!is_over(o) && lock_free(r->dir_fd, &lock, LOCK_EX)) {
		json_decref(o);
		/* It may have come to its end in good order just now. */
		o = record_load(r, RECORD_MACHINE);
		if (!is_over(o)) {
			bool rm = json_is_true(json_object_get(o, "rm"));
			did = rm ? SWEPT_REMOVED : SWEPT_COMPLETED;
			if (!o)
				o = json_pack("{s:s}", "name", r->name);
			json_object_set_new(o, "state", json_string("stopped"));
			json_object_set_new(o, "verdict", killed_verdict());
			if (!dry_run) {
				unlinkat(r->dir_fd, RECORD_SOCKET, 0);
				record_save(r, RECORD_MACHINE, o);
			}
		}
	}
	json_decref(o);
	if (did == SWEPT_REMOVED && !dry_run) {
		close_fd(&lock);
		record_remove(r, NULL);
	}
	return did;
}

static int open_one(struct record *r, int all_fd, const char *name)
{
	*r = RECORD_NONE;
	if (!record_name_ok(name))
		return -ENOENT;
	snprintf(r->name, sizeof(r->name), "%s", name);
	r->dir_fd = openat(all_fd, name, DIR_FLAGS);
	r->all_fd = r->dir_fd < 0 ? -1 : fcntl(all_fd, F_DUPFD_CLOEXEC, 3);
	int ret = r->dir_fd < 0 || r->all_fd < 0 ? -errno : 0;
	if (ret < 0)
		record_close(r);
	return ret;
}

/* One of start --rm whose keeper was killed does not keep its name. */
static void complete_named(int all_fd, const char *name)
{
	struct record r;
	if (open_one(&r, all_fd, name) < 0)
		return;
	complete(&r, false);
	record_close(&r);
}

int record_make(struct record *r, const char *name, json_t *machine, struct err *e)
{
	*r = RECORD_NONE;
	if (name && !record_name_ok(name))
		return err_set(e, EINVAL,
			       "'%.80s' is not a machine's name: 1 to 64 letters, digits, '.', '_' "
			       "and '-', the first a letter or a digit",
			       name);
	r->all_fd = open_all(true, e);
	if (r->all_fd < 0)
		return r->all_fd;
	if (name)
		complete_named(r->all_fd, name);
	AUTO_CLOSE int held = guard(r->all_fd, LOCK_EX);
	int ret =
		held < 0 ? held : (name ? make_named(r, name, machine) : make_unnamed(r, machine));
	if (ret < 0)
		record_close(r);
	if (ret == -EEXIST && name)
		return err_set(e, EEXIST,
			       "there is a machine '%s' already (see mayfly ps -a, mayfly rm)",
			       name);
	return ret < 0 ? err_errno(e, -ret, "can't make the machine's record") : 0;
}

static int no_dots(const struct dirent *de)
{
	return de->d_name[0] != '.';
}

/* Calls fn for each until it returns non-zero. */
static int walk(int all_fd, int (*fn)(void *arg, struct record *r), void *arg)
{
	struct dirent **list = NULL;
	int n = scandirat(all_fd, ".", &list, no_dots, alphasort);
	if (n < 0)
		return -errno;
	int ret = 0;
	for (int i = 0; i < n; i++) {
		struct record r;
		if (ret == 0 && open_one(&r, all_fd, list[i]->d_name) == 0) {
			ret = fn(arg, &r);
			record_close(&r);
		}
		free(list[i]);
	}
	free(list);
	return ret;
}

struct search {
	const char *id; /* without the prefix */
	char name[RECORD_NAME_MAX + 1];
	unsigned found;
};

static const char *id_part(const char *id)
{
	return strncmp(id, ID_PREFIX, strlen(ID_PREFIX)) == 0 ? id + strlen(ID_PREFIX) : id;
}

static int match_id(void *arg, struct record *r)
{
	struct search *s = arg;
	json_t *o = record_load(r, RECORD_MACHINE);
	const char *id = json_string_value(json_object_get(o, "id"));
	if (id && strncmp(id_part(id), s->id, strlen(s->id)) == 0) {
		s->found++;
		snprintf(s->name, sizeof(s->name), "%s", r->name);
	}
	json_decref(o);
	return 0;
}

static int find_name(int all_fd, const char *machine, struct record *r, struct err *e)
{
	struct search s = {.id = id_part(machine)};
	int ret = open_one(r, all_fd, machine);
	if (ret != -ENOENT)
		return ret < 0 ? err_errno(e, -ret, "can't read the record of '%s'", machine) : 0;
	if (strlen(s.id) >= ID_PART_MIN)
		ret = walk(all_fd, match_id, &s);
	if (ret < 0 && ret != -ENOENT)
		return err_errno(e, -ret, "can't read the machines' records");
	if (s.found > 1)
		return err_set(e, EINVAL,
			       "'%.64s' is the beginning of %u machines' ids: say more of it",
			       machine, s.found);
	return s.found == 1 ? open_one(r, all_fd, s.name) : -ENOENT;
}

int record_find(struct record *r, const char *machine, struct err *e)
{
	struct err none = {0};
	*r = RECORD_NONE;
	AUTO_CLOSE int all = open_all(false, &none);
	int ret = all;
	if (all >= 0)
		ret = find_name(all, machine, r, &none);
	if (ret >= 0 && complete(r, false) == SWEPT_REMOVED) {
		record_close(r);
		ret = -ENOENT;
	}
	if (ret == -ENOENT)
		return err_set(e, ENOENT, "no machine '%.64s' (see mayfly ps -a)", machine);
	return ret < 0 ? err_set(e, -ret, "%s", none.text) : 0;
}

struct each {
	record_fn *fn;
	void *arg;
};

static int visit(void *arg, struct record *r)
{
	const struct each *each = arg;
	if (complete(r, false) != SWEPT_REMOVED)
		each->fn(each->arg, r);
	return 0;
}

int record_each(record_fn *fn, void *arg, struct err *e)
{
	struct each each = {fn, arg};
	AUTO_CLOSE int all = open_all(false, e);
	if (all < 0)
		return all == -ENOENT ? 0 : all;
	int ret = walk(all, visit, &each);
	return ret < 0 ? err_errno(e, -ret, "can't read the machines' records") : 0;
}

/* ---- removing ---- */

int record_remove(struct record *r, struct err *e)
{
	char old[64];
	AUTO_CLOSE int held = guard(r->all_fd, LOCK_EX);
	if (held < 0)
		return err_errno(e, -held, "can't lock the machines' records");
	bool ours = r->lock_fd >= 0;
	/* Shared: who only looks whether it is kept is in nobody's way, and its keeper is. */
	if (!ours && !lock_free(r->dir_fd, &r->lock_fd, LOCK_SH))
		return err_set(e, EBUSY, "machine '%s' runs (see mayfly stop, mayfly rm -f)",
			       r->name);
	/* Out of sight first: the name is free at once, and nobody finds half of it. */
	snprintf(old, sizeof(old), ".old-%d-%llx", (int)getpid(), (unsigned long long)io_now_ns());
	struct stat mine;
	struct stat there;
	int ret = 0;
	if (fstat(r->dir_fd, &mine) < 0 ||
	    fstatat(r->all_fd, r->name, &there, AT_SYMLINK_NOFOLLOW) < 0 ||
	    there.st_ino != mine.st_ino || renameat(r->all_fd, r->name, r->all_fd, old) < 0)
		ret = -ENOENT;
	else
		remove_dir(r->all_fd, old);
	close_fd(&r->lock_fd);
	return ret < 0 ? err_set(e, ENOENT, "machine '%s' was removed by somebody else", r->name)
		       : 0;
}

struct sweep_all {
	bool dry_run;
	record_swept_fn *fn;
	void *arg;
	int n;
};

static int sweep_one(void *arg, struct record *r)
{
	struct sweep_all *s = arg;
	enum swept did = complete(r, s->dry_run);
	if (did == SWEPT_NOTHING)
		return 0;
	s->n++;
	if (s->fn)
		s->fn(s->arg, r->name, did == SWEPT_REMOVED);
	return 0;
}

/* Nobody makes or removes while the guard is ours: these have lost their makers. */
static int sweep_halves(int all_fd)
{
	AUTO_CLOSE int held = guard(all_fd, LOCK_EX | LOCK_NB);
	if (held < 0)
		return held == -EWOULDBLOCK ? 0 : held;
	int copy = openat(all_fd, ".", DIR_FLAGS);
	DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
	const struct dirent *de;
	if (!dir) {
		int ret = -errno;
		close_fd(&copy);
		return ret;
	}
	while ((de = readdir(dir)))
		if (strncmp(de->d_name, ".new-", 5) == 0 || strncmp(de->d_name, ".old-", 5) == 0)
			remove_dir(all_fd, de->d_name);
	closedir(dir);
	return 0;
}

int record_sweep(int base_fd, bool dry_run, record_swept_fn *fn, void *arg)
{
	struct sweep_all s = {.dry_run = dry_run, .fn = fn, .arg = arg};
	AUTO_CLOSE int all = open_all_at(base_fd, false, NULL);
	if (all < 0)
		return all == -ENOENT ? 0 : all;
	int ret = dry_run ? 0 : sweep_halves(all);
	if (ret == 0)
		ret = walk(all, sweep_one, &s);
	return ret < 0 ? ret : s.n;
}
