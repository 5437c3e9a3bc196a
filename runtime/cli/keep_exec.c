// SPDX-License-Identifier: Apache-2.0
// keep_exec.c - the keeper's table of commands in its machine, and the output nobody else takes
#include "cli/keep_exec.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/* Who asked has so long to start it; a little more than a client waits for the agent. */
#define START_NS 90000000000ull
/* What a command said last comes right behind the news of its end. */
#define DRAIN_NS 5000000000ull
/* A guest that closes our connection is not asked again at once. */
#define AGAIN_NS 1000000000ull

static uint64_t wall_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

void keep_execs_init(struct keep_execs *s, struct evloop *loop, const struct keep_execs_ops *ops,
		     void *arg, const struct record *record, uint64_t memory)
{
	*s = (struct keep_execs){
		.loop = loop, .ops = ops, .arg = arg, .record = record, .memory = memory};
	TAILQ_INIT(&s->list);
}

static void file_name(const struct keep_exec *x, const char *what, char out[RECORD_FILE_MAX])
{
	snprintf(out, RECORD_FILE_MAX, "exec-%llu.%s", (unsigned long long)x->number, what);
}

static void disconnect(struct keep_exec *x)
{
	if (x->src.fd >= 0) {
		evloop_del(x->set->loop, &x->src);
		close_fd(&x->src.fd);
	}
	frame_conn_free(&x->conn);
	x->conn = (struct frame_conn){.fd = -1};
	x->owed[0] = x->owed[1] = 0;
	record_log_close(&x->log);
}

static void free_exec(struct keep_exec *x)
{
	disconnect(x);
	exec_words_free(&x->argv_words);
	exec_words_free(&x->env_words);
	TAILQ_REMOVE(&x->set->list, x, link);
	free(x->argv);
	free(x);
}

/* ---- the table ---- */

/* As many words as fit, whole ones. */
static int keep_argv(struct keep_exec *x, const ProtobufCBinaryData *argv, size_t n)
{
	x->argv = malloc(KEEP_EXEC_ARGV_MAX);
	if (!x->argv)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		if (argv[i].len >= KEEP_EXEC_ARGV_MAX - x->argv_len ||
		    x->n_argv >= KEEP_EXEC_WORDS_MAX)
			break;
		if (argv[i].len > 0)
			memcpy(x->argv + x->argv_len, argv[i].data, argv[i].len);
		x->argv[x->argv_len + argv[i].len] = '\0';
		/* A word ends where its first NUL is. */
		x->argv_len += strlen(x->argv + x->argv_len) + 1;
		x->n_argv++;
	}
	return 0;
}

struct keep_exec *keep_execs_new(struct keep_execs *s, const ProtobufCBinaryData *argv,
				 size_t n_argv, bool tty, struct err *e)
{
	if (s->live >= PROTO_SESSIONS_MAX) {
		err_set(e, EAGAIN, "machine '%s' has %u commands already", s->record->name,
			s->live);
		return NULL;
	}
	struct keep_exec *x = calloc(1, sizeof(*x));
	if (!x || keep_argv(x, argv, n_argv) < 0) {
		free(x);
		err_errno(e, ENOMEM, "a command");
		return NULL;
	}
	x->set = s;
	x->number = ++s->last;
	x->state = MAYFLY__EXEC_INFO__STATE__STARTING;
	x->tty = tty;
	x->started_ns = wall_ns();
	x->deadline_ns = io_now_ns() + START_NS;
	x->src.fd = x->conn.fd = -1;
	x->log = RECORD_LOG_NONE;
	TAILQ_INSERT_TAIL(&s->list, x, link);
	s->live++;
	return x;
}

void keep_execs_forget(struct keep_exec *x)
{
	x->set->live--;
	free_exec(x);
}

struct keep_exec *keep_execs_find(struct keep_execs *s, uint64_t number)
{
	struct keep_exec *x;
	TAILQ_FOREACH(x, &s->list, link)
		if (x->number == number)
			return x;
	return NULL;
}

