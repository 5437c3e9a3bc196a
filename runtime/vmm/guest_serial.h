// SPDX-License-Identifier: Apache-2.0
// guest_serial.h - text between the guest's serial port and the host
//
// What the guest says is kept for the report (its last lines, a panic) and copied to the console
// descriptor, if there is one; what comes from there is typed into the port. Under tcg the port is
// QEMU's and its other end a socket, under kvm it is device/serial.c.
#ifndef MAYFLY_VMM_GUEST_SERIAL_H
#define MAYFLY_VMM_GUEST_SERIAL_H

#include "base/evloop.h"
#include "vmm/serial_log.h"

#include <stddef.h>

#define GUEST_SERIAL_CHUNK 4096

struct guest_serial;

/* The port's side. take: next output of the guest, 0 if there is none. give: what fits. */
struct guest_serial_port {
	size_t (*take)(struct guest_serial *s, void *buf, size_t max);
	size_t (*give)(struct guest_serial *s, const void *buf, size_t len);
	/* room: guest_serial_say() takes text again; may be NULL. */
	void (*room)(struct guest_serial *s);
};

struct guest_serial {
	struct evloop *loop;
	struct guest_serial_port port;
	struct evsource source;	 /* tcg: the socket; kvm: an eventfd that says "look" */
	struct evsource console; /* both ways */
	bool lossless;		 /* else what the reader has no room for is lost */
	bool typed_end;
	bool source_end;
	bool refused;		 /* guest_serial_say() had no room */
	size_t out_len, out_pos; /* taken from the port, not yet written to the console */
	size_t in_len, in_pos;	 /* read from the console, not yet typed */
	char out[GUEST_SERIAL_CHUNK];
	char in[GUEST_SERIAL_CHUNK];
	struct serial_log log;
	struct serial_log other; /* of the other console: their bytes must not mix in a line */
};

/*
 * guest_serial_init() - wires console_fd (-1: none) and source_fd to the loop, whose thread all of
 * this runs on; both stay the caller's. Set s->port before. Returns 0 or -errno.
 */
int guest_serial_init(struct guest_serial *s, struct evloop *loop, int source_fd, int console_fd,
		      bool lossless);

/*
 * guest_serial_say() - text from another console of the same machine. Returns how much was taken:
 * lossless, what fits now (port.room is called when there is more room), else all of it.
 */
size_t guest_serial_say(struct guest_serial *s, const char *data, size_t len);

/* guest_serial_panic() - the panic that one of the consoles showed, NULL: none. */
const char *guest_serial_panic(const struct guest_serial *s);

/* guest_serial_end() - what one of the consoles said about its kernel's end. */
enum serial_end guest_serial_end(const struct guest_serial *s);

/*
 * guest_serial_drain() - at the end: what the port still holds goes into the log, and out.
 * Lossless, it waits for the reader, or for its end.
 */
void guest_serial_drain(struct guest_serial *s);

#endif
