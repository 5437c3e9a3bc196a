// SPDX-License-Identifier: Apache-2.0
// serial.h - a 16550A serial port on COM1, driven by interrupts or by polling
//
// Any vCPU's thread reads and writes registers; one owner takes the output and brings the input.
// Both directions are bounded: with less than a FIFO's room for output the transmitter is not
// empty (the guest waits by itself; what it writes nevertheless is dropped and counted, or, if the
// port is "patient", its vCPU waits: Linux's kernel messages don't wait for long), and input
// is taken only while the guest's driver wants receive interrupts, a FIFO of it at a time. So what
// is typed before the driver is up is not lost to its resets of the FIFO.
#ifndef MAYFLY_DEVICE_SERIAL_H
#define MAYFLY_DEVICE_SERIAL_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SERIAL_COM1_PORT 0x3f8
#define SERIAL_COM1_IRQ 4
#define SERIAL_NUM_REGS 8

#define SERIAL_FIFO 16u
#define SERIAL_OUT_MAX 16384u

/* Output has come where there was none, or input that was refused has room. Must not block. */
typedef void serial_wake_fn(void *arg);

struct serial {
	pthread_mutex_t lock;
	pthread_cond_t room;
	bool patient; /* a vCPU that writes without room waits; set before the guest runs */
	bool stopped;
	int irq_fd;
	serial_wake_fn *wake;
	void *wake_arg;

	uint8_t ier, lcr, mcr, scr, dll, dlm;
	bool fifo;    /* the guest has switched the FIFOs on */
	bool sending; /* bytes were written, and the guest has not been told that they are gone */
	bool thre;    /* interrupt: the transmitter has become empty */
	bool overrun;
	bool refused; /* the owner waits for room for input */
	unsigned rx_head, rx_len;
	size_t out_head, out_len;
	uint64_t dropped;
	uint8_t rx[SERIAL_FIFO];
	uint8_t out[SERIAL_OUT_MAX];
};

/*
 * serial_init() - the port after power-on.
 * @irq_fd: eventfd written once for each condition that rises (an edge, as the ISA bus has it);
 *	    stays the caller's, -1: none
 * @wake: called on a vCPU's thread without the lock; may be NULL
 * Returns 0 or -errno.
 */
int serial_init(struct serial *s, int irq_fd, serial_wake_fn *wake, void *arg);
void serial_destroy(struct serial *s);

/* serial_stop() - any thread: vCPUs that wait for room go on, none waits from now on. */
void serial_stop(struct serial *s);

/*
 * serial_read(), serial_write() - the bus's handlers, any vCPU's thread; arg is a struct
 * serial. A wider access is one of a byte to each register in turn, as the ISA bus splits it; what
 * lies behind the last register reads all ones.
 */
void serial_read(void *arg, uint64_t off, void *data, unsigned len);
void serial_write(void *arg, uint64_t off, const void *data, unsigned len);

/* serial_take() - moves up to max bytes of output to buf; the owner's thread. */
size_t serial_take(struct serial *s, void *buf, size_t max);

/* serial_input() - bytes for the guest, returns how many were taken; the owner's thread. */
size_t serial_input(struct serial *s, const void *buf, size_t len);

/* serial_dropped() - bytes of output that the guest wrote without room. */
uint64_t serial_dropped(struct serial *s);

#endif