void keep_exec_info(const struct keep_exec *x, size_t argv_max, struct keep_exec_info *out)
{
	const char *p = x->argv;
	size_t n = 0;
	mayfly__exec_info__init(&out->m);
	out->m.session = x->number;
	out->m.state = x->state;
	out->m.started_ns = x->started_ns;
	out->m.ended_ns = x->ended_ns;
	out->m.tty = x->tty;
	out->m.pid = x->pid;
	for (; n < x->n_argv && (size_t)(p - x->argv) + strlen(p) < argv_max; n++) {
		out->argv[n] =
			(ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)p, .len = strlen(p)};
		p += out->argv[n].len + 1;
	}
	out->m.argv = out->argv;
	out->m.n_argv = n;
	if (x->state == MAYFLY__EXEC_INFO__STATE__ENDED) {
		out->m.reason = (char *)(uintptr_t)verdict_name(x->end.reason);
		out->m.status = verdict_status(&x->end);
	}
}

/* ---- the end of one ---- */

static json_t *text_json(const char *text)
{
	json_t *o = json_string(text);
	return o ? o : json_string("(not UTF-8)");
}

static void save(const struct keep_exec *x)
{
	char file[RECORD_FILE_MAX];
	json_t *argv = json_array();
	const char *p = x->argv;
	for (size_t i = 0; i < x->n_argv; i++, p += strlen(p) + 1)
		json_array_append_new(argv, text_json(p));
	json_t *o =
		json_pack("{s:I, s:o, s:b, s:I, s:I, s:I, s:s, s:i}", "exec", (json_int_t)x->number,
			  "command", argv, "tty", x->tty, "pid", (json_int_t)x->pid, "started_ns",
			  (json_int_t)x->started_ns, "ended_ns", (json_int_t)x->ended_ns, "reason",
			  verdict_name(x->end.reason), "status", verdict_status(&x->end));
	if (o && x->end.message[0])
		json_object_set_new(o, "message", text_json(x->end.message));
	if (o)
		verdict_add_limits(&x->end, o);
	file_name(x, "json", file);
	int ret = o ? record_save(x->set->record, file, o) : -ENOMEM;
	if (ret < 0)
		log_warn("exec %llu: its end can't be recorded: %s", (unsigned long long)x->number,
			 strerror(-ret));
	json_decref(o);
}

static void remove_one(struct keep_exec *x)
{
	char file[RECORD_FILE_MAX];
	struct keep_execs *s = x->set;
	file_name(x, "json", file);
	unlinkat(s->record->dir_fd, file, 0);
	file_name(x, "log", file);
	unlinkat(s->record->dir_fd, file, 0);
	s->ended--;
	s->logs_bytes -= x->log_bytes;
	free_exec(x);
}

/* The oldest go first; the one that has just ended stays in any case. */
static void forget_old(struct keep_execs *s, const struct keep_exec *newest)
{
	struct keep_exec *x = TAILQ_FIRST(&s->list);
	while (x && (s->ended > KEEP_EXEC_ENDED_MAX || s->logs_bytes > KEEP_EXEC_LOGS_MAX)) {
		struct keep_exec *next = TAILQ_NEXT(x, link);
		if (x != newest && x->state == MAYFLY__EXEC_INFO__STATE__ENDED)
			remove_one(x);
		x = next;
	}
}

static void finish(struct keep_exec *x)
{
	struct keep_execs *s = x->set;
	char file[RECORD_FILE_MAX];
	struct stat st;
	disconnect(x);
	file_name(x, "log", file);
	if (fstatat(s->record->dir_fd, file, &st, AT_SYMLINK_NOFOLLOW) == 0)
		x->log_bytes = (uint64_t)st.st_size;
	x->state = MAYFLY__EXEC_INFO__STATE__ENDED;
	x->ended_ns = wall_ns();
	x->deadline_ns = x->attach_ns = 0;
	s->live--;
	s->ended++;
	s->logs_bytes += x->log_bytes;
	save(x);
	log_info("exec %llu has ended: %s, status %d", (unsigned long long)x->number,
		 verdict_name(x->end.reason), verdict_status(&x->end));
	forget_old(s, x);
	s->ops->ended(s->arg, x);
}

static void take_exit(struct keep_exec *x, const Mayfly__Exit *m)
{
	if (x->exited)
		return;
	x->exited = true;
	verdict_from_exit(&x->end, m, x->set->memory);
}

