// SPDX-License-Identifier: Apache-2.0
// serial.c - 16550A registers, interrupt conditions, and the two byte buffers behind them
//
// A byte written is gone at once, as far as the guest can see: its driver finds the transmitter
// empty again when it next looks for the reason of an interrupt, and may send the next FIFO full
// without leaving its handler. A driver that does not look gets its interrupt when the owner has
// taken the bytes. That is one interrupt for a burst of output instead of one for each byte.
#include "device/serial.h"

#include "base/checked.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { REG_DATA, REG_IER, REG_IIR_FCR, REG_LCR, REG_MCR, REG_LSR, REG_MSR, REG_SCR };

#define IER_RDI 0x01 /* received data */
#define IER_THRI 0x02
#define IER_RLSI 0x04 /* line status: overrun */
#define IER_MASK 0x0f

#define IIR_NONE 0x01
#define IIR_THRI 0x02
#define IIR_RDI 0x04
#define IIR_RLSI 0x06
#define IIR_FIFOS 0xc0

#define FCR_ENABLE 0x01
#define FCR_CLEAR_RX 0x02

#define LCR_DLAB 0x80

#define MCR_DTR 0x01
#define MCR_RTS 0x02
#define MCR_OUT1 0x04
#define MCR_OUT2 0x08
#define MCR_LOOP 0x10
#define MCR_MASK 0x1f

#define LSR_DR 0x01
#define LSR_OE 0x02
#define LSR_EMPTY 0x60 /* THRE and TEMT */

#define MSR_CTS 0x10
#define MSR_DSR 0x20
#define MSR_RI 0x40
#define MSR_DCD 0x80

#define DIVISOR_115200 1

int serial_init(struct serial *s, int irq_fd, serial_wake_fn *wake, void *arg)
{
	memset(s, 0, sizeof(*s));
	s->irq_fd = irq_fd;
	s->wake = wake;
	s->wake_arg = arg;
	s->dll = DIVISOR_115200;
	int ret = -pthread_mutex_init(&s->lock, NULL);
	return ret < 0 ? ret : -pthread_cond_init(&s->room, NULL);
}

void serial_destroy(struct serial *s)
{
	pthread_cond_destroy(&s->room);
	pthread_mutex_destroy(&s->lock);
}

void serial_stop(struct serial *s)
{
	pthread_mutex_lock(&s->lock);
	s->stopped = true;
	pthread_cond_broadcast(&s->room);
	pthread_mutex_unlock(&s->lock);
}

/* A driver that has seen the transmitter empty may write a FIFO full without looking again. */
static bool can_send(const struct serial *s)
{
	return sizeof(s->out) - s->out_len >= SERIAL_FIFO;
}

/* How many bytes of input may come. */
static unsigned rx_room(const struct serial *s)
{
	/* OUT2 lets interrupts out: a driver that only tries out the port has it off. */
	if (!(s->ier & IER_RDI) || (s->mcr & (MCR_LOOP | MCR_OUT2)) != MCR_OUT2)
		return 0;
	unsigned depth = s->fifo ? SERIAL_FIFO : 1;
	return depth - MIN(depth, s->rx_len);
}

/* The conditions that interrupt, as the IER bits that let them. */
static uint8_t conditions(const struct serial *s)
{
	uint8_t c = (uint8_t)((s->overrun ? IER_RLSI : 0) | (s->rx_len > 0 ? IER_RDI : 0) |
			      (s->thre ? IER_THRI : 0));
	return c & s->ier;
}

/* What an operation is followed by when the lock is gone again. */
struct before {
	uint8_t conditions;
	size_t out_len;
};

static struct before begin(struct serial *s)
{
	pthread_mutex_lock(&s->lock);
	return (struct before){conditions(s), s->out_len};
}

static void end(struct serial *s, const struct before *b)
{
	bool interrupt = s->irq_fd >= 0 && (conditions(s) & ~b->conditions);
	bool wake = b->out_len == 0 && s->out_len > 0;
	if (s->refused && rx_room(s) > 0 && s->rx_len == 0) {
		s->refused = false;
		wake = true;
	}
	pthread_mutex_unlock(&s->lock);
	if (interrupt) {
		uint64_t one = 1;
		ssize_t n = write(s->irq_fd, &one, sizeof(one));
		(void)n; /* a full counter means that an interrupt is pending anyway */
	}
	if (wake && s->wake)
		s->wake(s->wake_arg);
}

static void rx_put(struct serial *s, uint8_t v)
{
	if (s->rx_len == (s->fifo ? SERIAL_FIFO : 1)) {
		s->overrun = true;
		return;
	}
	s->rx[(s->rx_head + s->rx_len++) % SERIAL_FIFO] = v;
}

static uint8_t rx_get(struct serial *s)
{
	if (s->rx_len == 0)
		return 0;
	uint8_t v = s->rx[s->rx_head];
	s->rx_head = (s->rx_head + 1) % SERIAL_FIFO;
	s->rx_len--;
	return v;
}

static void tx_put(struct serial *s, uint8_t v)
{
	/* The owner knows of the output: a full ring was not empty before. */
	while (!(s->mcr & MCR_LOOP) && s->out_len == sizeof(s->out) && s->patient && !s->stopped)
		pthread_cond_wait(&s->room, &s->lock);
	if (s->mcr & MCR_LOOP) {
		rx_put(s, v);
	} else if (s->out_len == sizeof(s->out)) {
		s->dropped++;
	} else {
		s->out[(s->out_head + s->out_len) % sizeof(s->out)] = v;
		s->out_len++;
	}
	s->sending = true;
	s->thre = false;
}

