// SPDX-License-Identifier: Apache-2.0
// cmd_start.c - `mayfly start`: a machine that stays
//
// Forks the keeper and waits for its word over two pipes: one for text, which is shown, one for
// "ready NAME" or "failed STATUS". If the caller ends before that, the keeper ends its machine.
#include "cli/cmd_start.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/log.h"
#include "cli/config.h"
#include "cli/keep.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define WORD_MAX 96
/* Text that was said before the word is on its way already. */
#define TEXT_MS 1000
#define KEEPER_WORD_FD 3

struct start {
	int text, word; /* our ends */
	char line[WORD_MAX];
	size_t len;
};

/* In the keeper: nothing of the caller's stays open, no terminal can reach it. */
static int become_keeper(int text, int word)
{
	sigset_t none;
	sigemptyset(&none);
	if (setsid() < 0)
		return -errno;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	/* Both are above standard error: it was open, or is now. */
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ||
	    dup2(text, STDERR_FILENO) < 0)
		return -errno;
	if (word != KEEPER_WORD_FD && dup2(word, KEEPER_WORD_FD) < 0)
		return -errno;
	if (syscall(SYS_close_range, KEEPER_WORD_FD + 1, ~0u, 0) < 0 ||
	    io_set_cloexec(KEEPER_WORD_FD, 1) < 0)
		return -errno;
	for (int i = 1; i < NSIG; i++)
		signal(i, SIG_DFL);
	sigprocmask(SIG_SETMASK, &none, NULL);
	return 0;
}

static void show_text(struct start *s)
{
	char buf[4096];
	ssize_t n = read(s->text, buf, sizeof(buf));
	if (n > 0)
		io_write_wait(STDERR_FILENO, buf, (size_t)n);
	else if (n == 0 || errno != EINTR)
		close_fd(&s->text);
}

static void read_word(struct start *s)
{
	ssize_t n = read(s->word, s->line + s->len, sizeof(s->line) - 1 - s->len);
	if (n > 0)
		s->len += (size_t)n;
	else if (n == 0 || errno != EINTR)
		close_fd(&s->word);
}

/* Until the keeper has said its word, or is gone; then what it said before that. */
static void listen_to_keeper(struct start *s)
{
	while (s->word >= 0 || s->text >= 0) {
		struct pollfd p[] = {{.fd = s->text, .events = POLLIN},
				     {.fd = s->word, .events = POLLIN}};
		int n = poll(p, 2, s->word >= 0 ? -1 : TEXT_MS);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		if (p[0].revents)
			show_text(s);
		if (p[1].revents)
			read_word(s);
	}
}

static int report(struct start *s)
{
	static const char ready[] = "ready ";
	static const char failed[] = "failed ";
	listen_to_keeper(s);
	close_fd(&s->text);
	close_fd(&s->word);
	s->line[s->len] = '\0';
	/* Its newline is the name's, too. */
	if (strncmp(s->line, ready, strlen(ready)) == 0) {
		fputs(s->line + strlen(ready), stdout);
		return 0;
	}
	if (strncmp(s->line, failed, strlen(failed)) == 0) {
		long status = strtol(s->line + strlen(failed), NULL, 10);
		return status > 0 && status < 256 ? (int)status : EXIT_MAYFLY;
	}
	log_error("the machine's keeper was killed");
	return EXIT_MAYFLY;
}

static int start(struct vm_config *c, uint64_t start_ns)
{
	int text[2];
	int word[2];
	if (pipe2(text, O_CLOEXEC) < 0 || pipe2(word, O_CLOEXEC) < 0) {
		log_error("can't make a pipe: %s", strerror(errno));
		return EXIT_MAYFLY;
	}
	pid_t pid = fork();
	if (pid == 0) {
		int ret = become_keeper(text[1], word[1]);
		if (ret == 0)
			return keep_main(c, KEEPER_WORD_FD, start_ns);
		log_error("can't become the machine's keeper: %s", strerror(-ret));
		return EXIT_MAYFLY;
	}
	close(text[1]);
	close(word[1]);
	struct start s = {.text = text[0], .word = word[0]};
	if (pid > 0)
		return report(&s);
	log_error("can't start the machine's keeper: %s", strerror(errno));
	close(s.text);
	close(s.word);
	return EXIT_MAYFLY;
}

int cmd_start(int argc, char **argv, uint64_t start_ns)
{
	struct vm_config c;
	struct err e = {0};
	int status = 0;
	config_defaults(&c);
	if (config_parse_start(&c, argc, argv, &e) < 0) {
		log_error("%s (see 'mayfly start --help')", e.text);
		status = EXIT_MAYFLY;
	} else if (c.help) {
		config_help_start();
	} else {
		log_init("mayfly", c.verbose ? LOG_INFO : LOG_WARN);
		status = start(&c, start_ns);
	}
	config_free(&c);
	return status;
}
