// SPDX-License-Identifier: Apache-2.0
// client_signals.c - the signals that run, exec and attach live with, and Ctrl-Z
#include "cli/client_signals.h"

#include "base/checked.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/signalfd.h>

static bool ignored(int number)
{
	struct sigaction sa;
	return sigaction(number, NULL, &sa) == 0 && sa.sa_handler == SIG_IGN;
}

int client_signals_open(void)
{
	static const int numbers[] = {SIGINT,  SIGTERM,	 SIGQUIT, SIGUSR1,
				      SIGUSR2, SIGWINCH, SIGCONT};
	/* nohup; a shell without job control. */
	static const int unless_ignored[] = {SIGHUP, SIGTSTP};
	sigset_t set;
	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		sigaddset(&set, numbers[i]);
	for (size_t i = 0; i < ARRAY_SIZE(unless_ignored); i++)
		if (!ignored(unless_ignored[i]))
			sigaddset(&set, unless_ignored[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGTTIN, SIG_IGN);
	signal(SIGTTOU, SIG_IGN);
	/* A full file is an error of write(2), which is told. */
	signal(SIGXFSZ, SIG_IGN);
	int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

void client_signals_stop(void)
{
	sigset_t set;
	sigset_t before;
	sigemptyset(&set);
	sigaddset(&set, SIGTSTP);
	/* Not SIGSTOP: where nobody could continue us, the kernel ignores SIGTSTP. */
	kill(getpid(), SIGTSTP);
	sigprocmask(SIG_UNBLOCK, &set, &before);
	sigprocmask(SIG_SETMASK, &before, NULL);
}
