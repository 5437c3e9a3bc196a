// SPDX-License-Identifier: Apache-2.0
// verdict_read.h - a verdict's JSON object as it is read back, for unit tests
#ifndef TESTS_UNIT_VERDICT_READ_H
#define TESTS_UNIT_VERDICT_READ_H

#include "base/cleanup.h"
#include "cli/verdict.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

/* verdict_read() - the object; the caller frees it */
static inline json_t *verdict_read(const struct verdict *v)
{
	char text[16384];
	json_error_t je;
	AUTO_CLOSE int fd = memfd_create("status", MFD_CLOEXEC);
	assert_int_equal(verdict_write(v, fd), 0);
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	assert_true(n > 2);
	text[n] = '\0';
	/* One line, whatever is in it. */
	assert_ptr_equal(strchr(text, '\n'), text + n - 1);
	json_t *o = json_loads(text, JSON_REJECT_DUPLICATES, &je);
	if (!o)
		fail_msg("%s: %s", je.text, text);
	return o;
}

#endif
