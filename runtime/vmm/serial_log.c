// SPDX-License-Identifier: Apache-2.0
// serial_log.c - bounded memory of the guest's serial output
#include "vmm/serial_log.h"

#include <string.h>

static const char panic_mark[] = "Kernel panic - not syncing";

/*
 * Linux without a driver that could switch its machine off stops its CPUs for ever behind one of
 * these. They count at the end of a line only, behind nothing or a time stamp: what a program
 * quotes goes on or stands elsewhere.
 */
static const struct {
	const char *text;
	enum serial_end end;
} end_marks[] = {
	{"reboot: System halted", SERIAL_END_HALT},
	{"reboot: Power down", SERIAL_END_POWER_OFF},
	{"reboot: Power off not available: System halted instead", SERIAL_END_POWER_OFF},
};

/* Does the line end so? back: how many characters before its end the text begins. */
static bool tail_is(const struct serial_log *s, const char *text, size_t back)
{
	size_t n = strlen(text);
	if (back > s->line_len || back > SERIAL_LOG_TAIL)
		return false;
	for (size_t i = 0; i < n; i++)
		if (s->tail[(s->line_len - back + i) % SERIAL_LOG_TAIL] != text[i])
			return false;
	return true;
}

static void find_end(struct serial_log *s)
{
	const char *line = s->line[s->next];
	if (s->end != SERIAL_END_NONE)
		return;
	for (size_t i = 0; i < sizeof(end_marks) / sizeof(end_marks[0]); i++) {
		size_t n = strlen(end_marks[i].text);
		if (tail_is(s, end_marks[i].text, n) &&
		    (s->line_len == n || tail_is(s, "] ", n + 2)))
			s->end = end_marks[i].end;
	}
	/* With panic=0 or a number of seconds; without either the reset follows at once. */
	if (s->panicked && (strstr(line, "---[ end Kernel panic") || strstr(line, "Rebooting in ")))
		s->end = SERIAL_END_PANIC;
}

static void line_done(struct serial_log *s)
{
	s->line[s->next][s->len] = '\0';
	find_end(s);
	s->line_len = 0;
	s->next = (s->next + 1) % SERIAL_LOG_LINES;
	if (s->count < SERIAL_LOG_LINES - 1)
		s->count++;
	s->len = 0;
	s->line[s->next][0] = '\0';
	s->capturing = false;
}

/*
 * Looks for the mark in the stream, not in the kept lines: these are cut, and a prompt or a
 * progress bar without a newline may stand before it. The mark's first letter occurs only once in
 * it, so a mismatch never has to look back further than this byte.
 */
static void find_panic(struct serial_log *s, char c)
{
	if (s->capturing) {
		if (s->panic_len < sizeof(s->panic) - 1)
			s->panic[s->panic_len++] = c;
		s->panic[s->panic_len] = '\0';
		return;
	}
	if (s->panicked)
		return;
	if (c != panic_mark[s->matched])
		s->matched = 0;
	if (c == panic_mark[s->matched])
		s->matched++;
	if (s->matched == sizeof(panic_mark) - 1) {
		s->panicked = s->capturing = true;
		s->panic_len = sizeof(panic_mark) - 1;
		memcpy(s->panic, panic_mark, sizeof(panic_mark));
	}
}

void serial_log_add(struct serial_log *s, const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)data[i];
		if (c == '\r')
			continue;
		if (c == '\n') {
			line_done(s);
			s->matched = 0;
			continue;
		}
		char shown = c < 0x20 || c >= 0x7f ? '?' : (char)c;
		find_panic(s, shown);
		s->tail[s->line_len++ % SERIAL_LOG_TAIL] = shown;
		if (s->len < SERIAL_LOG_LINE_MAX - 1) {
			s->line[s->next][s->len++] = shown;
			s->line[s->next][s->len] = '\0';
		}
	}
}

const char *serial_log_get(const struct serial_log *s, unsigned i)
{
	unsigned total = s->count + (s->len > 0 ? 1 : 0);
	if (i >= total)
		return NULL;
	return s->line[(s->next + SERIAL_LOG_LINES - s->count + i) % SERIAL_LOG_LINES];
}
