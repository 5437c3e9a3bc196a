// SPDX-License-Identifier: Apache-2.0
// cgroup.c - the cgroup of one machine: made with its limits, entered, left, removed
//
// Theory of operation: one flat group per hierarchy, so that nothing of ours stays behind, and a
// record of their paths in the machine's state directory before the first is made, so that
// whoever finds that directory dead can remove them. v1 is entered by the supervisor itself
// around the start of the processes: "0" written to "tasks" moves one thread without the
// kernel's lock of all thread groups (an RCU period, milliseconds, on "cgroup.procs"). v2 is
// entered by the children as they are cloned, which is free.
#include "cgroup.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/io.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>

#define RECORD "cgroup"
#define RECORD_MAX ((size_t)2 * CGROUP_CTLS * PATH_MAX)
#define RECORD_LINES (2 * CGROUP_CTLS)
#define LIST_MAX 4096
#define PERIOD_US 100000u
#define BFQ_WEIGHT_MAX 1000u
#define REMOVE_NS 1500000000ull
#define DIR_FLAGS (O_RDONLY | O_DIRECTORY | O_CLOEXEC)

static bool is_cgroup(int fd)
{
	struct statfs sf;
	return fstatfs(fd, &sf) == 0 &&
	       (sf.f_type == CGROUP_SUPER_MAGIC || sf.f_type == CGROUP2_SUPER_MAGIC);
}

/* ---- where ---- */

static int open_group(const char *path)
{
	AUTO_CLOSE int fd = open(path, DIR_FLAGS);
	return fd >= 0 && is_cgroup(fd) ? steal_fd(&fd) : -1;
}

static bool may_make(int fd)
{
	return faccessat(fd, ".", W_OK | X_OK, AT_EACCESS) == 0;
}

/* The controllers of ours in a v2 list, which has blanks. */
static unsigned list_v2(int dir_fd, const char *file)
{
	AUTO_FREE char *text = NULL;
	size_t len;
	unsigned found = 0;
	char *save = NULL;
	AUTO_CLOSE int fd = openat(dir_fd, file, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || io_read_all(fd, LIST_MAX, &text, &len) < 0)
		return 0;
	for (char *w = strtok_r(text, " \n", &save); w; w = strtok_r(NULL, " \n", &save))
		for (unsigned i = 0; i < CGROUP_CTLS; i++)
			if (strcmp(w, cgroup_ctl_name(i)) == 0)
				found |= 1u << i;
	return found;
}

static int put(int dir_fd, const char *file, const char *text)
{
	AUTO_CLOSE int fd = openat(dir_fd, file, O_WRONLY | O_CLOEXEC);
	return fd < 0 ? -errno : io_write_full(fd, text, strlen(text));
}

static int put_u64(int dir_fd, const char *file, uint64_t value)
{
	char text[24];
	snprintf(text, sizeof(text), "%" PRIu64, value);
	return put(dir_fd, file, text);
}

/* What the groups below this v2 group can limit, after what is missing has been switched on. */
static unsigned v2_offers(int fd, unsigned want)
{
	unsigned missing =
		want & list_v2(fd, "cgroup.controllers") & ~list_v2(fd, "cgroup.subtree_control");
	for (unsigned i = 0; i < CGROUP_CTLS; i++) {
		char text[16];
		snprintf(text, sizeof(text), "+%s", cgroup_ctl_name(i));
		if (missing & (1u << i))
			put(fd, "cgroup.subtree_control", text);
	}
	return want & list_v2(fd, "cgroup.subtree_control");
}

/*
 * The v2 candidates in their order; all that is wanted beats a part of it. Returns what place->own
 * then offers, as a parent, and its descriptor.
 */
static unsigned choose_v2(struct cgroup_place *place, int *parent_fd)
{
	char path[3][PATH_MAX] = {"", "", ""};
	unsigned best = 0;
	char *slash = strrchr(place->own, '/');
	if (geteuid() == 0)
		memcpy(path[0], place->point, sizeof(path[0]));
	if (strlen(place->own) > strlen(place->point) && slash && slash != place->own)
		memcpy(path[1], place->own, (size_t)(slash - place->own));
	memcpy(path[2], place->own, sizeof(path[2]));
	for (size_t i = 0; i < ARRAY_SIZE(path) && best != place->ctls; i++) {
		AUTO_CLOSE int fd = path[i][0] ? open_group(path[i]) : -1;
		if (fd < 0 || !may_make(fd))
			continue;
		unsigned got = v2_offers(fd, place->ctls);
		if (__builtin_popcount(got) <= __builtin_popcount(best))
			continue;
		best = got;
		close_fd(parent_fd);
		*parent_fd = steal_fd(&fd);
		memcpy(place->own, path[i], sizeof(place->own));
	}
	return best;
}

