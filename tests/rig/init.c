// SPDX-License-Identifier: Apache-2.0
// init.c - PID 1 of the rig: sets up, proves that KVM works, runs one command, resets
//
// Theory of operation: three ports of one virtio-serial device lead to tests/rig/run. On "ctl"
// the job arrives; then come back the line "ready", and after the answer "go" and the command's
// end "exit N" or "signal N", or "failed" with a reason before that. The command's outputs are
// pipes (or one terminal) whose bytes are carried to the other two ports: a port can be opened
// only once, and not by everybody, as programs expect of /dev/stdout. What the command leaves
// running ends with the machine.
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PORT_LIMIT_MS 20000
#define JOB_MAX (4u << 20)

enum { IN, CTL, OUT, ERR, SIG, N_POLL };

static int ctl = -1;

static noreturn void reset(void)
{
	reboot(RB_AUTOBOOT);
	for (;;)
		pause();
}

noreturn void die(const char *fmt, ...)
{
	va_list ap;

	dprintf(2, "rig: ");
	va_start(ap, fmt);
	vdprintf(2, fmt, ap);
	va_end(ap);
	dprintf(2, "\n");
	if (ctl >= 0)
		dprintf(ctl, "failed\n");
	reset();
}

/* The kernel makes the ports' nodes some time after PID 1 has started. */
static int open_port(const char *path, int flags)
{
	const struct timespec step = {.tv_nsec = 2000000};

	for (int i = 0; i < PORT_LIMIT_MS / 2; i++) {
		const int fd = open(path, flags | O_CLOEXEC);

		if (fd >= 0)
			return fd;
		if (errno != ENOENT)
			break;
		nanosleep(&step, NULL);
	}
	die("cannot open %s: %m", path);
}

static void write_all(int fd, const char *buf, size_t n)
{
	while (n) {
		const ssize_t done = write(fd, buf, n);

		if (done < 0 && errno != EINTR)
			die("cannot write: %m");
		if (done > 0) {
			buf += done;
			n -= (size_t)done;
		}
	}
}

static void read_all(int fd, void *buf, size_t n)
{
	char *p = buf;

	while (n) {
		const ssize_t done = read(fd, p, n);

		if (done == 0 || (done < 0 && errno != EINTR))
			die("the job did not arrive: %m");
		if (done > 0) {
			p += done;
			n -= (size_t)done;
		}
	}
}

static void list_add(struct list *l, char *text)
{
	l->at = realloc(l->at, (l->n + 2) * sizeof(*l->at));
	if (!l->at)
		die("out of memory");
	l->at[l->n++] = text;
	l->at[l->n] = NULL;
}

static void job_parse(struct job *j, char *p, const char *end)
{
	for (; p < end; p += strlen(p) + 1) {
		char *text = p + 1;

		switch (*p) {
		case 'a': list_add(&j->args, text); break;
		case 'c': j->cwd = text; break;
		case 'e': list_add(&j->env, text); break;
		case 'g': j->kvm_gid = text; break;
		case 'k': list_add(&j->keep, text); break;
		case 'm': j->kvm_mode = text; break;
		case 'o': list_add(&j->out, text); break;
		case 's': list_add(&j->scratch, text); break;
		case 't': j->tty = text; break;
		default: die("the job has a record '%c'", *p);
		}
	}
}

/* The job's text: its length, 32 bits, and the records. It stays allocated. */
static void job_read(struct job *j)
{
	uint32_t size;

	read_all(ctl, &size, sizeof(size));
	if (size == 0 || size > JOB_MAX)
		die("the job has %u bytes", size);

	char *text = malloc(size);

	if (!text)
		die("out of memory");
	read_all(ctl, text, size);
	if (text[size - 1] != '\0')
		die("the job has no end");
	job_parse(j, text, text + size);
	if (!j->args.n || !j->cwd || !j->kvm_mode || !j->kvm_gid)
		die("the job lacks something");
}

static void set_size(int tty, const char *text)
{
	struct winsize w = {0};

	if (sscanf(text, "%hu %hu", &w.ws_row, &w.ws_col) == 2)
		ioctl(tty, TIOCSWINSZ, &w);
}

/* The command's process. in, out and err become its standard descriptors. */
static noreturn void child(const struct job *j, int in, int out, int err)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	if (j->tty)
		ioctl(in, TIOCSCTTY, 0);
	if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0)
		_exit(125);
	if (chdir(j->cwd) < 0) {
		dprintf(2, "rig: cannot enter %s: %m\n", j->cwd);
		_exit(125);
	}
	environ = j->env.at;
	execvp(j->args.at[0], j->args.at);
	const int status = errno == ENOENT ? 127 : 126;
	dprintf(2, "rig: cannot run %s: %m\n", j->args.at[0]);
	_exit(status);
}

