// SPDX-License-Identifier: Apache-2.0
// rtc.h - a PC's CMOS clock: the host's time in UTC, 128 bytes, no alarms, no interrupts
//
// The clock can't be set: writes to it are ignored, the rest is memory. An update is never in
// progress (register 0x0A), so nobody polls for its end.
#ifndef MAYFLY_DEVICE_RTC_H
#define MAYFLY_DEVICE_RTC_H

#include <pthread.h>
#include <stdint.h>

#define RTC_PORT 0x70
#define RTC_NUM_PORTS 2
#define RTC_CMOS_SIZE 128

struct rtc {
	pthread_mutex_t lock;
	int64_t (*clock)(void); /* seconds since 1970; tests set it */
	int64_t latched;	/* the second that the time registers show */
	uint8_t index;
	uint8_t cmos[RTC_CMOS_SIZE];
};

/* rtc_init() - 0 or -errno. */
int rtc_init(struct rtc *r);
void rtc_destroy(struct rtc *r);

/*
 * rtc_read(), rtc_write() - the bus's handlers for ports 0x70 and 0x71, any vCPU's thread, arg is
 * a struct rtc. A wider access is one of a byte to each port in turn.
 */
void rtc_read(void *arg, uint64_t off, void *data, unsigned len);
void rtc_write(void *arg, uint64_t off, const void *data, unsigned len);

#endif
