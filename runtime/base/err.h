// SPDX-License-Identifier: Apache-2.0
// err.h - one error object: functions return 0 or -errno, the object holds the text for people
#ifndef MAYFLY_BASE_ERR_H
#define MAYFLY_BASE_ERR_H

#define ERR_TEXT_MAX 640

/*
 * Set only on failure. The text says what failed, on what, why, and what to do;
 * each layer may add context in front once, with err_wrap().
 */
struct err {
	char text[ERR_TEXT_MAX];
};

/*
 * err_set() - stores a text and returns -code, so that a caller can `return err_set(...)`.
 * @e: may be NULL, then only the code travels
 * @code: positive errno value
 */
int err_set(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* err_errno() - as err_set(), with ": <strerror(code)>" appended to the text. */
int err_errno(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* err_wrap() - puts "context: " in front of the text that is there; returns ret unchanged. */
int err_wrap(struct err *e, int ret, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
