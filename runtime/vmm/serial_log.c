// SPDX-License-Identifier: Apache-2.0
// serial_log.c - bounded memory of the guest's serial output
#include "vmm/serial_log.h"

#include <string.h>

static const char panic_mark[] = "Kernel panic - not syncing";

static void line_done(struct serial_log *s)
{
	char *line = s->line[s->next];
	line[s->len] = '\0';
	char *mark = strstr(line, panic_mark);
	if (mark && !s->panicked) {
		s->panicked = true;
		memcpy(s->panic, mark, strlen(mark) + 1);
	}
	s->next = (s->next + 1) % SERIAL_LOG_LINES;
	if (s->count < SERIAL_LOG_LINES - 1)
		s->count++;
	s->len = 0;
	s->line[s->next][0] = '\0';
}

void serial_log_add(struct serial_log *s, const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)data[i];
		if (c == '\r')
			continue;
		if (c == '\n') {
			line_done(s);
			continue;
		}
		if (s->len < SERIAL_LOG_LINE_MAX - 1) {
			s->line[s->next][s->len++] = c < 0x20 || c >= 0x7f ? '?' : (char)c;
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
