// SPDX-License-Identifier: Apache-2.0
// cmd_logs.c - `mayfly logs`: what a machine, or a command in it, said
#include "cli/cmd_logs.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "base/log.h"
#include "cli/machine_cmd.h"
#include "cli/verdict.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

/* Whether the writer has ended shows in a lock, which nobody tells of. */
#define LOOK_MS 500
#define PIECE 65536

struct logs {
	const struct machine_args *a;
	struct record record;
	uint64_t exec; /* 0: the machine's own */
	bool only;     /* the machine lives as long as this command */
	char file[RECORD_FILE_MAX];
	int fd;	   /* -1: it isn't there yet */
	off_t at;  /* what is shown so far */
	int watch; /* inotify */
};

static int set_follow(void *ctx, const char *v, struct err *e)
{
	(void)v;
	(void)e;
	((struct machine_args *)ctx)->follow = true;
	return 0;
}

static int set_console(void *ctx, const char *v, struct err *e)
{
	(void)v;
	(void)e;
	((struct machine_args *)ctx)->console = true;
	return 0;
}

static int set_machine(void *ctx, const char *v, struct err *e)
{
	(void)v;
	(void)e;
	((struct machine_args *)ctx)->own = true;
	return 0;
}

static int set_tail(void *ctx, const char *v, struct err *e)
{
	return opt_u64(v, 0, INT64_MAX, &((struct machine_args *)ctx)->tail, e);
}

