// SPDX-License-Identifier: Apache-2.0
// host_qemu.c - is there a QEMU that the tcg engine can use
#include "cli/host_qemu.h"

#include "base/cleanup.h"
#include "cli/host_exec.h"
#include "cli/paths.h"
#include "engine/tcg.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define ASK_TIMEOUT_MS 5000
#define ANSWER_MAX 1024
#define VERSION_MAX 100000u

/* One of the numbers; moves *p behind it. */
static bool number(const char **p, unsigned *out)
{
	unsigned v = 0;
	if (**p < '0' || **p > '9')
		return false;
	for (; **p >= '0' && **p <= '9'; (*p)++) {
		v = v * 10 + (unsigned)(**p - '0');
		if (v > VERSION_MAX)
			return false;
	}
	*out = v;
	return true;
}

bool host_qemu_parse(const char *text, unsigned version[3])
{
	static const char head[] = "QEMU emulator version ";
	unsigned v[3] = {0};
	if (strncmp(text, head, strlen(head)) != 0)
		return false;
	const char *p = text + strlen(head);
	if (!number(&p, &v[0]) || *p++ != '.' || !number(&p, &v[1]))
		return false;
	/* The third number may be missing, and "-rc1", "+dfsg" or " (package)" may follow. */
	if (*p == '.' && (p++, !number(&p, &v[2])))
		return false;
	memcpy(version, v, sizeof(v));
	return true;
}

bool host_qemu_new_enough(const unsigned version[3])
{
	return version[0] > HOST_QEMU_MIN_MAJOR ||
	       (version[0] == HOST_QEMU_MIN_MAJOR && version[1] >= HOST_QEMU_MIN_MINOR);
}

void host_qemu_look(struct host_qemu *q)
{
	char answer[ANSWER_MAX];
	char link[64];
	char *const argv[] = {(char *)(uintptr_t)TCG_QEMU, (char *)(uintptr_t) "--version", NULL};
	*q = (struct host_qemu){0};
	AUTO_CLOSE int fd = paths_which(TCG_QEMU);
	if (fd < 0)
		return;
	q->found = true;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	if (readlink(link, q->path, sizeof(q->path) - 1) < 0)
		snprintf(q->path, sizeof(q->path), "%s", TCG_QEMU);
	ssize_t n = host_exec_output(fd, argv, ASK_TIMEOUT_MS, answer, sizeof(answer));
	if (n < 0)
		q->error = (int)-n;
	else if (!host_qemu_parse(answer, q->version))
		q->error = EPROTO;
	else
		q->usable = host_qemu_new_enough(q->version);
}
