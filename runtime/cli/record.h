// SPDX-License-Identifier: Apache-2.0
// record.h - what is known of a machine that lives: a directory by its name, and who keeps it
//
// ".machines/NAME" beside the directories of machines. Its keeper holds "lock" in it with flock()
// as long as it lives, so whoever can take that lock knows that there is none. Making and removing
// take an exclusive lock on ".machines", and show a record only when it is whole. Names in it that
// begin with a dot are records that are being made or removed.
#ifndef MAYFLY_CLI_RECORD_H
#define MAYFLY_CLI_RECORD_H

#include "base/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define RECORD_NAME_MAX 64
#define RECORD_MACHINE "machine.json"
#define RECORD_LOG "log"
#define RECORD_CONSOLE "console"
#define RECORD_SOCKET "control.sock"
/* Room for "exec-N.json". */
#define RECORD_FILE_MAX 48

struct record {
	char name[RECORD_NAME_MAX + 1];
	int all_fd;  /* .machines */
	int dir_fd;  /* this one */
	int lock_fd; /* held by us, -1: not ours */
};

#define RECORD_NONE ((struct record){.all_fd = -1, .dir_fd = -1, .lock_fd = -1})

/* record_name_ok() - 1 to 64 of [a-zA-Z0-9._-], beginning with a letter or a digit. */
bool record_name_ok(const char *name);

/*
 * record_make() - a new record, kept by the caller until record_close(), with this as machine.json.
 * @name: NULL: one is made up
 * Returns 0, or -errno with text: -EEXIST if the name is taken.
 */
int record_make(struct record *r, const char *name, json_t *machine, struct err *e);

/*
 * record_find() - by name, by id, or by the beginning of an id (at least 4 characters).
 * Completes one whose keeper was killed. Returns 0, or -errno with text.
 */
int record_find(struct record *r, const char *machine, struct err *e);

/* record_kept() - whether somebody keeps it. */
bool record_kept(const struct record *r);

/* record_close() - descriptors only; whoever kept it does so no more. */
void record_close(struct record *r);

/* record_release() - the keeper's last act: the machine is over. */
void record_release(struct record *r);

/* record_remove() - with everything in it; 0, or -EBUSY with text while somebody else keeps it. */
int record_remove(struct record *r, struct err *e);

typedef void record_fn(void *arg, struct record *r);

/*
 * record_each() - calls fn for every record, in the order of their names.
 * Completes those whose keepers were killed. Returns 0 or -errno with text.
 */
int record_each(record_fn *fn, void *arg, struct err *e);

/* What record_sweep() did with a record: its keeper had been killed. */
typedef void record_swept_fn(void *arg, const char *name, bool removed);

/*
 * record_sweep() - completes records whose keepers were killed, removes those of start --rm and
 * what was made or removed halfway.
 * @fn: may be NULL
 * Returns how many there were, or -errno.
 */
int record_sweep(int base_fd, bool dry_run, record_swept_fn *fn, void *arg);

/* record_load() - a file of the record; NULL if it isn't there or is no JSON object. */
json_t *record_load(const struct record *r, const char *file);

/* record_save() - replaces a file by rename; 0 or -errno. */
int record_save(const struct record *r, const char *file, const json_t *o);

#endif
