// SPDX-License-Identifier: Apache-2.0
// exec_client.h - one command in a guest as its host sees it: a connection to the agent
//
// Words go in, streams both ways with credit, signals and window sizes in, the exit out. Used by
// mayfly run, exec and attach. What the guest says is checked here; a guest that breaks the rules
// loses its connection. One thread, one event loop.
#ifndef MAYFLY_CLI_EXEC_CLIENT_H
#define MAYFLY_CLI_EXEC_CLIENT_H

#include "base/err.h"
#include "base/evloop.h"
#include "cli/agent_ok.h"
#include "cli/detach_keys.h"
#include "cli/exec_words.h"
#include "cli/hostio.h"
#include "proto/frame.h"

/*
 * What happened. Each may be NULL but for refused, exited and lost. None may free the client; any
 * may call exec_client_stop(). Texts are the guest's.
 */
struct exec_client_ops {
	void (*started)(void *arg, uint32_t pid);
	void (*attached)(void *arg, const Mayfly__ExecAttached *m);
	/* There is no such session to attach to, or no room for a new one; the connection is
	 * closed. */
	void (*refused)(void *arg, const Mayfly__Failed *m);
	/* Once; the output may still wait for its reader: see exec_client_flushed(). */
	void (*exited)(void *arg, const Mayfly__Exit *x);
	/* The connection ended before that: -ENODATA or -ECONNRESET, else the rule it broke. */
	void (*lost)(void *arg, int error);
	/* Somebody else has attached to the session; the connection is closed. */
	void (*taken)(void *arg);
	/* An output (0: stdout, 1: stderr) can't be written; also EPIPE. The agent is told. */
	void (*output_error)(void *arg, int which, int error);
	/* Input that was read could not be passed on. */
	void (*input_error)(void *arg, int error);
	/* Something was typed for a command with a terminal and is about to be passed on. */
	void (*typed)(void *arg);
	/* The detach keys were typed. */
	void (*detach)(void *arg);
	/* After all that one event of the connection has caused. */
	void (*step)(void *arg);
};

enum exec_input {
	EXEC_INPUT_PASS,  /* what in has, then its end */
	EXEC_INPUT_EMPTY, /* its end at once */
	EXEC_INPUT_NONE,  /* nothing is said */
};

/* To be set before start or attach: input, hold, keys. */
struct exec_client {
	struct evloop *loop;
	const struct exec_client_ops *ops;
	void *arg;
	struct hostio *in, *out;  /* out: two of them; the caller's */
	struct detach_keys *keys; /* NULL: none */
	enum exec_input input;
	bool hold; /* output is not taken: it stays in the guest for whoever attaches */

	struct frame_conn conn;
	struct evsource src; /* fd -1: no connection, or none any more */
	struct agent_ok ok;
	struct exec_words argv, env;
	bool attach; /* to a session that is there */
	bool tty;
	Mayfly__WindowSize size; /* what the agent knows of it; 0: nothing */
	bool words_done;
	bool feeding; /* stdin may be read */
	bool mute;    /* nothing can be sent any more; what has come is still read */
	bool started, exited;
	bool out_closed[2]; /* the agent was told */
	uint32_t window;
	uint32_t in_credit;
	uint32_t uncredited[2]; /* bytes that came and were not given back */
	uint64_t tty_retry_ns;	/* stdin's terminal is asked again; 0: no need */
};

/*
 * exec_client_init() - no connection yet.
 * @in: stdin, done if there is none
 * @out: stdout and stderr
 */
void exec_client_init(struct exec_client *c, struct evloop *loop, const struct exec_client_ops *ops,
		      void *arg, struct hostio *in, struct hostio out[2]);

/* exec_client_words() - the command's arguments and environment, NULL-terminated; copied. */
int exec_client_words(struct exec_client *c, char *const *argv, char *const *env, struct err *e);

/*
 * exec_client_start() - says CONNECT and asks for a new session.
 * @fd: a new connection to the machine's vsock socket; taken over, also on failure
 */
int exec_client_start(struct exec_client *c, int fd, Mayfly__ExecStart *x, struct err *e);

/* exec_client_attach() - as start, to a session that is there; size may be NULL. */
int exec_client_attach(struct exec_client *c, int fd, uint64_t session, Mayfly__WindowSize *size,
		       struct err *e);

/* exec_client_connected() - whether more may come from the agent. */
bool exec_client_connected(const struct exec_client *c);

/* exec_client_pump() - moves what can be moved; call it after any event of in, out and deadlines.
 */
void exec_client_pump(struct exec_client *c);

/* exec_client_wait() - when to pump again although nothing happened, monotonic ns; UINT64_MAX. */
uint64_t exec_client_wait(const struct exec_client *c);

/* exec_client_flushed() - whether all output has left or was dropped. */
bool exec_client_flushed(const struct exec_client *c);

/* exec_client_signal() - for the command's process group, from the moment of start on. */
void exec_client_signal(struct exec_client *c, int number);

/*
 * exec_client_resize() - the terminal has this size; nothing without a terminal, or if it is what
 * the agent knows.
 */
void exec_client_resize(struct exec_client *c, uint16_t rows, uint16_t columns);

/* exec_client_drop_output() - the command's end is not to wait for readers of its output. */
void exec_client_drop_output(struct exec_client *c);

/* exec_client_stop() - ends the connection; nothing more is reported. */
void exec_client_stop(struct exec_client *c);

void exec_client_free(struct exec_client *c);

#endif