static unsigned choose_v1(struct cgroup_place *place, struct cgroup_group *g)
{
	g->parent_fd = open_group(place->own);
	if (g->parent_fd < 0) {
		/* A container's own group need not be below its mount. */
		memcpy(place->own, place->point, sizeof(place->own));
		g->parent_fd = open_group(place->own);
	}
	if (g->parent_fd < 0 || !may_make(g->parent_fd))
		return 0;
	g->leave_fd = openat(g->parent_fd, "tasks", O_WRONLY | O_CLOEXEC);
	return g->leave_fd < 0 ? 0 : place->ctls;
}

/* ---- limits ---- */

static int limit_memory(const struct cgroup_group *g, uint64_t bytes)
{
	int ret = put_u64(g->dir_fd, g->v1 ? "memory.limit_in_bytes" : "memory.max", bytes);
	if (ret < 0)
		return ret;
	/* v1 counts memory and swap together. Neither file is there where swap is not counted. */
	ret = g->v1 ? put_u64(g->dir_fd, "memory.memsw.limit_in_bytes", bytes)
		    : put(g->dir_fd, "memory.swap.max", "0");
	return ret == -ENOENT ? 0 : ret;
}

static int limit_cpu(const struct cgroup_group *g, uint32_t permille)
{
	uint64_t quota = (uint64_t)permille * PERIOD_US / 1000;
	if (!g->v1) {
		char text[48];
		snprintf(text, sizeof(text), "%" PRIu64 " %u", quota, PERIOD_US);
		return put(g->dir_fd, "cpu.max", text);
	}
	int ret = put_u64(g->dir_fd, "cpu.cfs_period_us", PERIOD_US);
	return ret < 0 ? ret : put_u64(g->dir_fd, "cpu.cfs_quota_us", quota);
}

/* Which file there is depends on the host's I/O schedulers; often there is none. */
static int limit_io(const struct cgroup_group *g, uint32_t weight)
{
	uint32_t bfq = MIN(weight, BFQ_WEIGHT_MAX);
	int ret =
		put_u64(g->dir_fd, g->v1 ? "blkio.bfq.weight" : "io.weight", g->v1 ? bfq : weight);
	if (ret == -ENOENT)
		ret = put_u64(g->dir_fd, g->v1 ? "blkio.weight" : "io.bfq.weight", bfq);
	return ret;
}

/* Returns the controllers whose limit holds. */
static unsigned set_limits(const struct cgroup_group *g, const struct cgroup_limits *lim)
{
	unsigned held = 0;
	for (unsigned i = 0; i < CGROUP_CTLS; i++) {
		int ret = -EINVAL;
		if (!(g->ctls & (1u << i)))
			continue;
		if (i == CGROUP_MEMORY)
			ret = limit_memory(g, lim->memory_bytes);
		else if (i == CGROUP_PIDS)
			ret = put_u64(g->dir_fd, "pids.max", lim->pids);
		else if (i == CGROUP_CPU)
			ret = limit_cpu(g, lim->cpu_permille);
		else if (i == CGROUP_IO)
			ret = limit_io(g, lim->io_weight);
		if (ret == 0)
			held |= 1u << i;
	}
	return held;
}

/* ---- making ---- */

static void close_group(struct cgroup_group *g)
{
	close_fd(&g->parent_fd);
	close_fd(&g->dir_fd);
	close_fd(&g->enter_fd);
	close_fd(&g->leave_fd);
}