static void lose(struct keep_exec *x, enum verdict_reason reason, const char *why)
{
	if (!x->exited)
		verdict_set(&x->end, reason, "%s", why);
	finish(x);
}

/* ---- our own connection ---- */

static void write_log(struct keep_exec *x, const void *data, size_t len)
{
	int ret = 0;
	if (x->log_failed)
		return;
	if (x->log.fd < 0) {
		char file[RECORD_FILE_MAX];
		file_name(x, "log", file);
		ret = record_log_open(&x->log, x->set->record->dir_fd, file, RECORD_EXEC_LOG_MAX);
	}
	if (ret == 0)
		ret = record_log_add(&x->log, data, len);
	if (ret < 0) {
		x->log_failed = true;
		log_error("exec %llu: its output can't be written and is lost: %s",
			  (unsigned long long)x->number, strerror(-ret));
	}
}

static int take_data(struct keep_exec *x, const Mayfly__Data *d)
{
	if (d->stream != MAYFLY__STREAM__STDOUT && d->stream != MAYFLY__STREAM__STDERR)
		return -EPROTO;
	write_log(x, d->data.data, d->data.len);
	x->owed[d->stream == MAYFLY__STREAM__STDERR] += (uint32_t)d->data.len;
	return 0;
}

/* Somebody else has it; or it can't be attached to: then it is at its end, or a lie. */
static void let_go(struct keep_exec *x, bool taken)
{
	disconnect(x);
	if (taken) {
		x->state = MAYFLY__EXEC_INFO__STATE__RUNNING;
		/* And left it already, as the agent says; not at once, it may say so for ever. */
		x->attach_ns = x->lost ? io_now_ns() + AGAIN_NS : 0;
	} else if (x->deadline_ns == 0) {
		x->deadline_ns = io_now_ns() + DRAIN_NS;
	}
}

/* The agent says that it runs; what is over stays over. */
static void runs(struct keep_exec *x)
{
	bool awaited = x->awaited;
	if (x->exited)
		return;
	x->deadline_ns = 0;
	x->awaited = false;
	if (awaited)
		x->set->ops->running(x->set->arg, x);
}

static int take_failed(struct keep_exec *x, const Mayfly__Failed *m)
{
	char why[256];
	snprintf(why, sizeof(why), "the agent refused the command: %.200s", m->text);
	if (x->awaited)
		lose(x, VERDICT_GUEST_FAILED, why);
	else
		let_go(x, false);
	return 1;
}

/* Returns 1 if the connection is over. */
static int handle(struct keep_exec *x, const Mayfly__Frame *f)
{
	switch (f->body_case) {
	case MAYFLY__FRAME__BODY_HELLO:
	case MAYFLY__FRAME__BODY_CREDIT:
	case MAYFLY__FRAME__BODY_EOF:
	case MAYFLY__FRAME__BODY_STREAM_CLOSED: return 0;
	case MAYFLY__FRAME__BODY_EXEC_ATTACHED:
		x->pid = f->exec_attached->pid;
		runs(x);
		return 0;
	case MAYFLY__FRAME__BODY_EXEC_STARTED:
		x->pid = f->exec_started->pid;
		runs(x);
		return 0;
	case MAYFLY__FRAME__BODY_DATA: return take_data(x, f->data);
	case MAYFLY__FRAME__BODY_EXIT:
		take_exit(x, f->exit);
		finish(x);
		return 1;
	case MAYFLY__FRAME__BODY_EXEC_TAKEN: let_go(x, true); return 1;
	case MAYFLY__FRAME__BODY_FAILED: return take_failed(x, f->failed);
	default: return -EPROTO;
	}
}

/* As much of the words as there is room for. Returns 1 if there is more. */
static int send_words(struct keep_exec *x)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__ExecRun run = MAYFLY__EXEC_RUN__INIT;
	if (!x->own || x->words_done)
		return 0;
	int ret = exec_words_send(&x->argv_words, false, &x->conn);
	if (ret == 1)
		ret = exec_words_send(&x->env_words, true, &x->conn);
	if (ret != 1)
		return ret < 0 ? ret : 1;
	x->words_done = true;
	f.body_case = MAYFLY__FRAME__BODY_EXEC_RUN;
	f.exec_run = &run;
	ret = frame_send(&x->conn, &f);
	return ret < 0 ? ret : frame_send_eof(&x->conn, MAYFLY__STREAM__STDIN);
}

