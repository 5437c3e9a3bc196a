// SPDX-License-Identifier: Apache-2.0
// boot_report.c - an init that says on the console what it was booted as, then resets the machine
//
// Words on the kernel's command line: ask (report typed lines until "end"), flood=N (write N
// lines), wait (until somebody ends the machine), crash (end, so that the kernel panics).
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <termios.h>
#include <unistd.h>

/* The first line of a file that starts with this. */
static void report_line(const char *key, const char *path, const char *start)
{
	char line[256];
	FILE *f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, start, strlen(start)) == 0) {
			printf("REPORT %s=%s", key, line + strlen(start));
			break;
		}
	if (f)
		fclose(f);
}

/* The value behind a word of the command line, "" if it has none; NULL if it is not there. */
static const char *word(const char *name)
{
	static char line[4096];
	size_t len = strlen(name);
	FILE *f = fopen("/proc/cmdline", "r");
	if (!f || !fgets(line, sizeof(line), f))
		line[0] = '\0';
	if (f)
		fclose(f);
	for (char *w = strtok(line, " \n"); w; w = strtok(NULL, " \n"))
		if (strncmp(w, name, len) == 0 && (w[len] == '\0' || w[len] == '='))
			return w + len + (w[len] == '=');
	return NULL;
}

static void set_up(void)
{
	struct termios t;
	/* Without a console device in the image, the kernel opens none. */
	mkdir("/dev", 0755);
	mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	int fd = open("/dev/console", O_RDWR);
	if (fd >= 0)
		for (int i = 0; i < 3; i++)
			dup2(fd, i);
	setvbuf(stdout, NULL, _IOLBF, 1024);
	mkdir("/proc", 0755);
	mount("proc", "/proc", "proc", 0, NULL);
	mkdir("/sys", 0755);
	mount("sysfs", "/sys", "sysfs", 0, NULL);
	/* What is typed would appear amid the report. */
	if (tcgetattr(STDIN_FILENO, &t) == 0) {
		t.c_lflag &= ~(tcflag_t)ECHO;
		tcsetattr(STDIN_FILENO, TCSANOW, &t);
	}
}

static void report(int argc, char **argv)
{
	struct utsname u;
	uname(&u);
	printf("REPORT kernel=%s\nREPORT cpus=%ld\n", u.release, sysconf(_SC_NPROCESSORS_ONLN));
	report_line("memory", "/proc/meminfo", "MemTotal:");
	report_line("clock", "/sys/devices/system/clocksource/clocksource0/current_clocksource",
		    "");
	report_line("loader", "/proc/sys/kernel/bootloader_type", "");
	report_line("console", "/sys/class/tty/console/active", "");
	for (int i = 1; i < argc; i++)
		printf("REPORT argument=%s\n", argv[i]);
}

static void ask(void)
{
	char line[256];
	printf("REPORT ask\n");
	while (fgets(line, sizeof(line), stdin)) {
		printf("REPORT typed=%s", line);
		if (strncmp(line, "end", 3) == 0)
			break;
	}
}

int main(int argc, char **argv)
{
	set_up();
	report(argc, argv);
	if (word("ask"))
		ask();
	const char *flood = word("flood");
	for (int i = 0; flood && i < atoi(flood); i++)
		printf("line %06d of a flood of text that must all arrive\n", i);
	if (word("wait")) {
		printf("REPORT started\n");
		pause();
	}
	tcdrain(STDOUT_FILENO);
	if (word("crash"))
		return 1;
	reboot(RB_AUTOBOOT);
	return 2;
}
