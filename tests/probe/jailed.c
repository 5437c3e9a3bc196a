// SPDX-License-Identifier: Apache-2.0
// jailed.c - what the scripts run in a jail: "jailed WHAT [ARGUMENT]" does one thing and says how
//
// Compiled statically by the scripts that use it: in an empty root there is nothing to load.
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int try_open(const char *path, int flags)
{
	char buf[256];
	int fd = open(path, flags);
	if (fd < 0) {
		puts(strerrorname_np(errno));
		return 0;
	}
	ssize_t n = flags == O_RDONLY ? read(fd, buf, sizeof(buf)) : 0;
	printf("open: %.*s", n > 0 ? (int)n : 0, buf);
	return 0;
}

static int list_fds(void)
{
	struct stat st;
	for (int fd = 0; fd < 4096; fd++)
		if (fstat(fd, &st) == 0)
			printf("%d ", fd);
	puts("");
	return 0;
}

static int fork_many(int n)
{
	int made = 0;
	for (int i = 0; i < n; i++) {
		pid_t p = fork();
		if (p == 0) {
			pause();
			_exit(0);
		}
		made += p > 0;
	}
	printf("%d\n", made);
	return 0;
}

static int use_memory(size_t mib)
{
	char *p = mmap(NULL, mib << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return 2;
	for (size_t i = 0; i < mib << 20; i += 4096)
		p[i] = 1;
	puts("used");
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	const char *arg = argc > 2 ? argv[2] : "";
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (strcmp(what, "exit") == 0)
		return atoi(arg);
	if (strcmp(what, "fault") == 0)
		*(volatile int *)(uintptr_t)8 = 1;
	if (strcmp(what, "read") == 0)
		return try_open(arg, O_RDONLY);
	if (strcmp(what, "write") == 0)
		return try_open(arg, O_WRONLY);
	if (strcmp(what, "fds") == 0)
		return list_fds();
	if (strcmp(what, "forks") == 0)
		return fork_many(atoi(arg));
	if (strcmp(what, "memory") == 0)
		return use_memory((size_t)atol(arg));
	if (strcmp(what, "socket") == 0)
		return socket(AF_INET, SOCK_STREAM, 0) < 0;
	if (strcmp(what, "env") == 0)
		for (char **e = environ; *e; e++)
			puts(*e);
	if (strcmp(what, "ids") == 0)
		printf("%u %u %d %d\n", getuid(), getgid(), getgroups(0, NULL), getpid());
	if (strcmp(what, "fd") == 0) {
		char buf[256];
		ssize_t n = read(atoi(arg), buf, sizeof(buf));
		printf("%.*s", n > 0 ? (int)n : 0, buf);
	}
	if (strcmp(what, "wait") == 0) {
		puts("started");
		for (;;)
			pause();
	}
	return 0;
}
