// SPDX-License-Identifier: Apache-2.0
// fuzz_control.c - what callers ask the keeper of a machine, in every state of it
// links: runtime/cli/keep_control.c runtime/cli/keep_answer.c runtime/cli/keep_exec.c
//
// Input: the first byte is the machine's state; then datagrams, each behind two bytes: its length,
// and who sends it (one of four callers, or the agent, to whom a session's event is said). Whatever
// comes, each caller gets at most one answer for a request, and no descriptor piles up.
#include "cli/keep.h"

#include "base/cleanup.h"
#include "base/fdpass.h"
#include "base/io.h"
#include "base/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define CALLERS 4

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct run r;
static struct vm_config cfg;
static struct keep k;
static char dir[] = "/tmp/mayfly-fuzz-control-XXXXXX";
static int dir_fd, agent; /* the machine's directory, its listening socket */
static unsigned before;

static void must(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "fuzz_control: %s\n", what);
		abort();
	}
}

static void clean(void)
{
	char command[128];
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	must(system(command) == 0, "rm");
}

static int to_socket(const char *name, int type)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	snprintf(a.sun_path, sizeof(a.sun_path), "%s/%s", dir, name);
	if (strcmp(name, RECORD_SOCKET) == 0) {
		must(connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0, "connect");
	} else {
		must(bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0, "bind");
		must(listen(fd, 64) == 0, "listen");
	}
	return fd;
}

/* Open descriptors; the fuzzer itself opens pipes when it pleases. */
static unsigned ours(void)
{
	unsigned n = 0;
	for (int fd = 3; fd < 256; fd++) {
		struct stat st;
		n += fstat(fd, &st) == 0 && !S_ISFIFO(st.st_mode);
	}
	return n;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	log_init("fuzz", LOG_ERROR);
	must(mkdtemp(dir) != NULL, "mkdtemp");
	atexit(clean);
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	agent = to_socket("vsock.sock", SOCK_STREAM);
	must(dir_fd >= 0 && agent >= 0, "start");
	config_defaults(&cfg);
	before = ours();
	return 0;
}

static int on_connect(void *arg, struct err *e)
{
	(void)arg;
	return machine_connect(&r.machine, e);
}

static void on_running(void *arg, struct keep_exec *x)
{
	(void)arg;
	(void)x;
}

static void on_ended(void *arg, struct keep_exec *x)
{
	keep_answer_exec(arg, x);
}

static void on_forgotten(void *arg, struct keep_exec *x)
{
	keep_answer_forgotten(arg, x);
}

static void begin(uint8_t state)
{
	static const struct keep_execs_ops ops = {.connect = on_connect,
						  .running = on_running,
						  .ended = on_ended,
						  .forgotten = on_forgotten};
	struct err e = {0};
	memset(&r, 0, sizeof(r));
	memset(&k, 0, sizeof(k));
	r.cfg = &cfg;
	r.keep = &k;
	r.machine = MACHINE_NONE;
	r.machine.dir_fd = dir_fd;
	r.control_src.fd = r.control.fd = r.report.fd = r.owner.fd = r.console.fd = -1;
	r.results.src.fd = r.results.conn.fd = -1;
	r.in.done = r.out[0].done = r.out[1].done = true;
	run_command_init(&r);
	r.phase = RUN_KEPT;
	must(evloop_init(&r.loop) == 0, "loop");
	k.run = &r;
	k.record = RECORD_NONE;
	k.record.dir_fd = dir_fd;
	snprintf(k.record.name, sizeof(k.record.name), "m");
	k.machine = json_object();
	k.root_fd = -1;
	k.state = MAYFLY__MACHINE_STATE__BOOTING + state % 5;
	keep_execs_init(&k.execs, &r.loop, &ops, &k, &k.record, 1 << 30);
	keep_answer_open(&k);
	must(keep_control_open(&k.control, dir_fd, &e) == 0, "open");
}

static void turns(void)
{
	for (int i = 0; i < 200 && evloop_once(&r.loop, 0) > 0; i++)
		;
	/* Nobody is there: the connections are only closed. */
	int fd;
	while ((fd = accept(agent, NULL, NULL)) >= 0)
		close(fd);
}

static void hear(int fd, unsigned *answers)
{
	static uint8_t buf[256 << 10];
	int got[4] = {-1, -1, -1, -1};
	size_t n = 0;
	struct iovec iov = {.iov_base = buf, .iov_len = sizeof(buf)};
	ssize_t len;
	while ((len = fdpass_recv(fd, &iov, 1, got, 4, &n, MSG_DONTWAIT)) > 0) {
		Mayfly__ControlReply *m = mayfly__control_reply__unpack(NULL, (size_t)len, buf);
		must(m != NULL, "an answer that is none");
		must(n == 0 || m->code == 0, "descriptors beside a refusal");
		must(m->code == 0 || m->text[0], "a refusal without words");
		mayfly__control_reply__free_unpacked(m, NULL);
		for (size_t i = 0; i < n; i++)
			close_fd(&got[i]);
		(*answers)++;
	}
}

static void event(const uint8_t *data, size_t len)
{
	Mayfly__SessionEvent *ev = mayfly__session_event__unpack(NULL, len, data);
	if (!ev)
		return;
	keep_execs_event(&k.execs, ev);
	mayfly__session_event__free_unpacked(ev, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd[CALLERS];
	unsigned sent[CALLERS] = {0};
	unsigned answers[CALLERS] = {0};
	if (size < 1)
		return 0;
	begin(data[0]);
	for (int i = 0; i < CALLERS; i++)
		fd[i] = to_socket(RECORD_SOCKET, SOCK_SEQPACKET);
	turns();
	for (size_t at = 1; at + 2 <= size;) {
		size_t len = data[at];
		unsigned who = data[at + 1] % (CALLERS + 1);
		at += 2;
		len = len < size - at ? len : size - at;
		if (who == CALLERS)
			event(data + at, len);
		else if (send(fd[who], data + at, len, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
			sent[who]++;
		at += len;
		turns();
		keep_tick(&k, io_now_ns());
		for (int i = 0; i < CALLERS; i++)
			hear(fd[i], &answers[i]);
	}
	for (int i = 0; i < CALLERS; i++) {
		must(answers[i] <= sent[i], "more answers than requests");
		close(fd[i]);
	}
	turns();
	keep_control_close(&k.control);
	keep_execs_end(&k.execs);
	keep_execs_free(&k.execs);
	evloop_close(&r.loop);
	json_decref(k.machine);
	unlinkat(dir_fd, RECORD_SOCKET, 0);
	int conn;
	while ((conn = accept(agent, NULL, NULL)) >= 0)
		close(conn);
	must(ours() == before, "a descriptor was left");
	return 0;
}
