// SPDX-License-Identifier: Apache-2.0
// serial_log.c - bounded memory of the guest's serial output
#include "vmm/serial_log.h"

#include <string.h>

static const char panic_mark[] = "Kernel panic - not syncing";

static void line_done(struct serial_log *s)
{
	s->line[s->next][s->len] = '\0';
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