static int open_file(struct logs *l)
{
	struct stat st;
	AUTO_CLOSE int fd =
		openat(l->record.dir_fd, l->file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return -EINVAL;
	l->fd = steal_fd(&fd);
	return 0;
}

/* Shows what there is behind at. Returns 0 or -errno. */
static int show(struct logs *l)
{
	static char buf[PIECE];
	while (l->fd >= 0) {
		ssize_t n = pread(l->fd, buf, sizeof(buf), l->at);
		if (n <= 0)
			return n < 0 ? -errno : 0;
		int ret = io_write_wait(STDOUT_FILENO, buf, (size_t)n);
		if (ret < 0)
			return ret;
		l->at += n;
	}
	return 0;
}

/* The last lines begin here. */
static off_t tail_at(int fd, uint64_t lines)
{
	static char buf[PIECE];
	struct stat st;
	if (lines == UINT64_MAX || fstat(fd, &st) < 0)
		return 0;
	off_t end = st.st_size;
	uint64_t seen = 0;
	while (end > 0) {
		off_t from = end > (off_t)sizeof(buf) ? end - (off_t)sizeof(buf) : 0;
		ssize_t n = pread(fd, buf, (size_t)(end - from), from);
		if (n <= 0)
			return end;
		for (ssize_t i = n; i > 0; i--) {
			/* The newline at the very end begins no line. */
			bool last = from + i == st.st_size;
			if (buf[i - 1] == '\n' && !last && ++seen >= lines)
				return from + i;
		}
		end = from;
	}
	return lines == 0 ? st.st_size : 0;
}

/* A log that was full is another file: its first bytes are the last half of the one before. */
static int reopen(struct logs *l)
{
	struct stat was;
	struct stat is;
	if (l->fd < 0)
		return open_file(l) == -EINVAL ? -EINVAL : 0;
	if (fstat(l->fd, &was) < 0 ||
	    fstatat(l->record.dir_fd, l->file, &is, AT_SYMLINK_NOFOLLOW) < 0 ||
	    is.st_ino == was.st_ino)
		return 0;
	int ret = show(l);
	close_fd(&l->fd);
	l->at = was.st_size - was.st_size / 2;
	return ret < 0 ? ret : open_file(l);
}

static bool writer_lives(const struct logs *l)
{
	char file[RECORD_FILE_MAX];
	struct stat st;
	if (!record_kept(&l->record))
		return false;
	/* The machine ends at once when its command does: who has followed it may remove it. */
	if (l->exec == 0 || l->only)
		return true;
	snprintf(file, sizeof(file), "exec-%llu.json", (unsigned long long)l->exec);
	return fstatat(l->record.dir_fd, file, &st, AT_SYMLINK_NOFOLLOW) < 0;
}

static int follow(struct logs *l)
{
	char path[64];
	char events[4096];
	l->watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", l->record.dir_fd);
	if (l->watch < 0 ||
	    inotify_add_watch(l->watch, path, IN_MODIFY | IN_CREATE | IN_MOVED_TO) < 0)
		return -errno;
	for (;;) {
		/* In this order: what it said last is behind the look at its life. */
		bool lives = writer_lives(l);
		int ret = reopen(l);
		if (ret == 0)
			ret = show(l);
		if (ret < 0 || !lives)
			return ret;
		struct pollfd p[] = {{.fd = l->watch, .events = POLLIN},
				     {.fd = STDOUT_FILENO, .events = 0}};
		int n = poll(p, 2, LOOK_MS);
		/* Nobody reads any more. */
		if (n > 0 && p[1].revents & (POLLERR | POLLHUP))
			return 0;
		if (n > 0 && p[0].revents && read(l->watch, events, sizeof(events)) < 0 &&
		    errno != EAGAIN)
			return -errno;
	}
}

static int known_exec(const struct logs *l, struct err *e)
{
	char file[RECORD_FILE_MAX];
	struct stat st;
	Mayfly__ControlRequest q = MAYFLY__CONTROL_REQUEST__INIT;
	Mayfly__ExecsAsk ask = MAYFLY__EXECS_ASK__INIT;
	snprintf(file, sizeof(file), "exec-%llu.json", (unsigned long long)l->exec);
	if (fstatat(l->record.dir_fd, file, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	q.body_case = MAYFLY__CONTROL_REQUEST__BODY_EXECS;
	q.execs = &ask;
	Mayfly__ControlReply *m = machine_cmd_quiet(&l->record, &q);
	bool found = false;
	if (m && m->body_case == MAYFLY__CONTROL_REPLY__BODY_EXECS)
		for (size_t i = 0; i < m->execs->n_exec; i++)
			found |= m->execs->exec[i]->session == l->exec;
	if (m)
		mayfly__control_reply__free_unpacked(m, NULL);
	return found ? 0
		     : err_set(e, ENOENT, "machine '%s' has no exec %llu", l->record.name,
			       (unsigned long long)l->exec);
}

static void name_exec(struct logs *l)
{
	snprintf(l->file, sizeof(l->file), "exec-%llu.log", (unsigned long long)l->exec);
}

/* A machine for one command: what that said is what people look for. */
static void prefer_command(struct logs *l)
{
	struct stat st;
	json_t *machine = record_load(&l->record, RECORD_MACHINE);
	bool one = json_array_size(json_object_get(machine, "command")) > 0;
	json_decref(machine);
	if (one && l->exec == 0 && !l->a->console && !l->a->own &&
	    (record_kept(&l->record) ||
	     fstatat(l->record.dir_fd, "exec-1.json", &st, AT_SYMLINK_NOFOLLOW) == 0)) {
		l->exec = 1;
		name_exec(l);
	}
	l->only = one && l->exec == 1;
}

static int logs(struct logs *l, struct err *e)
{
	const char *name = l->record.name;
	int ret = open_file(l);
	if (ret == -ENOENT && l->a->console)
		return err_set(e, ENOENT,
			       record_kept(&l->record)
				       ? "the console of machine '%s' is written when it ends"
				       : "the console of machine '%s' said nothing",
			       name);
	if (ret == -ENOENT && l->exec)
		ret = known_exec(l, e);
	else if (ret < 0)
		return err_errno(e, -ret, "can't read the log of machine '%s'", name);
	if (ret < 0)
		return ret;
	if (l->fd >= 0)
		l->at = tail_at(l->fd, l->a->tail);
	ret = show(l);
	if (ret == 0 && l->a->follow)
		ret = follow(l);
	close_fd(&l->fd);
	close_fd(&l->watch);
	return ret < 0 && ret != -EPIPE ? err_errno(e, -ret, "can't show the log of '%s'", name)
					: 0;
}

int cmd_logs(int argc, char **argv)
{
	static const struct opt rows[] = {
		{"follow", 'f', NULL, "go on until the machine, or the command, has ended",
		 set_follow},
		{"tail", 'n', "N", "only the last N lines", set_tail},
		{"machine", 'm', NULL, "what the machine's keeper and processes said", set_machine},
		{"console", 0, NULL, "what the guest's console said last, once it has ended",
		 set_console},
		MACHINE_ROW_HELP,
	};
	static const struct machine_cmd d = {
		.usage = "logs [options] MACHINE [EXEC]",
		.text = "Shows what the machine's command said, or with a number another one, "
			"while\n"
			"nobody was attached to it. Of a machine without a command: what its "
			"keeper and\n"
			"processes said.",
		.rows = rows,
		.n_rows = ARRAY_SIZE(rows),
		.min = 1,
		.max = 2,
	};
	struct machine_args a = {.tail = UINT64_MAX};
	struct logs l = {.a = &a, .fd = -1, .watch = -1, .file = RECORD_LOG};
	struct err e = {0};
	int status = machine_cmd_parse(&d, &a, argc, argv);
	if (status >= 0)
		return status;
	/* A reader that has gone is no news. */
	signal(SIGPIPE, SIG_IGN);
	int ret = a.argc == 2 ? machine_cmd_number(a.argv[1], &l.exec, &e) : 0;
	if (ret == 0 && a.console && (l.exec || a.follow || a.own))
		ret = err_set(&e, EINVAL,
			      "--console goes with none of EXEC, --follow and --machine");
	else if (ret == 0 && a.own && l.exec)
		ret = err_set(&e, EINVAL, "--machine and EXEC exclude each other");
	if (a.console)
		snprintf(l.file, sizeof(l.file), RECORD_CONSOLE);
	else if (l.exec)
		name_exec(&l);
	if (ret == 0)
		ret = record_find(&l.record, a.argv[0], &e);
	if (ret == 0) {
		prefer_command(&l);
		ret = logs(&l, &e);
		record_close(&l.record);
	}
	if (ret < 0)
		log_error("%s", e.text);
	return ret < 0 ? EXIT_MAYFLY : 0;
}
