// SPDX-License-Identifier: Apache-2.0
// fuzz_serial.c - a hostile guest and a careless owner around the serial port
// links: runtime/device/serial.c
//
// Input: steps of 3 bytes, see step(). Whatever they are: no byte is lost or made up, the owner is
// woken when there is something for it, each condition that rises is one interrupt, and both
// buffers keep their bounds.
#include "base/checked.h"
#include "device/serial.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LCR_DLAB 0x80
#define MCR_LOOP 0x10
#define MCR_OUT2 0x08

#define FLOODS_MAX 12

struct run {
	struct serial s;
	bool awake;	 /* the owner has been told to look, and has not seen an empty port since */
	bool asked;	 /* for room for input */
	unsigned floods; /* each takes as long as a thousand other steps */
	uint64_t written, taken;
	uint8_t last;
};

static void must(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "fuzz_serial: %s\n", what);
		abort();
	}
}

static void wake(void *arg)
{
	struct run *r = arg;
	r->awake = true;
	r->asked = false;
}

static uint8_t raised(const struct serial *s)
{
	uint8_t c = (uint8_t)((s->overrun ? 4 : 0) | (s->rx_len > 0 ? 1 : 0) | (s->thre ? 2 : 0));
	return c & s->ier;
}

static void count_output(struct run *r, uint64_t off, unsigned len, const uint8_t *v)
{
	/* Only the first register of an access is the transmitter. */
	if (off == 0 && len > 0 && !(r->s.lcr & LCR_DLAB) && !(r->s.mcr & MCR_LOOP)) {
		r->written++;
		r->last = v[0];
	}
}

static void guest(struct run *r, uint8_t op, uint8_t reg, uint8_t v)
{
	uint8_t buf[8] = {v, v, (uint8_t)(v + 1), 0, v, 0xff, 1, v};
	unsigned len = 1u << (op >> 5 & 3);
	uint64_t off = reg % 8;
	if (op & 0x80) {
		bool flood = op & 0x10 && r->floods++ < FLOODS_MAX;
		unsigned repeat = flood ? reg * 16u : 1;
		for (unsigned i = 0; i < repeat; i++) {
			count_output(r, off, len, buf);
			serial_write(&r->s, off, buf, len);
		}
	} else {
		serial_read(&r->s, off, buf, len);
		must(off > 0 || len < 8 || buf[7] == r->s.scr, "scratch register");
	}
}

static void owner_takes(struct run *r, size_t max)
{
	static uint8_t buf[SERIAL_OUT_MAX + 64];
	size_t had = r->s.out_len;
	size_t n = serial_take(&r->s, buf, MIN(max, sizeof(buf)));
	must(n == MIN(had, MIN(max, sizeof(buf))), "how much is taken");
	must(n == 0 || n < had || r->s.dropped > 0 || buf[n - 1] == r->last, "the last byte");
	r->taken += n;
	if (r->s.out_len == 0)
		r->awake = false;
}

static void owner_types(struct run *r, size_t len)
{
	static const uint8_t text[64] = "text";
	size_t n = serial_input(&r->s, text, MIN(len, sizeof(text)));
	must(n <= SERIAL_FIFO && n <= len, "how much is typed");
	if (n < MIN(len, sizeof(text)))
		r->asked = true;
}

static void step(struct run *r, const uint8_t *d)
{
	uint8_t before = raised(&r->s);
	uint64_t n = 0;
	bool burst = false;
	switch (d[0] & 0x0f) {
	case 0: owner_takes(r, d[1] * 128u); break;
	case 1: owner_types(r, d[1]); break;
	default: guest(r, d[0], d[1], d[2]); burst = d[0] & 0x10;
	}
	ssize_t got = read(r->s.irq_fd, &n, sizeof(n));
	uint8_t rises = raised(&r->s) & (uint8_t)~before;
	must(burst || (rises != 0) == (got == sizeof(n)), "an interrupt for what rises");
	must(r->s.out_len <= SERIAL_OUT_MAX && r->s.rx_len <= SERIAL_FIFO, "bounds");
	must(r->written == r->taken + r->s.out_len + serial_dropped(&r->s), "bytes lost");
	must(r->s.out_len == 0 || r->awake, "the owner sleeps");
	bool room = (r->s.ier & 1) && (r->s.mcr & (MCR_LOOP | MCR_OUT2)) == MCR_OUT2 &&
		    r->s.rx_len == 0;
	must(!r->asked || !room, "the owner waits for room that is there");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct run r;
	static int irq = -1;
	if (irq < 0)
		irq = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = (struct run){0};
	must(irq >= 0 && serial_init(&r.s, irq, wake, &r) == 0, "starting");
	for (size_t off = 0; off + 3 <= size && off < 3000; off += 3)
		step(&r, data + off);
	serial_destroy(&r.s);
	return 0;
}