static int push(struct keep_exec *x)
{
	int more = send_words(x);
	for (int i = 0; more >= 0 && i < 2; i++)
		if (x->owed[i] > 0 &&
		    frame_send_credit(&x->conn, i ? MAYFLY__STREAM__STDERR : MAYFLY__STREAM__STDOUT,
				      x->owed[i]) == 0)
			x->owed[i] = 0;
	int left = more < 0 ? more : frame_flush(&x->conn);
	if (left < 0)
		return left;
	return evloop_mod(x->set->loop, &x->src, EPOLLIN | (left || more ? EPOLLOUT : 0));
}

/* The connection ended before the command has. */
static void broken(struct keep_exec *x)
{
	uint64_t now = io_now_ns();
	disconnect(x);
	if (x->own && !x->words_done)
		lose(x, VERDICT_GUEST_FAILED, "the agent closed the command's connection");
	else if (x->exited)
		finish(x);
	else
		x->attach_ns = now + AGAIN_NS;
}

static void on_conn(struct evsource *src, uint32_t events)
{
	struct keep_exec *x = src->arg;
	int ret = 1;
	if (events & ~(uint32_t)EPOLLOUT) {
		ret = agent_ok_read(&x->ok, x->conn.fd);
		if (ret == 1)
			ret = frame_fill(&x->conn);
	}
	while (ret > 0) {
		Mayfly__Frame *f = NULL;
		ret = frame_next(&x->conn, &f);
		if (ret <= 0)
			break;
		int over = handle(x, f);
		mayfly__frame__free_unpacked(f, NULL);
		if (over == 1)
			return;
		ret = over < 0 ? over : 1;
	}
	if (ret >= 0)
		ret = push(x);
	if (ret >= 0)
		return;
	if (ret != -ENODATA && ret != -ECONNRESET && ret != -EPIPE)
		log_guest(&x->set->limit, "exec %llu: the agent's connection broke: %s",
			  (unsigned long long)x->number, strerror(-ret));
	broken(x);
}

/* Says CONNECT and Hello; what comes behind them is the caller's. */
static int open_conn(struct keep_exec *x, struct err *e)
{
	int fd = x->set->ops->connect(x->set->arg, e);
	if (fd < 0)
		return fd;
	x->conn = (struct frame_conn){.fd = fd};
	x->ok = (struct agent_ok){0};
	x->src = (struct evsource){.fd = fd, .fn = on_conn, .arg = x};
	int ret = agent_ok_ask(fd);
	if (ret == 0)
		ret = frame_send_hello(&x->conn, "mayfly-keeper");
	if (ret == 0)
		ret = evloop_add(x->set->loop, &x->src, EPOLLIN);
	if (ret < 0) {
		disconnect(x);
		return err_errno(e, -ret, "can't talk to the agent");
	}
	return 0;
}

static void attach(struct keep_exec *x)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__ExecAttach m = MAYFLY__EXEC_ATTACH__INIT;
	struct err e = {0};
	x->attach_ns = 0;
	if (x->src.fd >= 0)
		return;
	x->lost = false;
	m.session = x->number;
	/* Who has attached meanwhile keeps it. */
	m.only_lost = true;
	f.body_case = MAYFLY__FRAME__BODY_EXEC_ATTACH;
	f.exec_attach = &m;
	x->own = false;
	int ret = open_conn(x, &e);
	if (ret == 0)
		ret = frame_send(&x->conn, &f);
	if (ret == 0)
		ret = push(x);
	if (ret < 0) {
		log_warn("exec %llu can't be attached to: %s", (unsigned long long)x->number,
			 e.text[0] ? e.text : strerror(-ret));
		disconnect(x);
		x->attach_ns = io_now_ns() + AGAIN_NS;
		return;
	}
	x->state = MAYFLY__EXEC_INFO__STATE__DETACHED;
}

