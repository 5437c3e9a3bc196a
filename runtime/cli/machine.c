// SPDX-License-Identifier: Apache-2.0
// machine.c - one machine as mayfly sees it: its supervisor, its sockets, its end
#include "cli/machine.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "idrange.h"
#include "statedir.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

/* A killed process is gone at once, unless the host's kernel holds it in a file operation. */
#define GONE_MS 5000
#define CLEAN_MS 5000

static const char *const names[] = {"qemu", "vmm", "fs", "jailer"};
_Static_assert(sizeof(names) / sizeof(names[0]) == MACHINE_LOGS, "a name for each process");

const char *machine_process_name(unsigned i)
{
	return i < MACHINE_LOGS ? names[i] : "?";
}

int machine_connect(const struct machine *m, struct err *e)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	struct stat st;
	/* The vmm works in this directory: it may have put a link there, or never accept. */
	AUTO_CLOSE int at = openat(m->dir_fd, "vsock.sock", O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (at < 0 || fstat(at, &st) < 0)
		return err_errno(e, errno, "can't find the machine's socket");
	if (!S_ISSOCK(st.st_mode))
		return err_set(e, ENOTSOCK, "the machine's socket is not a socket");
	AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	snprintf(sun.sun_path, sizeof(sun.sun_path), "/proc/self/fd/%d", at);
	if (fd < 0 || connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0)
		return err_errno(e, errno, "can't connect to the machine");
	return steal_fd(&fd);
}

void machine_kill(struct machine *m)
{
	if (m->owner >= 0)
		shutdown(m->owner, SHUT_WR);
}

static bool wait_pidfd(int fd, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int n;
	do {
		n = poll(&p, 1, ms);
	} while (n < 0 && errno == EINTR);
	return n > 0;
}

static void kill_and_wait(int pidfd, const char *name)
{
	if (pidfd < 0)
		return;
	syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
	if (!wait_pidfd(pidfd, GONE_MS))
		log_error("the machine's %s process does not end", name);
}

void machine_finish(struct machine *m)
{
	int status = 0;
	machine_kill(m);
	if (m->jailer > 0) {
		if (!wait_pidfd(m->jailer_pidfd, CLEAN_MS)) {
			log_error("the machine's supervisor does not end, killing it");
			kill(m->jailer, SIGKILL);
		}
		waitpid(m->jailer, &status, 0);
	}
	/* A supervisor that was killed left its processes to the kernel and us. */
	for (unsigned i = 0; i < MACHINE_PROCESSES; i++) {
		kill_and_wait(m->pidfd[i], names[i]);
		close_fd(&m->pidfd[i]);
	}
	struct statedir d = {.base_fd = m->base_fd, .dir_fd = m->dir_fd, .lock_fd = m->lock_fd};
	if (m->base_fd >= 0 && m->id[0]) {
		snprintf(d.id, sizeof(d.id), "%s", m->id);
		if (d.dir_fd < 0)
			d.dir_fd = statedir_open(m->base_fd, m->id);
		statedir_remove(&d);
	}
	/* Nobody runs under the machine's id any more. */
	close_fd(&m->id_fd);
	if (WIFSIGNALED(status) && m->base_fd >= 0)
		idrange_sweep(m->base_fd, NULL);
	for (unsigned i = 0; i < MACHINE_LOGS; i++)
		close_fd(&m->log[i]);
	close_fd(&m->jailer_pidfd);
	close_fd(&m->owner);
	close_fd(&m->control);
	close_fd(&m->report);
	close_fd(&m->console);
	close_fd(&m->base_fd);
}
