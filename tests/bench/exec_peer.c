// SPDX-License-Identifier: Apache-2.0
// exec_peer.c - a plain fork+exec server on a Unix socket, and its client: what an exec costs
// without a machine
//
// exec_peer serve SOCKET | exec_peer run SOCKET PROGRAM. A request is the program's name; its
// output comes back, then one byte of exit status.
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int unix_socket(const char *path, struct sockaddr_un *at)
{
	*at = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(at->sun_path, sizeof(at->sun_path), "%s", path);
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static void serve_one(int conn)
{
	char name[256];
	ssize_t n = read(conn, name, sizeof(name) - 1);
	if (n <= 0)
		_exit(1);
	name[n] = '\0';
	pid_t pid = fork();
	if (pid == 0) {
		dup2(conn, 1);
		execlp(name, name, (char *)NULL);
		_exit(127);
	}
	int status = 0;
	waitpid(pid, &status, 0);
	char byte = (char)(WIFEXITED(status) ? WEXITSTATUS(status) : 255);
	_exit(write(conn, &byte, 1) != 1);
}

static int serve(const char *path)
{
	struct sockaddr_un at;
	int fd = unix_socket(path, &at);
	signal(SIGCHLD, SIG_IGN);
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, 64) < 0)
		return 1;
	for (;;) {
		int conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
		if (conn < 0 && errno != EINTR)
			return 1;
		if (conn < 0)
			continue;
		if (fork() == 0) {
			signal(SIGCHLD, SIG_DFL);
			serve_one(conn);
		}
		close(conn);
	}
}

static int run(const char *path, const char *program)
{
	struct sockaddr_un at;
	char buf[4096];
	char status = 1;
	ssize_t n;
	int fd = unix_socket(path, &at);
	if (fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0 ||
	    write(fd, program, strlen(program)) < 0)
		return 125;
	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		status = buf[n - 1];
		if (n > 1 && write(1, buf, (size_t)n - 1) < 0)
			return 125;
	}
	return status;
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "serve") == 0)
		return serve(argv[2]);
	if (argc == 4 && strcmp(argv[1], "run") == 0)
		return run(argv[2], argv[3]);
	fprintf(stderr, "usage: exec_peer serve SOCKET | exec_peer run SOCKET PROGRAM\n");
	return 2;
}
