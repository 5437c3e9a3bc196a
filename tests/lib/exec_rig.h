// SPDX-License-Identifier: Apache-2.0
// exec_rig.h - a client of a command, its user's streams, and the agent that the test plays
#ifndef TESTS_LIB_EXEC_RIG_H
#define TESTS_LIB_EXEC_RIG_H

#include "cli/exec_client.h"

struct exec_rig {
	struct evloop loop;
	struct exec_client c;
	struct hostio in, out[2];
	struct detach_keys keys;
	int in_fd;		/* the user's end of stdin */
	int out_fd[2];		/* where the user reads */
	int given[2];		/* what hostio was given for the outputs */
	struct frame_conn peer; /* the agent's end */
	char line[32];		/* CONNECT */
	unsigned started, attached, refused, exited, lost, taken, detached, errors[2];
	int error, lost_error;
	bool error_first; /* the output was known to be lost when the exit was */
	uint32_t pid;
	int32_t code;
};

/* The one rig of a test program. */
extern struct exec_rig rig;

/* What the client and its agent do, and what is asserted of them, as the names say. */
int rig_setup(void **state);
int rig_teardown(void **state);
void rig_run(void);
int rig_connection(void);
void rig_say_ok(void);
void rig_flush_peer(void);
void rig_begin(bool keep, bool tty);
Mayfly__Frame *rig_next(void);
Mayfly__Frame *rig_expect(Mayfly__Frame__BodyCase kind);
void rig_sent(Mayfly__Frame__BodyCase kind);
void rig_credits(uint32_t bytes);
void rig_no_frame(void);
void rig_skip_words(void);
void rig_send_body(Mayfly__Frame *f);
void rig_send_started(void);
void rig_send_exit(int32_t code);
void rig_send_attached(uint32_t in_credit, bool in_closed, bool tty);
void rig_send_failed(void);
void rig_send_taken(void);
void rig_send_data(Mayfly__Stream s, const char *text);
void rig_reads(int which, const char *want);
void rig_attach(void);
void rig_broken(void);

#endif
