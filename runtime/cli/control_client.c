// SPDX-License-Identifier: Apache-2.0
// control_client.c - asks the keeper of a machine that lives
#include "cli/control_client.h"

#include "base/cleanup.h"
#include "base/fdpass.h"
#include "statedir.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define NAME_MAX_LEN 64
#define REQUEST_MAX (16u << 10)
#define REPLY_MAX (64u << 10)
/* A keeper answers at once; what takes longer was not for this function. */
#define REPLY_MS 20000

static bool name_ok(const char *s)
{
	size_t n = strlen(s);
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)s[i]) && (i == 0 || !strchr("._-", s[i])))
			return false;
	return n >= 1 && n <= NAME_MAX_LEN;
}

int control_open(const char *machine, struct err *e)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	char path[NAME_MAX_LEN + 16];
	if (!name_ok(machine))
		return err_set(e, EINVAL, "'%.80s' is not the name of a machine", machine);
	AUTO_CLOSE int base = statedir_base(e);
	if (base < 0)
		return base;
	snprintf(path, sizeof(path), ".machines/%s", machine);
	AUTO_CLOSE int dir = openat(base, path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0 && errno == ENOENT)
		return err_set(e, ENOENT, "there is no machine '%s' (see mayfly ps)", machine);
	AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (dir < 0 || fd < 0)
		return err_errno(e, errno, "machine '%s'", machine);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d/control.sock", dir);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return err_set(e, ESRCH, "machine '%s' does not run", machine);
	return steal_fd(&fd);
}

static int receive(int sock, Mayfly__ControlReply **reply, int *fds, size_t max, size_t *nfds,
		   struct err *e)
{
	AUTO_FREE uint8_t *buf = malloc(REPLY_MAX);
	struct pollfd p = {.fd = sock, .events = POLLIN};
	struct iovec iov = {.iov_base = buf, .iov_len = REPLY_MAX};
	if (!buf)
		return err_errno(e, ENOMEM, "the keeper's answer");
	if (poll(&p, 1, REPLY_MS) <= 0)
		return err_set(e, ETIMEDOUT, "the machine's keeper does not answer");
	ssize_t n = fdpass_recv(sock, &iov, 1, fds, max, nfds, MSG_DONTWAIT);
	if (n <= 0)
		return err_set(e, ECONNRESET, "the machine's keeper has ended");
	*reply = mayfly__control_reply__unpack(NULL, (size_t)n, buf);
	if (!*reply)
		return err_set(e, EPROTO, "the machine's keeper answered something else");
	if ((*reply)->code == 0)
		return 0;
	int code = (*reply)->code > 0 ? (*reply)->code : EPROTO;
	err_set(e, code, "%.300s", (*reply)->text);
	mayfly__control_reply__free_unpacked(*reply, NULL);
	*reply = NULL;
	return -code;
}

int control_ask(int sock, const Mayfly__ControlRequest *q, Mayfly__ControlReply **reply, int *fds,
		size_t max, size_t *nfds, struct err *e)
{
	size_t len = mayfly__control_request__get_packed_size(q);
	*reply = NULL;
	*nfds = 0;
	if (len > REQUEST_MAX)
		return err_set(e, EMSGSIZE, "a request of %zu bytes for the machine's keeper", len);
	AUTO_FREE uint8_t *buf = malloc(REQUEST_MAX);
	if (!buf)
		return err_errno(e, ENOMEM, "a request");
	mayfly__control_request__pack(q, buf);
	struct iovec iov = {.iov_base = buf, .iov_len = len};
	ssize_t n = fdpass_send(sock, &iov, 1, NULL, 0, MSG_DONTWAIT);
	if (n < 0)
		return err_errno(e, (int)-n, "can't ask the machine's keeper");
	int ret = receive(sock, reply, fds, max, nfds, e);
	for (size_t i = 0; ret < 0 && i < *nfds; i++)
		close_fd(&fds[i]);
	return ret;
}
