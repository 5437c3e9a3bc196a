// SPDX-License-Identifier: Apache-2.0
// log.c - one write(2) a line, so that lines of several processes don't mix
#include "base/log.h"

#include "base/checked.h"
#include "base/io.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOG_LINE_MAX 1024
#define ERROR_WAIT_MS 1000
#define NS_PER_S 1000000000ull

static const char *const level_names[] = {"error", "warn", "info", "debug"};
_Static_assert(ARRAY_SIZE(level_names) == LOG_LEVELS, "a name for each level");

static const char *log_program = "mayfly";
static enum log_level log_max = LOG_WARN;

const char *log_level_name(enum log_level level)
{
	return level < LOG_LEVELS ? level_names[level] : "?";
}

enum log_level log_level_from_name(const char *name)
{
	unsigned i;
	for (i = 0; i < LOG_LEVELS; i++)
		if (strcmp(name, level_names[i]) == 0)
			break;
	return (enum log_level)i;
}

void log_init(const char *program, enum log_level level)
{
	const char *env = getenv("MAYFLY_LOG");
	enum log_level wanted = env ? log_level_from_name(env) : LOG_LEVELS;
	log_program = program;
	log_max = wanted < LOG_LEVELS ? wanted : level;
}

enum log_level log_get_level(void)
{
	return log_max;
}

/*
 * Standard error may be a pipe that nobody reads: a line that has no room is lost, because nothing
 * that a message says is worth a process that no longer keeps its deadlines.
 */
static bool room_for_line(enum log_level level)
{
	struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};
	return poll(&p, 1, level == LOG_ERROR ? ERROR_WAIT_MS : 0) > 0;
}

static void log_line(enum log_level level, const char *fmt, va_list ap)
{
	char line[LOG_LINE_MAX];
	int n = snprintf(line, sizeof(line), "%s: ", log_program);
	int m = vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, ap);
	if (m < 0)
		return;
	size_t len = MIN((size_t)n + (size_t)m, sizeof(line) - 2);
	/* Text may quote a guest: keep terminals safe from escape sequences. */
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)line[i];
		/* C1 controls in UTF-8 are 0xc2 0x80 to 0xc2 0x9f. */
		bool c1 = c >= 0x80 && c <= 0x9f && i > 0 && (unsigned char)line[i - 1] == 0xc2;
		if (c1)
			line[i - 1] = '?';
		if (c1 || (c < 0x20 && c != '\t') || c == 0x7f)
			line[i] = '?';
	}
	line[len++] = '\n';
	/* A log that can't be written has nowhere left to be reported. */
	ssize_t w = room_for_line(level) ? write(STDERR_FILENO, line, len) : 0;
	(void)w;
}

void log_msg(enum log_level level, const char *fmt, ...)
{
	if (level > log_max)
		return;
	int saved = errno;
	va_list ap;
	va_start(ap, fmt);
	log_line(level, fmt, ap);
	va_end(ap);
	errno = saved;
}

bool log_limit_ok(struct log_limit *l, uint64_t now_ns)
{
	uint64_t gained = (now_ns - l->last_ns) / NS_PER_S;
	if (gained > 0) {
		l->used = gained >= l->used ? 0 : l->used - (uint32_t)gained;
		l->last_ns = now_ns;
	}
	if (l->used >= LOG_LIMIT_BURST) {
		if (l->dropped < UINT32_MAX)
			l->dropped++;
		return false;
	}
	l->used++;
	return true;
}

void log_guest(struct log_limit *l, const char *fmt, ...)
{
	if (LOG_WARN > log_max || !log_limit_ok(l, io_now_ns()))
		return;
	int saved = errno;
	if (l->dropped) {
		log_msg(LOG_WARN, "(%u similar lines left out)", l->dropped);
		l->dropped = 0;
	}
	va_list ap;
	va_start(ap, fmt);
	log_line(LOG_WARN, fmt, ap);
	va_end(ap);
	errno = saved;
}
