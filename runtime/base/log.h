// SPDX-License-Identifier: Apache-2.0
// log.h - one-line messages by level, and rate-limited lines for what a hostile peer causes
#ifndef MAYFLY_BASE_LOG_H
#define MAYFLY_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_LEVELS };

/*
 * log_init() - names the program in front of each line and sets the highest level shown.
 * Lines go to descriptor 2. The environment variable MAYFLY_LOG (error, warn, info, debug)
 * overrides the level. Call once, before threads.
 */
void log_init(const char *program, enum log_level level);
enum log_level log_get_level(void);

/* log_level_from_name() - LOG_LEVELS if the name is none of ours. */
enum log_level log_level_from_name(const char *name);
const char *log_level_name(enum log_level level);

/* log_msg() - writes one line if the level is on; keeps errno; control bytes become '?'. */
void log_msg(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_msg(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_msg(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_msg(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_msg(LOG_DEBUG, __VA_ARGS__)

/* A bucket of LOG_LIMIT_BURST lines, refilled by one a second. Zero-initialise. One thread. */
#define LOG_LIMIT_BURST 5
struct log_limit {
	uint64_t last_ns;
	uint32_t used;
	uint32_t dropped;
};

/* log_limit_ok() - true if a line may be written at now_ns; counts what was dropped. */
bool log_limit_ok(struct log_limit *l, uint64_t now_ns);

/* log_guest() - a warning caused by the guest or another hostile peer; rate limited. */
void log_guest(struct log_limit *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
