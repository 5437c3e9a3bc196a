// SPDX-License-Identifier: Apache-2.0
// console.h - the virtio console device (virtio 1.2, section 5.3) with one port, hvc0 in Linux
//
// Linux waits for each piece of output in a loop with interrupts off, so a host side that takes
// nothing for long stops a CPU of the guest: the owner should buffer generously.
// It also throws away input that arrives between its driver's first buffers and the port's being
// set up: an owner with text at hand from the start should keep it until the first output.
#ifndef MAYFLY_VIRTIO_CONSOLE_H
#define MAYFLY_VIRTIO_CONSOLE_H

#include "virtio/virtio.h"

/* Input that waits for the guest: as much as a terminal's line discipline keeps. */
#define VIRTIO_CONSOLE_INPUT_MAX 4096u

/* A kernel's boot messages go at once; beyond that, ten times what a terminal can show. */
#define VIRTIO_CONSOLE_BURST (1024ull * 1024)
#define VIRTIO_CONSOLE_RATE (4ull * 1024 * 1024)

struct virtio_console_io {
	void *arg;

	/*
	 * out: takes bytes for the host and returns how many; less than len means that there is no
	 * room: no more calls until virtio_console_resume(). Must not block.
	 */
	size_t (*out)(void *arg, const void *data, size_t len);

	/* room: there is room for input again, after virtio_console_input() refused some. May be
	 * NULL. */
	void (*room)(void *arg);

	uint16_t cols, rows; /* of the terminal, 0: not known */
};

/* virtio_console_create() - the device; all of it runs on loop's thread. Returns 0 or -errno. */
int virtio_console_create(struct virtio_dev **out, struct evloop *loop,
			  const struct virtio_console_io *io);
void virtio_console_destroy(struct virtio_dev *dev);

/* virtio_console_resume() - io->out() has room again. */
void virtio_console_resume(struct virtio_dev *dev);

/* virtio_console_resize() - the terminal has another size now. */
void virtio_console_resize(struct virtio_dev *dev, uint16_t cols, uint16_t rows);

/*
 * virtio_console_input() - bytes for the guest; returns how many were taken.
 * What waits outlives a reset: a terminal's keys are for whoever reads next.
 */
size_t virtio_console_input(struct virtio_dev *dev, const void *data, size_t len);

#endif
