// SPDX-License-Identifier: Apache-2.0
// oom_name.c - which process the kernel has killed for lack of memory
#include "oom_name.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define RECORD_MAX 8192
/* More than the kernel's log can hold; somebody may be writing to it. */
#define RECORDS_MAX 4096
#define MEMCG "task_memcg=/mayfly/"

static int kmsg_fd = -1;

void oom_name_init(void)
{
	struct stat st;
	close_fd(&kmsg_fd);
	AUTO_CLOSE int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 11))
		kmsg_fd = steal_fd(&fd);
}

bool oom_name_record(const char *record, uint64_t session, char name[OOM_NAME_MAX])
{
	char *end;
	unsigned long prefix = strtoul(record, &end, 10);
	/* Facility 0 is the kernel's: a program in the guest can't claim it. */
	if (*end != ',' || prefix >> 3 != 0)
		return false;
	const char *text = strchr(end, ';');
	if (!text || strncmp(text + 1, "oom-kill:", 9) != 0)
		return false;
	const char *memcg = strstr(text, MEMCG);
	if (!memcg || strtoull(memcg + strlen(MEMCG), &end, 10) != session)
		return false;
	const char *task = strstr(end, ",task=");
	if (!task)
		return false;
	task += 6;
	/* The name is the guest's and may have a comma. */
	const char *stop = NULL;
	for (const char *p = task; (p = strstr(p, ",pid=")); p++)
		stop = p;
	if (!stop)
		return false;
	size_t n = 0;
	for (; task < stop && n < OOM_NAME_MAX - 1; task++)
		name[n++] = *task >= ' ' && *task < 0x7f ? *task : '?';
	name[n] = '\0';
	return true;
}

void oom_name_find(uint64_t session, char name[OOM_NAME_MAX])
{
	char record[RECORD_MAX];
	name[0] = '\0';
	/* From the oldest one on. */
	if (kmsg_fd < 0 || lseek(kmsg_fd, 0, SEEK_SET) < 0)
		return;
	for (unsigned i = 0; i < RECORDS_MAX; i++) {
		ssize_t n = read(kmsg_fd, record, sizeof(record) - 1);
		/* EPIPE: the oldest ones were overwritten meanwhile. */
		if (n < 0 && (errno == EPIPE || errno == EINTR))
			continue;
		if (n <= 0)
			return;
		record[n] = '\0';
		oom_name_record(record, session, name);
	}
}