int keep_execs_start(struct keep_execs *s, Mayfly__ExecStart *start, char *const *argv,
		     char *const *env, uint64_t limit_ns, struct err *e)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	ProtobufCBinaryData words[KEEP_EXEC_WORDS_MAX];
	size_t n = 0;
	for (; n < ARRAY_SIZE(words) && argv[n]; n++)
		words[n] =
			(ProtobufCBinaryData){.data = (uint8_t *)argv[n], .len = strlen(argv[n])};
	struct keep_exec *x = keep_execs_new(s, words, n, false, e);
	if (!x)
		return -EAGAIN;
	x->own = x->awaited = true;
	x->deadline_ns = io_now_ns() + limit_ns;
	start->session = x->number;
	start->keep = true;
	f.body_case = MAYFLY__FRAME__BODY_EXEC_START;
	f.exec_start = start;
	int ret = exec_words_pack(&x->argv_words, argv, "argument", e);
	if (ret == 0)
		ret = exec_words_pack(&x->env_words, env, "environment variable", e);
	if (ret == 0)
		ret = open_conn(x, e);
	if (ret == 0 && ((ret = frame_send(&x->conn, &f)) < 0 || (ret = push(x)) < 0))
		ret = err_errno(e, -ret, "can't talk to the agent");
	x->state = MAYFLY__EXEC_INFO__STATE__DETACHED;
	if (ret < 0)
		keep_execs_forget(x);
	return ret;
}

/* ---- what the agent tells ---- */

void keep_execs_event(struct keep_execs *s, const Mayfly__SessionEvent *ev)
{
	struct keep_exec *x = keep_execs_find(s, ev->session);
	if (!x || x->state == MAYFLY__EXEC_INFO__STATE__ENDED || x->exited) {
		/* Also of one that our own connection has seen end. */
		if (!x || ev->kind != MAYFLY__SESSION_EVENT__KIND__ENDED)
			log_guest(&s->limit, "the guest tells of a command that does not run");
		return;
	}
	switch (ev->kind) {
	case MAYFLY__SESSION_EVENT__KIND__STARTED:
		x->pid = ev->pid;
		runs(x);
		if (x->state == MAYFLY__EXEC_INFO__STATE__STARTING)
			x->state = MAYFLY__EXEC_INFO__STATE__RUNNING;
		break;
	case MAYFLY__SESSION_EVENT__KIND__LOST:
		runs(x);
		if (x->src.fd >= 0)
			x->lost = true;
		else if (x->attach_ns == 0)
			attach(x);
		break;
	case MAYFLY__SESSION_EVENT__KIND__ENDED:
		if (!ev->exit)
			break;
		take_exit(x, ev->exit);
		if (x->src.fd < 0)
			finish(x);
		else
			x->deadline_ns = io_now_ns() + DRAIN_NS;
		break;
	default: break;
	}
}

void keep_execs_tick(struct keep_execs *s, uint64_t now)
{
	struct keep_exec *x;
	TAILQ_FOREACH(x, &s->list, link) {
		if (x->attach_ns && now >= x->attach_ns)
			attach(x);
		if (x->deadline_ns == 0 || now < x->deadline_ns)
			continue;
		if (x->state == MAYFLY__EXEC_INFO__STATE__STARTING) {
			s->ops->forgotten(s->arg, x);
			keep_execs_forget(x);
		} else {
			lose(x, VERDICT_GUEST_FAILED,
			     x->awaited ? "the agent in the guest did not start the command in "
					  "time (see --boot-timeout)"
					: "the agent knows nothing of the command any more");
		}
		/* Others may be gone, too: the next turn looks at the rest. */
		return;
	}
}

uint64_t keep_execs_wait(const struct keep_execs *s)
{
	const struct keep_exec *x;
	uint64_t at = UINT64_MAX;
	TAILQ_FOREACH(x, &s->list, link) {
		if (x->attach_ns)
			at = MIN(at, x->attach_ns);
		if (x->deadline_ns)
			at = MIN(at, x->deadline_ns);
	}
	return at;
}

void keep_execs_end(struct keep_execs *s)
{
	struct keep_exec *x;
	do {
		TAILQ_FOREACH(x, &s->list, link)
			if (x->state != MAYFLY__EXEC_INFO__STATE__ENDED)
				break;
		if (x)
			lose(x, VERDICT_MACHINE_ENDED, "the machine ended before the command");
	} while (x);
}

void keep_execs_free(struct keep_execs *s)
{
	struct keep_exec *x;
	while ((x = TAILQ_FIRST(&s->list)))
		free_exec(x);
}