/* Chooses the parents; what they are goes into the record before anything is made. */
static int choose(struct cgroup *c, struct cgroup_places *p)
{
	AUTO_FREE char *text = malloc(RECORD_MAX);
	size_t len = 0;
	if (!text)
		return -ENOMEM;
	for (unsigned i = 0; i < p->n; i++) {
		struct cgroup_place *place = &p->place[i];
		struct cgroup_group g = {place->v1, 0, -1, -1, -1, -1};
		g.ctls = place->v1 ? choose_v1(place, &g) : choose_v2(place, &g.parent_fd);
		c->missing |= place->ctls & ~g.ctls;
		if (g.ctls == 0) {
			close_group(&g);
			continue;
		}
		c->group[c->n++] = g;
		len += (size_t)snprintf(text + len, RECORD_MAX - len, "%s/%s\n", place->own,
					c->name);
		if (len >= RECORD_MAX)
			return -ENAMETOOLONG;
	}
	if (c->n == 0)
		return -EACCES;
	AUTO_CLOSE int fd = openat(c->state_dir_fd, RECORD,
				   O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	c->made = true;
	return io_write_full(fd, text, len);
}

static int make_group(struct cgroup *c, struct cgroup_group *g, const struct cgroup_limits *lim)
{
	if (mkdirat(g->parent_fd, c->name, 0755) < 0)
		return -errno;
	g->dir_fd = openat(g->parent_fd, c->name, DIR_FLAGS | O_NOFOLLOW);
	if (g->dir_fd < 0)
		return -errno;
	if (g->v1)
		g->enter_fd = openat(g->dir_fd, "tasks", O_WRONLY | O_CLOEXEC);
	if (g->v1 && g->enter_fd < 0)
		return -errno;
	unsigned held = set_limits(g, lim);
	c->missing |= g->ctls & ~held;
	g->ctls = held;
	return held ? 0 : -EOPNOTSUPP;
}

/* A group without a limit is of no use: it would only cost time. */
static int make_all(struct cgroup *c, const struct cgroup_limits *lim)
{
	unsigned kept = 0;
	int first = 0;
	for (unsigned i = 0; i < c->n; i++) {
		struct cgroup_group *g = &c->group[i];
		int ret = make_group(c, g, lim);
		if (ret == 0) {
			c->group[kept++] = *g;
			continue;
		}
		first = first ? first : ret;
		c->missing |= g->ctls;
		if (ret != -EEXIST)
			unlinkat(g->parent_fd, c->name, AT_REMOVEDIR);
		close_group(g);
	}
	c->n = kept;
	return kept ? 0 : first;
}

static unsigned wanted(const struct cgroup_limits *lim)
{
	return (lim->memory_bytes ? 1u << CGROUP_MEMORY : 0) | (lim->pids ? 1u << CGROUP_PIDS : 0) |
	       (lim->cpu_permille ? 1u << CGROUP_CPU : 0) | (lim->io_weight ? 1u << CGROUP_IO : 0);
}

int cgroup_create(struct cgroup *c, const char *id, int state_dir_fd,
		  const struct cgroup_limits *lim, struct err *e)
{
	struct cgroup_places p;
	*c = (struct cgroup){.state_dir_fd = state_dir_fd};
	if (!statedir_id_ok(id))
		return err_set(e, EINVAL, "'%s' is not a machine id", id);
	snprintf(c->name, sizeof(c->name), "mayfly-%s", id);
	unsigned want = wanted(lim);
	if (want == 0)
		return 0;
	int ret = cgroup_find(&p, want);
	if (ret < 0)
		return err_errno(e, -ret, "no resource limits: can't look for cgroups");
	if (p.n == 0)
		return err_set(e, ENOENT,
			       "no resource limits: no cgroup hierarchy is mounted that has them");
	c->missing = p.want;
	ret = choose(c, &p);
	if (ret == 0)
		ret = make_all(c, lim);
	if (ret == 0)
		return 0;
	cgroup_remove(c);
	cgroup_close(c);
	c->missing = want;
	if (ret == -EACCES && geteuid() != 0)
		return err_set(
			e, EACCES,
			"no resource limits: no cgroup here is yours to divide (start mayfly "
			"with 'systemd-run --user --scope' to get one)");
	err_errno(e, -ret, "no resource limits: can't make a cgroup below '%s'", p.place[0].own);
	return -EACCES;
}

int cgroup_enter(const struct cgroup *c)
{
	for (unsigned i = 0; i < c->n; i++)
		if (c->group[i].v1 && write(c->group[i].enter_fd, "0", 1) != 1) {
			int ret = -errno;
			cgroup_leave(c);
			return ret;
		}
	return 0;
}

int cgroup_leave(const struct cgroup *c)
{
	int ret = 0;
	for (unsigned i = 0; i < c->n; i++)
		if (c->group[i].v1 && write(c->group[i].leave_fd, "0", 1) != 1 && ret == 0)
			ret = -errno;
	return ret;
}

int cgroup_clone_fd(const struct cgroup *c)
{
	for (unsigned i = 0; i < c->n; i++)
		if (!c->group[i].v1)
			return c->group[i].dir_fd;
	return -1;
}

/* ---- asking ---- */

uint64_t cgroup_oom_kills(const struct cgroup *c)
{
	static const char key[] = "oom_kill ";
	for (unsigned i = 0; i < c->n; i++) {
		const struct cgroup_group *g = &c->group[i];
		AUTO_FREE char *text = NULL;
		char *save = NULL;
		size_t len;
		if (!(g->ctls & (1u << CGROUP_MEMORY)))
			continue;
		AUTO_CLOSE int fd =
			openat(g->dir_fd, g->v1 ? "memory.oom_control" : "memory.events",
			       O_RDONLY | O_CLOEXEC);
		if (fd < 0 || io_read_all(fd, LIST_MAX, &text, &len) < 0)
			return 0;
		for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save))
			if (strncmp(l, key, sizeof(key) - 1) == 0)
				return strtoull(l + sizeof(key) - 1, NULL, 10);
	}
	return 0;
}

