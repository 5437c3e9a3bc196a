// SPDX-License-Identifier: Apache-2.0
// boot_report.c - an init that says on the console what it was booted as, then resets the machine
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <termios.h>
#include <unistd.h>

static void line_of(const char *path, const char *key)
{
	char line[256];
	FILE *f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, key, strlen(key)) == 0)
			printf("REPORT %s", line);
	if (f)
		fclose(f);
}

static int has_word(const char *word)
{
	char line[4096] = "";
	FILE *f = fopen("/proc/cmdline", "r");
	int yes = f && fgets(line, sizeof(line), f) && strstr(line, word);
	if (f)
		fclose(f);
	return yes;
}

int main(void)
{
	struct utsname u;
	char line[128];
	/* Without a console device in the image, the kernel opens none. */
	mkdir("/dev", 0755);
	mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	int fd = open("/dev/console", O_RDWR);
	if (fd >= 0)
		for (int i = 0; i < 3; i++)
			dup2(fd, i);
	setvbuf(stdout, NULL, _IONBF, 0);
	mkdir("/proc", 0755);
	mount("proc", "/proc", "proc", 0, NULL);
	mkdir("/sys", 0755);
	mount("sysfs", "/sys", "sysfs", 0, NULL);
	uname(&u);
	printf("REPORT kernel=%s cpus=%ld\n", u.release, sysconf(_SC_NPROCESSORS_ONLN));
	line_of("/proc/meminfo", "MemTotal");
	line_of("/sys/devices/system/clocksource/clocksource0/current_clocksource", "");
	if (has_word("ask"))
		while (fgets(line, sizeof(line), stdin)) {
			printf("REPORT typed=%s", line);
			if (strncmp(line, "end", 3) == 0)
				break;
		}
	if (has_word("flood"))
		for (int i = 0; i < 20000; i++)
			printf("line %06d of a flood of text that must all arrive\n", i);
	if (has_word("crash"))
		return 1;
	tcdrain(STDOUT_FILENO);
	reboot(RB_AUTOBOOT);
	return 2;
}
