// SPDX-License-Identifier: Apache-2.0
// rtc.c - the CMOS clock: index and data port, time of day in BCD
//
// The time registers show one and the same second until the seconds or register A are read, with
// which every reader begins: so a date read around midnight is yesterday's or today's, not half of
// each.
#include "device/rtc.h"

#include <stdbool.h>
#include <string.h>
#include <time.h>

enum {
	SECONDS = 0x00,
	MINUTES = 0x02,
	HOURS = 0x04,
	WEEKDAY = 0x06,
	DAY = 0x07,
	MONTH = 0x08,
	YEAR = 0x09,
	REG_A = 0x0a,
	REG_B = 0x0b,
	REG_C = 0x0c,
	REG_D = 0x0d,
	CENTURY = 0x32,
};

#define INDEX_MASK 0x7f /* bit 7 masks the NMI */
#define A_UIP 0x80	/* update in progress */
#define A_DEFAULT 0x26	/* 32768 Hz time base, 1024 Hz rate */
#define B_24H 0x02	/* hours 0 to 23; bit 2 clear: BCD */
#define D_VALID 0x80	/* the battery is good */

#define DAY_S 86400
#define MAX_S 253402300799 /* the last second of the year 9999 */

struct date {
	unsigned year, month, day; /* from 1 */
};

static int64_t wall_clock(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec;
}

int rtc_init(struct rtc *r)
{
	*r = (struct rtc){.clock = wall_clock};
	r->cmos[REG_A] = A_DEFAULT;
	r->latched = r->clock();
	return -pthread_mutex_init(&r->lock, NULL);
}

void rtc_destroy(struct rtc *r)
{
	pthread_mutex_destroy(&r->lock);
}

static bool is_leap(unsigned year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/*
 * The date that lies so many days after 1970 began. Not gmtime_r(): that opens /etc/localtime the
 * first time, which a vCPU's thread may not.
 */
static struct date date_of(unsigned days)
{
	static const uint8_t lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	struct date d = {.year = 1970, .month = 1};
	unsigned n;
	while (days >= (n = is_leap(d.year) ? 366 : 365)) {
		days -= n;
		d.year++;
	}
	while (days >= (n = lengths[d.month - 1] + (d.month == 2 && is_leap(d.year)))) {
		days -= n;
		d.month++;
	}
	d.day = days + 1;
	return d;
}

static uint8_t bcd(unsigned v)
{
	return (uint8_t)(v / 10 % 10 << 4 | v % 10);
}

/* The latched second, or a newer one where a reader begins or has fallen asleep. */
static int64_t time_for(struct rtc *r)
{
	int64_t now = r->clock();
	if (now < 0)
		now = 0;
	if (now > MAX_S)
		now = MAX_S;
	bool begins = r->index == SECONDS || r->index == REG_A;
	if (begins || now > r->latched + 1 || now < r->latched)
		r->latched = now;
	return r->latched;
}

static bool is_clock(uint8_t index)
{
	switch (index) {
	case SECONDS:
	case MINUTES:
	case HOURS:
	case WEEKDAY:
	case DAY:
	case MONTH:
	case YEAR:
	case CENTURY: return true;
	default: return false;
	}
}

static uint8_t clock_register(uint8_t index, int64_t t)
{
	uint32_t days = (uint32_t)(t / DAY_S);
	uint32_t s = (uint32_t)(t % DAY_S);
	struct date d = date_of(days);
	switch (index) {
	case SECONDS: return bcd(s % 60);
	case MINUTES: return bcd(s / 60 % 60);
	case HOURS: return bcd(s / 3600);
	case WEEKDAY: return bcd((days + 4) % 7 + 1); /* Sunday is 1; 1970 began on a Thursday */
	case DAY: return bcd(d.day);
	case MONTH: return bcd(d.month);
	case YEAR: return bcd(d.year % 100);
	default: return bcd(d.year / 100);
	}
}

static uint8_t data_read(struct rtc *r)
{
	uint8_t index = r->index;
	if (index == REG_A || is_clock(index)) {
		int64_t t = time_for(r);
		return index == REG_A ? r->cmos[REG_A] : clock_register(index, t);
	}
	switch (index) {
	case REG_B: return B_24H;
	case REG_C: return 0;
	case REG_D: return D_VALID;
	default: return r->cmos[index];
	}
}

static void data_write(struct rtc *r, uint8_t v)
{
	/* What lies under the clock and the other registers is never read. */
	r->cmos[r->index] = r->index == REG_A ? v & (uint8_t)~A_UIP : v;
}

void rtc_read(void *arg, uint64_t off, void *data, unsigned len)
{
	struct rtc *r = arg;
	uint8_t *p = data;
	pthread_mutex_lock(&r->lock);
	/* The index port can't be read back. */
	for (unsigned i = 0; i < len; i++)
		p[i] = off + i == 1 ? data_read(r) : 0xff;
	pthread_mutex_unlock(&r->lock);
}

void rtc_write(void *arg, uint64_t off, const void *data, unsigned len)
{
	struct rtc *r = arg;
	const uint8_t *p = data;
	pthread_mutex_lock(&r->lock);
	for (unsigned i = 0; i < len; i++) {
		if (off + i == 0)
			r->index = p[i] & INDEX_MASK;
		else if (off + i == 1)
			data_write(r, p[i]);
	}
	pthread_mutex_unlock(&r->lock);
}