/* ---- removing ---- */

/* A process that was killed and reaped may still be on its way out of its group. */
static int remove_dir(int parent_fd, const char *name, uint64_t deadline_ns)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	for (;;) {
		if (unlinkat(parent_fd, name, AT_REMOVEDIR) == 0)
			return 0;
		if (errno != EBUSY || io_now_ns() >= deadline_ns)
			return -errno;
		nanosleep(&pause, NULL);
	}
}

int cgroup_remove(struct cgroup *c)
{
	uint64_t deadline = io_now_ns() + REMOVE_NS;
	int ret = 0;
	for (unsigned i = 0; i < c->n; i++) {
		int one = remove_dir(c->group[i].parent_fd, c->name, deadline);
		if (one < 0 && one != -ENOENT)
			ret = -EBUSY;
	}
	if (ret == 0 && c->made) {
		unlinkat(c->state_dir_fd, RECORD, 0);
		c->made = false;
	}
	return ret;
}

void cgroup_close(struct cgroup *c)
{
	for (unsigned i = 0; i < c->n; i++)
		close_group(&c->group[i]);
	c->n = 0;
}

/* Whether this process could see the host's cgroups at all: a supervisor in its empty root can't,
 * and must not take that for their absence. */
static bool blind(void)
{
	return access("/proc/self/mountinfo", F_OK) < 0;
}

static int remove_path(char *path, const char *name, uint64_t deadline, const struct sweep *sweep)
{
	struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
			       .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
	struct stat st;
	char *slash = strrchr(path, '/');
	if (path[0] != '/' || slash == path || strcmp(slash + 1, name) != 0)
		return 0;
	*slash = '\0';
	AUTO_CLOSE int fd = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));
	*slash = '/';
	if (fd < 0)
		return errno == ENOENT && blind() ? -EBUSY : 0;
	if (!is_cgroup(fd) || fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	int ret = sweep_dry(sweep) ? 0 : remove_dir(fd, name, deadline);
	if (ret == -ENOENT)
		return 0;
	sweep_found(sweep, SWEEP_CGROUP, path, ret);
	return ret < 0 ? -EBUSY : 0;
}

int cgroup_remove_recorded(int state_dir_fd, const char *id, const struct sweep *sweep)
{
	AUTO_FREE char *text = NULL;
	char name[CGROUP_NAME_MAX];
	char *save = NULL;
	struct stat st;
	size_t len;
	int ret = 0;
	AUTO_CLOSE int fd =
		openat(state_dir_fd, RECORD, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
	    io_read_all(fd, RECORD_MAX, &text, &len) < 0)
		return 0;
	snprintf(name, sizeof(name), "mayfly-%s", id);
	/* One deadline and few lines: whoever wrote the file must not be able to make us wait. */
	uint64_t deadline = sweep ? 0 : io_now_ns() + REMOVE_NS;
	char *line = strtok_r(text, "\n", &save);
	for (unsigned i = 0; line && i < RECORD_LINES; i++, line = strtok_r(NULL, "\n", &save)) {
		int one = remove_path(line, name, deadline, sweep);
		ret = ret ? ret : one;
	}
	return ret;
}