static int new_terminal(int *master)
{
	char name[32];

	*master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (*master < 0 || grantpt(*master) < 0 || unlockpt(*master) < 0 ||
	    ptsname_r(*master, name, sizeof(name)) != 0)
		die("no terminal: %m");

	const int slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);

	if (slave < 0)
		die("cannot open %s: %m", name);
	return slave;
}

/* Starts the command; p gets the ends to read from. */
static pid_t start(const struct job *j, struct pollfd *p)
{
	int in, out[2], err[2];

	if (j->tty) {
		in = out[1] = err[1] = new_terminal(&p[OUT].fd);
		set_size(p[OUT].fd, j->tty);
	} else {
		in = open("/dev/null", O_RDWR | O_CLOEXEC);
		if (in < 0 || pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0)
			die("no pipes: %m");
		p[OUT].fd = out[0];
		p[ERR].fd = err[0];
	}

	const pid_t pid = fork();

	if (pid < 0)
		die("cannot fork: %m");
	if (pid == 0)
		child(j, in, out[1], err[1]);
	close(in);
	if (!j->tty) {
		close(out[1]);
		close(err[1]);
	}
	return pid;
}

/* Carries one read's bytes; whether there may be more. */
static int carry(int from, int to)
{
	static char buf[1 << 16];
	const ssize_t n = read(from, buf, sizeof(buf));

	if (n > 0)
		write_all(to, buf, (size_t)n);
	return n > 0 || (n < 0 && errno == EINTR);
}

/* What was written before the command's end, whoever still holds the other end. */
static void drain(int from, int to)
{
	if (from < 0)
		return;
	fcntl(from, F_SETFL, O_NONBLOCK);
	while (carry(from, to))
		;
}

/* Reaps whatever has ended; whether the command is among it. */
static int reap(pid_t command, int *status)
{
	int ended = 0, s;
	pid_t pid;

	while ((pid = waitpid(-1, &s, WNOHANG)) > 0) {
		if (pid == command) {
			*status = s;
			ended = 1;
		}
	}
	return ended;
}

/* A line from tests/rig/run: "size ROWS COLUMNS". */
static void control(int tty)
{
	char line[64];
	const ssize_t n = read(ctl, line, sizeof(line) - 1);

	if (n <= 0)
		reset();
	line[n] = '\0';
	if (tty >= 0 && strncmp(line, "size ", 5) == 0)
		set_size(tty, line + 5);
}

static int serve(const struct job *j, const int *port)
{
	struct pollfd p[N_POLL] = {
		[IN] = {j->tty ? port[OUT] : -1, POLLIN, 0},
		[CTL] = {ctl, POLLIN, 0},
		[OUT] = {-1, POLLIN, 0},
		[ERR] = {-1, POLLIN, 0},
		[SIG] = {-1, POLLIN, 0},
	};
	struct signalfd_siginfo info;
	sigset_t child_ended;
	int status = 0;

	sigemptyset(&child_ended);
	sigaddset(&child_ended, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child_ended, NULL);
	p[SIG].fd = signalfd(-1, &child_ended, SFD_CLOEXEC);

	const pid_t command = start(j, p);

	for (;;) {
		if (poll(p, N_POLL, -1) < 0)
			continue;
		if (p[CTL].revents)
			control(j->tty ? p[OUT].fd : -1);
		if (p[IN].revents && !carry(p[IN].fd, p[OUT].fd))
			p[IN].fd = -1;
		/* One read each: neither stream waits for the other's end. */
		for (int i = OUT; i <= ERR; i++)
			if (p[i].revents && !carry(p[i].fd, port[i]))
				p[i].fd = -1;
		if (p[SIG].revents && read(p[SIG].fd, &info, sizeof(info)) > 0 &&
		    reap(command, &status))
			break;
	}
	drain(p[OUT].fd, port[OUT]);
	drain(p[ERR].fd, port[ERR]);
	return status;
}

int main(void)
{
	struct job j = {0};
	int port[N_POLL];
	char go[3];

	if (getpid() != 1)
		return 125;
	signal(SIGPIPE, SIG_IGN);
	setup_early();
	ctl = open_port("/dev/vport0p1", O_RDWR);
	port[OUT] = open_port("/dev/vport0p2", O_RDWR);
	port[ERR] = open_port("/dev/vport0p3", O_RDWR);
	job_read(&j);
	setup_rest(&j);
	if (!smoke())
		die("no usable KVM");
	dprintf(ctl, "ready\n");
	read_all(ctl, go, sizeof(go));

	const int status = serve(&j, port);

	if (WIFSIGNALED(status))
		dprintf(ctl, "signal %d\n", WTERMSIG(status));
	else
		dprintf(ctl, "exit %d\n", WEXITSTATUS(status));
	sync();
	reset();
}
