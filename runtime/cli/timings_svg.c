// SPDX-License-Identifier: Apache-2.0
// timings_svg.c - the parts of a run's time as a picture
#include "cli/timings_svg.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NS_PER_MS 1e6
/* Pixels. */
#define WIDTH 960
#define LEFT 100
#define PLOT 560 /* what is right of it has room for the longest label */
#define TOP 84
#define ROW 30
#define BAR 18
#define TITLE_MAX 80
#define TICKS_MAX 12

/* What the parts are, and whose time it is. */
static const struct part {
	const char *what, *colour;
} parts[VERDICT_PHASES] = {
	{"options, host files, checks", "#4a6fa5"},
	{"jail, vmm and its devices", "#4a6fa5"},
	{"guest kernel", "#0b8f6e"},
	{"guest agent: mounts, vsock", "#7a5fb0"},
	{"the command is started", "#7a5fb0"},
	{"the command runs", "#c2702e"},
	{"results out, all taken away", "#4a6fa5"},
};

int timings_svg_open(const char *path, int *fd, struct err *e)
{
	struct stat st;
	AUTO_CLOSE int got = open(
		path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW | O_NONBLOCK, 0666);
	if (got < 0)
		return err_errno(e, errno, "can't write the picture '%s'", path);
	if (fstat(got, &st) < 0)
		return err_errno(e, errno, "can't look at '%s'", path);
	if (!S_ISREG(st.st_mode))
		return err_set(e, EINVAL, "can't write the picture '%s': not a regular file", path);
	if (ftruncate(got, 0) < 0)
		return err_errno(e, errno, "can't empty '%s'", path);
	*fd = steal_fd(&got);
	return 0;
}

static void put_char(FILE *f, char c)
{
	switch (c) {
	case '<': fputs("&lt;", f); return;
	case '>': fputs("&gt;", f); return;
	case '&': fputs("&amp;", f); return;
	default: fputc(c >= ' ' && c < 0x7f ? c : '?', f);
	}
}

/* The command's words as far as they fit. */
static void put_command(FILE *f, char *const *argv)
{
	unsigned n = 0;
	for (; argv && *argv && n < TITLE_MAX; argv++, n++) {
		put_char(f, ' ');
		for (const char *p = *argv; *p && ++n < TITLE_MAX; p++)
			put_char(f, *p);
	}
	if (n >= TITLE_MAX)
		fputs("...", f);
}

/* A step of 1, 2 or 5 times a power of ten, so that there are five to twelve of them. */
static double tick_step(double total_ms)
{
	static const unsigned factors[] = {1, 2, 5};
	for (uint64_t us = 1; us < UINT64_MAX / 100; us *= 10)
		for (size_t i = 0; i < ARRAY_SIZE(factors); i++) {
			double step_ms = (double)(us * factors[i]) / 1000;
			if (total_ms / step_ms <= TICKS_MAX)
				return step_ms;
		}
	return total_ms;
}

static void put_scale(FILE *f, double total_ms)
{
	double step = tick_step(total_ms);
	int bottom = TOP + VERDICT_PHASES * ROW;
	for (unsigned i = 0; i <= TICKS_MAX && (double)i * step <= total_ms; i++) {
		double x = LEFT + (double)i * step / total_ms * PLOT;
		fprintf(f,
			"<path d=\"M%.1f %dV%d\" stroke=\"#dfe5ec\"/>\n"
			"<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\" "
			"fill=\"#5f6c7b\">%.6g</text>\n",
			x, TOP - 6, bottom, x, TOP - 12, (double)i * step);
	}
}

static void put_row(FILE *f, unsigned i, const struct verdict_phase *p, uint64_t start,
		    double total_ms)
{
	double ms = (double)(p->to - p->from) / NS_PER_MS;
	double x = LEFT + (double)(p->from - start) / NS_PER_MS / total_ms * PLOT;
	double w = ms / total_ms * PLOT;
	int y = TOP + (int)i * ROW + (ROW - BAR) / 2;
	char label[96];
	snprintf(label, sizeof(label), "%.1f ms  %s", ms, parts[i].what);
	fprintf(f,
		"<text x=\"%d\" y=\"%d\" text-anchor=\"end\" fill=\"#1f2933\">%s</text>\n"
		"<rect x=\"%.2f\" y=\"%d\" width=\"%.2f\" height=\"%d\" fill=\"%s\"/>\n"
		"<text x=\"%.1f\" y=\"%d\" fill=\"#1f2933\">%s</text>\n",
		LEFT - 10, y + BAR - 5, p->name, x, y, MAX(w, 1.0), BAR, parts[i].colour, x + w + 6,
		y + BAR - 5, label);
}

static void put_all(FILE *f, const struct verdict *v, char *const *argv)
{
	struct verdict_phase p[VERDICT_PHASES];
	verdict_phases(v, p);
	uint64_t total_ns = v->t.end > v->t.start ? v->t.end - v->t.start : 1;
	double total_ms = (double)total_ns / NS_PER_MS;
	int height = TOP + VERDICT_PHASES * ROW + 20;
	fprintf(f,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
		"viewBox=\"0 0 %d %d\" role=\"img\" font-size=\"12\" "
		"font-family=\"'DejaVu Sans', 'Helvetica Neue', Arial, sans-serif\">\n"
		"<rect width=\"%d\" height=\"%d\" fill=\"#ffffff\"/>\n"
		"<text x=\"20\" y=\"28\" font-size=\"15\" font-weight=\"bold\" "
		"fill=\"#1f2933\">mayfly %s",
		WIDTH, height, WIDTH, height, WIDTH, height, v->boot ? "boot" : "run --");
	put_command(f, argv);
	fprintf(f,
		"</text>\n<text x=\"20\" y=\"48\" fill=\"#5f6c7b\">%.1f ms from start to end, "
		"engine %s, ended: %s</text>\n",
		total_ms, v->engine ? v->engine : "none", verdict_name(v->reason));
	put_scale(f, total_ms);
	for (unsigned i = 0; i < VERDICT_PHASES; i++)
		put_row(f, i, &p[i], v->t.start, total_ms);
	fputs("</svg>\n", f);
}

int timings_svg_write(const struct verdict *v, char *const *argv, int fd)
{
	AUTO_FREE char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	if (!f)
		return -ENOMEM;
	put_all(f, v, argv);
	bool failed = ferror(f) != 0;
	if (fclose(f) != 0 || failed)
		return -ENOMEM;
	int ret = io_write_full(fd, text, len);
	/* A guest that may write there can have made it longer. What has no length is no file. */
	if (ret == 0 && ftruncate(fd, (off_t)len) < 0 && errno != EINVAL)
		ret = -errno;
	return ret;
}
