// SPDX-License-Identifier: Apache-2.0
// vsock_try.c - connects to CID:PORT and says what came of it, and what the peer answers
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

/* vsock_try CID PORT [SOURCE-PORT]: prints "connected", what is read within 1 s, or the error */
int main(int argc, char **argv)
{
	struct sockaddr_vm to = {.svm_family = AF_VSOCK};
	struct timeval tv = {.tv_sec = 1};
	char buf[256];
	if (argc < 3)
		return 2;
	to.svm_cid = (unsigned)strtoul(argv[1], NULL, 0);
	to.svm_port = (unsigned)strtoul(argv[2], NULL, 0);
	int fd = socket(AF_VSOCK, SOCK_STREAM, 0);
	if (fd < 0) {
		printf("socket: %s\n", strerror(errno));
		return 1;
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(fd, AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT, &tv, sizeof(tv));
	if (argc > 3) {
		struct sockaddr_vm from = {.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY};
		from.svm_port = (unsigned)strtoul(argv[3], NULL, 0);
		if (bind(fd, (struct sockaddr *)&from, sizeof(from)) < 0) {
			printf("bind: %s\n", strerror(errno));
			return 1;
		}
	}
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
		printf("connect: %s\n", strerror(errno));
		return 1;
	}
	/* A frame of garbage: whoever takes it seriously would answer or break. */
	memset(buf, 0, sizeof(buf));
	buf[0] = 4;
	ssize_t w = send(fd, buf, 8, MSG_NOSIGNAL);
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int n = poll(&p, 1, 1000);
	ssize_t r = n > 0 ? read(fd, buf, sizeof(buf)) : -2;
	printf("connected, sent %zd, read %zd%s%s\n", w, r, r == -1 ? ": " : "",
	       r == -1 ? strerror(errno) : "");
	return 0;
}
