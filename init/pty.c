// SPDX-License-Identifier: Apache-2.0
// pty.c - the terminal of a command
#include "pty.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

/* Of the directory that is held; -1: by its name. */
static int pts_fd = -1;

void pty_init(void)
{
	close_fd(&pts_fd);
	pts_fd = open("/dev/pts", O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static int open_master(void)
{
	struct open_how how = {
		.flags = O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK,
		.resolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS,
	};
	if (pts_fd >= 0)
		return (int)syscall(SYS_openat2, pts_fd, "ptmx", &how, sizeof(how));
	return open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
}

bool pty_size_ok(const Mayfly__WindowSize *size)
{
	return !size || (size->rows <= UINT16_MAX && size->columns <= UINT16_MAX);
}

void pty_resize(int master, const Mayfly__WindowSize *size)
{
	struct winsize w = {.ws_row = (uint16_t)size->rows, .ws_col = (uint16_t)size->columns};
	if (master >= 0)
		ioctl(master, TIOCSWINSZ, &w);
}

int pty_open(uint32_t uid, const Mayfly__WindowSize *size, int *master, int *slave, struct err *e)
{
	int unlock = 0;
	AUTO_CLOSE int m = open_master();
	if (m < 0 || ioctl(m, TIOCSPTLCK, &unlock) < 0)
		return err_errno(e, errno, "can't make a terminal");
	/* By the master, not by a name: the guest may have mounted something there. */
	AUTO_CLOSE int s = ioctl(m, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (s < 0 || fchown(s, uid, (gid_t)-1) < 0 || fchmod(s, 0620) < 0)
		return err_errno(e, errno, "can't give user %u a terminal", uid);
	if (size)
		pty_resize(m, size);
	*master = steal_fd(&m);
	*slave = steal_fd(&s);
	return 0;
}

void pty_signal(int master, pid_t leader, int number)
{
	pid_t group = master >= 0 ? tcgetpgrp(master) : -1;
	if (group > 1 && kill(-group, number) == 0)
		return;
	if (leader > 0 && kill(-leader, number) < 0)
		kill(leader, number);
}

size_t pty_eof(int master, bool line_begun, uint8_t out[PTY_EOF_MAX])
{
	struct termios t;
	if (master < 0 || tcgetattr(master, &t) < 0)
		return 0;
	out[0] = out[1] = t.c_cc[VEOF];
	/* The first one only ends the line that was begun. */
	return line_begun && (t.c_lflag & ICANON) ? 2 : 1;
}