/* The reason for an interrupt; looking at that of the transmitter takes it away. */
static uint8_t iir_read(struct serial *s)
{
	uint8_t fifos = s->fifo ? IIR_FIFOS : 0;
	uint8_t c = conditions(s);
	if (c & IER_RLSI)
		return fifos | IIR_RLSI;
	if (c & IER_RDI)
		return fifos | IIR_RDI;
	bool sent = s->thre || (s->sending && can_send(s));
	if (!sent || !(s->ier & IER_THRI))
		return fifos | IIR_NONE;
	s->sending = s->thre = false;
	return fifos | IIR_THRI;
}

static uint8_t lsr_read(struct serial *s)
{
	uint8_t v = can_send(s) ? LSR_EMPTY : 0;
	if (s->rx_len > 0)
		v |= LSR_DR;
	if (s->overrun)
		v |= LSR_OE;
	s->overrun = false;
	return v;
}

/* A terminal is always there, unless the guest tests the port with itself. */
static uint8_t msr_read(const struct serial *s)
{
	if (!(s->mcr & MCR_LOOP))
		return MSR_DCD | MSR_DSR | MSR_CTS;
	return (uint8_t)((s->mcr & MCR_RTS ? MSR_CTS : 0) | (s->mcr & MCR_DTR ? MSR_DSR : 0) |
			 (s->mcr & MCR_OUT1 ? MSR_RI : 0) | (s->mcr & MCR_OUT2 ? MSR_DCD : 0));
}

static uint8_t reg_read(struct serial *s, uint64_t reg)
{
	bool dlab = s->lcr & LCR_DLAB;
	switch (reg) {
	case REG_DATA: return dlab ? s->dll : rx_get(s);
	case REG_IER: return dlab ? s->dlm : s->ier;
	case REG_IIR_FCR: return iir_read(s);
	case REG_LCR: return s->lcr;
	case REG_MCR: return s->mcr;
	case REG_LSR: return lsr_read(s);
	case REG_MSR: return msr_read(s);
	case REG_SCR: return s->scr;
	default: return 0xff;
	}
}

static void ier_write(struct serial *s, uint8_t v)
{
	/* Asked for while the transmitter is empty, its interrupt comes at once. */
	if ((v & ~s->ier & IER_THRI) && can_send(s)) {
		s->thre = true;
		s->sending = false;
	}
	s->ier = v & IER_MASK;
}

/*
 * Of the transmitter's FIFO nothing is left to clear: its bytes are gone. Unlike the chip's, FIFOs
 * that are switched on keep a byte that came before: Linux 6.1 first listens, then does so.
 */
static void fcr_write(struct serial *s, uint8_t v)
{
	bool fifo = v & FCR_ENABLE;
	if ((s->fifo && !fifo) || (v & FCR_CLEAR_RX))
		s->rx_len = 0;
	s->fifo = fifo;
}

static void reg_write(struct serial *s, uint64_t reg, uint8_t v)
{
	bool dlab = s->lcr & LCR_DLAB;
	switch (reg) {
	case REG_DATA:
		if (dlab)
			s->dll = v;
		else
			tx_put(s, v);
		break;
	case REG_IER:
		if (dlab)
			s->dlm = v;
		else
			ier_write(s, v);
		break;
	case REG_IIR_FCR: fcr_write(s, v); break;
	case REG_LCR: s->lcr = v; break;
	case REG_MCR: s->mcr = v & MCR_MASK; break;
	case REG_SCR: s->scr = v; break;
	default: break;
	}
}

void serial_read(void *arg, uint64_t off, void *data, unsigned len)
{
	struct serial *s = arg;
	uint8_t *p = data;
	struct before b = begin(s);
	for (unsigned i = 0; i < len; i++)
		p[i] = reg_read(s, off + i);
	end(s, &b);
}

void serial_write(void *arg, uint64_t off, const void *data, unsigned len)
{
	struct serial *s = arg;
	const uint8_t *p = data;
	struct before b = begin(s);
	for (unsigned i = 0; i < len; i++)
		reg_write(s, off + i, p[i]);
	end(s, &b);
}

size_t serial_take(struct serial *s, void *buf, size_t max)
{
	size_t done = 0;
	struct before b = begin(s);
	while (done < max && s->out_len > 0) {
		size_t part = MIN(max - done, s->out_len);
		part = MIN(part, sizeof(s->out) - s->out_head);
		memcpy((uint8_t *)buf + done, s->out + s->out_head, part);
		s->out_head = (s->out_head + part) % sizeof(s->out);
		s->out_len -= part;
		done += part;
	}
	if (done > 0 && s->patient)
		pthread_cond_broadcast(&s->room);
	if (s->sending && can_send(s)) {
		s->sending = false;
		s->thre = true;
	}
	end(s, &b);
	return done;
}

size_t serial_input(struct serial *s, const void *buf, size_t len)
{
	struct before b = begin(s);
	size_t room = rx_room(s);
	size_t n = MIN(len, room);
	for (size_t i = 0; i < n; i++)
		rx_put(s, ((const uint8_t *)buf)[i]);
	if (len > room)
		s->refused = true;
	end(s, &b);
	return n;
}

uint64_t serial_dropped(struct serial *s)
{
	pthread_mutex_lock(&s->lock);
	uint64_t n = s->dropped;
	pthread_mutex_unlock(&s->lock);
	return n;
}
