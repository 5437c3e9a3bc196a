// SPDX-License-Identifier: Apache-2.0
// term.c - the user's terminal: raw while a command in the guest has one, and given back as it was
#include "cli/term.h"

#include "base/checked.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* What the handlers below put back; they may come at any point. */
static struct termios guard_saved;
static volatile sig_atomic_t guard_fd = -1;

bool term_foreground(int fd)
{
	/* A terminal that is not our controlling one has no background. */
	pid_t foreground = tcgetpgrp(fd);
	return foreground <= 0 || foreground == getpgrp();
}

static void guard_restore(void)
{
	int fd = guard_fd;
	guard_fd = -1;
	/* In the background the terminal is somebody else's, who has set it for himself. */
	if (fd >= 0 && term_foreground(fd))
		tcsetattr(fd, TCSANOW, &guard_saved);
}

/* SA_RESETHAND: the second one kills. */
static void on_fatal(int number)
{
	guard_restore();
	raise(number);
}

/* Signals that kill a process and that nobody here waits for by signalfd. */
static void guard_signals(void)
{
	static const int fatal[] = {SIGSEGV, SIGBUS,  SIGFPE,	 SIGILL,  SIGABRT, SIGSYS, SIGTRAP,
				    SIGALRM, SIGXCPU, SIGVTALRM, SIGPROF, SIGPIPE, SIGIO,  SIGPWR,
				    SIGINT,  SIGTERM, SIGHUP,	 SIGQUIT, SIGUSR1, SIGUSR2};
	for (size_t i = 0; i < ARRAY_SIZE(fatal); i++) {
		struct sigaction sa;
		if (sigaction(fatal[i], NULL, &sa) < 0 || sa.sa_handler != SIG_DFL)
			continue;
		memset(&sa, 0, sizeof(sa));
		sa.sa_handler = on_fatal;
		sa.sa_flags = SA_RESETHAND | SA_NODEFER;
		sigaction(fatal[i], &sa, NULL);
	}
}

int term_open(struct term *t, int fd, struct err *e)
{
	static bool guarded;
	*t = TERM_NONE;
	if (tcgetattr(fd, &t->saved) < 0)
		return err_set(e, ENOTTY,
			       "a terminal was asked for (-t), but standard input is none");
	t->fd = fd;
	guard_saved = t->saved;
	if (!guarded) {
		guarded = true;
		guard_signals();
		atexit(guard_restore);
	}
	return 0;
}

void term_want(struct term *t)
{
	t->wanted = t->fd >= 0;
}

bool term_update(struct term *t)
{
	if (!t->wanted || t->raw || !term_foreground(t->fd))
		return false;
	struct termios raw = t->saved;
	cfmakeraw(&raw);
	guard_fd = t->fd;
	/* At once: an output that is held back by Ctrl-S must not be waited for. */
	if (tcsetattr(t->fd, TCSANOW, &raw) < 0)
		return false;
	t->raw = true;
	return true;
}

void term_resumed(struct term *t)
{
	t->raw = false;
	term_update(t);
}

void term_pause(struct term *t)
{
	if (t->raw)
		guard_restore();
	t->raw = false;
}

void term_restore(struct term *t)
{
	term_pause(t);
	t->wanted = false;
}

bool term_size(const struct term *t, uint16_t *rows, uint16_t *columns)
{
	struct winsize w;
	if (t->fd < 0 || ioctl(t->fd, TIOCGWINSZ, &w) < 0 || w.ws_row == 0 || w.ws_col == 0)
		return false;
	*rows = w.ws_row;
	*columns = w.ws_col;
	return true;
}
