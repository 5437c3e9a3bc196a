// SPDX-License-Identifier: Apache-2.0
// progress.c - a bar with bytes and time on a terminal; nothing elsewhere
#include "image/progress.h"

#include "base/checked.h"
#include "base/io.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define REDRAW_NS 100000000ull
#define BAR_MAX 40u
#define TEXT_WIDTH 60u /* all but the bar */
#define LINE_MAX_BYTES 256

void progress_bytes(char *out, size_t size, uint64_t bytes)
{
	static const char *const unit[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	size_t u = 0;
	double v = (double)bytes;
	for (; v >= 1024 && u + 1 < ARRAY_SIZE(unit); u++)
		v /= 1024;
	snprintf(out, size, u ? "%.1f %s" : "%.0f %s", v, unit[u]);
}

void progress_line(char *out, size_t size, const char *what, uint64_t done, uint64_t total,
		   uint64_t ns, unsigned width)
{
	char have[32];
	char all[32];
	char bar[BAR_MAX + 3] = "";
	double part = total > 0 ? (double)MIN(done, total) / (double)total : 0;
	unsigned cells = width > TEXT_WIDTH + 4 ? MIN(width - TEXT_WIDTH, BAR_MAX) : 0;
	unsigned full = (unsigned)(part * cells);
	uint64_t seconds = ns / 1000000000u;
	if (cells > 0) {
		bar[0] = '[';
		memset(bar + 1, '#', full);
		memset(bar + 1 + full, '.', cells - full);
		bar[cells + 1] = ']';
	}
	progress_bytes(have, sizeof(have), done);
	progress_bytes(all, sizeof(all), total);
	snprintf(out, size, "%-8s %s %3.0f%%  %s of %s  %llu:%02llu", what, bar, part * 100, have,
		 all, (unsigned long long)(seconds / 60), (unsigned long long)(seconds % 60));
}

void progress_begin(struct progress *p, bool quiet)
{
	*p = (struct progress){.on = !quiet && isatty(STDERR_FILENO), .start = io_now_ns()};
}

void progress_show(struct progress *p, const char *what, uint64_t done, uint64_t total)
{
	char line[LINE_MAX_BYTES];
	struct winsize w = {0};
	uint64_t now = io_now_ns();
	if (!p->on || (p->shown && now - p->shown < REDRAW_NS))
		return;
	p->shown = now;
	unsigned width = ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col ? w.ws_col : 80;
	progress_line(line, sizeof(line), what, done, total, now - p->start, width);
	fprintf(stderr, "\r%.*s\033[K", (int)width - 1, line);
}

void progress_end(struct progress *p)
{
	if (p->on && p->shown)
		fputs("\r\033[K", stderr);
	p->shown = 0;
}
