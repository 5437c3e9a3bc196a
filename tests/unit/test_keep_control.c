// SPDX-License-Identifier: Apache-2.0
// test_keep_control.c - the keeper's socket against clients that break its rules
// links: runtime/cli/keep_control.c runtime/cli/control_client.c
#include "cli/keep_control.h"

#include "base/cleanup.h"
#include "base/fdpass.h"
#include "cli/control_client.h"
#include "cli/record.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static struct {
	struct evloop loop;
	struct keep_control s;
	Mayfly__MachineState state;
	char dir[64];
	int dir_fd;
	unsigned asked;
	bool later; /* the answer is not given at once */
	struct keep_client *last;
	struct err e;
} t;

static Mayfly__MachineState on_state(void *arg)
{
	(void)arg;
	return t.state;
}

static void on_ask(void *arg, struct keep_client *c, const Mayfly__ControlRequest *q)
{
	(void)arg;
	(void)q;
	t.asked++;
	t.last = c;
	if (!t.later)
		keep_client_done(c);
}

static int setup(void **state)
{
	static const struct keep_control_ops ops = {.state = on_state, .ask = on_ask};
	(void)state;
	memset(&t, 0, sizeof(t));
	t.state = MAYFLY__MACHINE_STATE__READY;
	snprintf(t.dir, sizeof(t.dir), "/tmp/mayfly-test-control-XXXXXX");
	assert_non_null(mkdtemp(t.dir));
	t.dir_fd = open(t.dir, O_RDONLY | O_DIRECTORY);
	assert_int_equal(evloop_init(&t.loop), 0);
	keep_control_init(&t.s, &t.loop, &ops, NULL, "m");
	assert_int_equal(keep_control_open(&t.s, t.dir_fd, &t.e), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	keep_control_close(&t.s);
	keep_control_close(&t.s);
	evloop_close(&t.loop);
	unlinkat(t.dir_fd, RECORD_SOCKET, 0);
	close(t.dir_fd);
	rmdir(t.dir);
	return 0;
}

static void turn(void)
{
	for (int i = 0; i < 300 && evloop_once(&t.loop, 0) > 0; i++)
		;
}

static int client(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/" RECORD_SOCKET, t.dir_fd);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

static unsigned clients(void)
{
	unsigned n = 0;
	for (size_t i = 0; i < KEEP_CONTROL_CLIENTS; i++)
		n += t.s.client[i].src.fd >= 0;
	return n;
}

static void ask(int fd, Mayfly__ControlRequest__BodyCase what, uint32_t version)
{
	Mayfly__ControlRequest q = MAYFLY__CONTROL_REQUEST__INIT;
	Mayfly__StatusAsk status = MAYFLY__STATUS_ASK__INIT;
	Mayfly__StopAsk stop = MAYFLY__STOP_ASK__INIT;
	Mayfly__PauseAsk pause = MAYFLY__PAUSE_ASK__INIT;
	Mayfly__ResumeAsk resume = MAYFLY__RESUME_ASK__INIT;
	Mayfly__WaitAsk wait = MAYFLY__WAIT_ASK__INIT;
	Mayfly__AgentAsk agent = MAYFLY__AGENT_ASK__INIT;
	Mayfly__ExecsAsk execs = MAYFLY__EXECS_ASK__INIT;
	Mayfly__StatsQuery stats = MAYFLY__STATS_QUERY__INIT;
	void *const body[] = {NULL, &status, &stop, &pause, &resume, &wait, &agent, &execs, &stats};
	q.version = version;
	q.body_case = what;
	q.status = what ? body[what - MAYFLY__CONTROL_REQUEST__BODY_STATUS + 1] : NULL;
	assert_int_equal(control_send(fd, &q, &t.e), 0);
	turn();
}

static int answer(int fd)
{
	Mayfly__ControlReply *m = NULL;
	size_t n = 0;
	int ret = control_receive(fd, 1000, &m, NULL, 0, &n, &t.e);
	if (m)
		mayfly__control_reply__free_unpacked(m, NULL);
	return ret;
}

static void test_states(void **state)
{
	/* booting, ready, paused, stopping, stopped; status to stats */
	static const int want[][8] = {
		{0, 0, EBUSY, EBUSY, 0, EBUSY, 0, EBUSY},
		{0, 0, 0, EBUSY, 0, 0, 0, 0},
		{0, 0, EBUSY, 0, 0, EBUSY, 0, 0},
		{0, 0, EBUSY, EBUSY, 0, EBUSY, 0, EBUSY},
		{0, ESRCH, ESRCH, ESRCH, 0, ESRCH, 0, ESRCH},
	};
	(void)state;
	AUTO_CLOSE int fd = client();
	for (unsigned s = 0; s < 5; s++)
		for (unsigned q = 0; q < 8; q++) {
			t.state = MAYFLY__MACHINE_STATE__BOOTING + s;
			t.asked = 0;
			ask(fd, MAYFLY__CONTROL_REQUEST__BODY_STATUS + q, CONTROL_VERSION);
			assert_int_equal(answer(fd), -want[s][q]);
			assert_int_equal(t.asked, want[s][q] == 0);
		}
	assert_int_equal(keep_control_legal(99, MAYFLY__MACHINE_STATE__READY), EPROTO);
	assert_int_equal(keep_control_legal(0, MAYFLY__MACHINE_STATE__READY), EPROTO);
}

/* A copy lasts as long as its client's connection. */
static void test_copying(void **state)
{
	(void)state;
	int fd = client();
	int other = client();
	assert_false(keep_control_copying(&t.s));
	ask(fd, MAYFLY__CONTROL_REQUEST__BODY_AGENT, CONTROL_VERSION);
	turn();
	t.last->copies = true;
	assert_true(keep_control_copying(&t.s));
	close(other);
	turn();
	assert_true(keep_control_copying(&t.s));
	close(fd);
	turn();
	assert_false(keep_control_copying(&t.s));
	assert_int_equal(clients(), 0);
	/* Whoever gets its place copies nothing. */
	fd = client();
	turn();
	assert_int_equal(clients(), 1);
	assert_false(keep_control_copying(&t.s));
	close(fd);
}

/* As many as can be attached to a command wait; there is room for those who end the machine. */
static void test_all_attached(void **state)
{
	int fd[PROTO_SESSIONS_MAX];
	(void)state;
	t.later = true;
	for (size_t i = 0; i < PROTO_SESSIONS_MAX; i++) {
		fd[i] = client();
		ask(fd[i], MAYFLY__CONTROL_REQUEST__BODY_WAIT, CONTROL_VERSION);
	}
	t.later = false;
	AUTO_CLOSE int more = client();
	ask(more, MAYFLY__CONTROL_REQUEST__BODY_STOP, CONTROL_VERSION);
	assert_int_equal(answer(more), 0);
	for (size_t i = 0; i < PROTO_SESSIONS_MAX; i++)
		close(fd[i]);
}

/* A keeper that takes nobody any more, and whose queue is full. */
static void test_hangs(void **state)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct record r = {.name = "m", .all_fd = -1, .dir_fd = t.dir_fd, .lock_fd = -1};
	int fd = 0;
	(void)state;
	unlinkat(t.dir_fd, RECORD_SOCKET, 0);
	AUTO_CLOSE int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/" RECORD_SOCKET, t.dir_fd);
	assert_int_equal(bind(listener, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(listener, 0), 0);
	AUTO_CLOSE int lock = openat(t.dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(flock(lock, LOCK_EX), 0);
	alarm(30);
	for (int i = 0; i < 4 && fd >= 0; i++)
		fd = control_open_record(&r, &t.e);
	alarm(0);
	unlinkat(t.dir_fd, "lock", 0);
	assert_int_equal(fd, -ETIMEDOUT);
	assert_non_null(strstr(t.e.text, "keeper of machine 'm' does not answer"));
}

static void test_version(void **state)
{
	(void)state;
	AUTO_CLOSE int fd = client();
	ask(fd, MAYFLY__CONTROL_REQUEST__BODY_STATUS, CONTROL_VERSION + 1);
	assert_int_equal(answer(fd), -EPROTO);
	assert_non_null(strstr(t.e.text, "another version"));
	ask(fd, 0, CONTROL_VERSION);
	assert_int_equal(answer(fd), -EPROTO);
	assert_int_equal(t.asked, 0);
}

static void refused(const void *data, size_t len, int with)
{
	AUTO_CLOSE int fd = client();
	struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = len};
	assert_true(fdpass_send(fd, &iov, 1, &with, with >= 0, 0) >= 0);
	turn();
	assert_int_equal(clients(), 0);
	assert_int_equal(t.asked, 0);
	assert_int_equal(answer(fd), -ECONNRESET);
}

static void test_nonsense(void **state)
{
	static char big[CONTROL_REQUEST_MAX + 1];
	(void)state;
	refused("\xff\xff\xff\xff", 4, -1);
	refused(big, sizeof(big), -1);
	AUTO_CLOSE int null = open("/dev/null", O_RDONLY);
	refused("\x08\x01\x12\x00", 4, null);
	/* Words without number. */
	Mayfly__ControlRequest q = MAYFLY__CONTROL_REQUEST__INIT;
	Mayfly__AgentAsk a = MAYFLY__AGENT_ASK__INIT;
	ProtobufCBinaryData words[4000] = {{0}};
	a.argv = words;
	a.n_argv = 4000;
	q.version = CONTROL_VERSION;
	q.body_case = MAYFLY__CONTROL_REQUEST__BODY_AGENT;
	q.agent = &a;
	AUTO_CLOSE int fd = client();
	assert_int_equal(control_send(fd, &q, &t.e), 0);
	turn();
	assert_int_equal(answer(fd), -EPROTO);
	assert_int_equal(t.asked, 0);
}

/* Requests that come before the last one is answered wait for their turn. */
static void test_in_order(void **state)
{
	(void)state;
	AUTO_CLOSE int fd = client();
	t.later = true;
	ask(fd, MAYFLY__CONTROL_REQUEST__BODY_WAIT, CONTROL_VERSION);
	ask(fd, MAYFLY__CONTROL_REQUEST__BODY_STATUS, CONTROL_VERSION);
	assert_int_equal(t.asked, 1);
	t.later = false;
	keep_client_done(t.last);
	turn();
	assert_int_equal(t.asked, 2);
	assert_int_equal(answer(fd), 0);
	assert_int_equal(answer(fd), 0);
	/* One that goes while it waits is forgotten. */
	t.later = true;
	ask(fd, MAYFLY__CONTROL_REQUEST__BODY_WAIT, CONTROL_VERSION);
	close_fd(&fd);
	turn();
	assert_int_equal(clients(), 0);
	keep_client_done(t.last);
}

static void test_too_many(void **state)
{
	int fd[KEEP_CONTROL_CLIENTS];
	(void)state;
	for (size_t i = 0; i < KEEP_CONTROL_CLIENTS; i++) {
		fd[i] = client();
		turn();
	}
	assert_int_equal(clients(), KEEP_CONTROL_CLIENTS);
	AUTO_CLOSE int more = client();
	turn();
	assert_int_equal(answer(more), -EAGAIN);
	close(fd[7]);
	turn();
	AUTO_CLOSE int again = client();
	turn();
	ask(again, MAYFLY__CONTROL_REQUEST__BODY_STATUS, CONTROL_VERSION);
	assert_int_equal(answer(again), 0);
	for (size_t i = 0; i < KEEP_CONTROL_CLIENTS; i++)
		if (i != 7)
			close(fd[i]);
}

/* One that asks and never reads does not fill anything. */
static void test_never_reads(void **state)
{
	(void)state;
	AUTO_CLOSE int fd = client();
	Mayfly__ControlRequest q = MAYFLY__CONTROL_REQUEST__INIT;
	Mayfly__StatusAsk status = MAYFLY__STATUS_ASK__INIT;
	q.version = CONTROL_VERSION;
	q.body_case = MAYFLY__CONTROL_REQUEST__BODY_STATUS;
	q.status = &status;
	for (int i = 0; i < 5000; i++) {
		control_send(fd, &q, NULL);
		turn();
	}
	assert_int_equal(clients(), 0);
}

static void test_other_users(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	/* root is always answered; another user only if it is the keeper's own. */
	assert_int_equal(seteuid(12345), 0);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(fchmodat(AT_FDCWD, t.dir, 0777, 0), 0);
	assert_int_equal(fchmodat(t.dir_fd, RECORD_SOCKET, 0777, 0), 0);
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	snprintf(a.sun_path, sizeof(a.sun_path), "%s/" RECORD_SOCKET, t.dir);
	assert_int_equal(seteuid(12345), 0);
	int ret = connect(fd, (struct sockaddr *)&a, sizeof(a));
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(ret, 0);
	turn();
	assert_int_equal(clients(), 0);
	assert_int_equal(answer(fd), -ECONNRESET);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_states, setup, teardown),
		cmocka_unit_test_setup_teardown(test_copying, setup, teardown),
		cmocka_unit_test_setup_teardown(test_all_attached, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hangs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_version, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nonsense, setup, teardown),
		cmocka_unit_test_setup_teardown(test_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_too_many, setup, teardown),
		cmocka_unit_test_setup_teardown(test_never_reads, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_users, setup, teardown),
	};
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
