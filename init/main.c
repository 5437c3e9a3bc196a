// SPDX-License-Identifier: Apache-2.0
// main.c - mayfly-init: PID 1 of the guest, from the first mount to the reset
#include "agent.h"
#include "base/err.h"
#include "base/io.h"
#include "base/log.h"

#include <sys/reboot.h>
#include <unistd.h>

int main(void)
{
	struct err e = {0};
	uint64_t init_ns = io_now_ns();
	log_init("mayfly-init", LOG_WARN);
	if (getpid() != 1) {
		log_error("this is the guest's PID 1, not a command (see 'mayfly run --help')");
		return 1;
	}
	int ret = agent_run(init_ns, &e);
	/* The host keeps the serial port's last lines: this is how it learns what went wrong. */
	if (ret < 0)
		log_error("%s", e.text);
	sync();
	reboot(RB_AUTOBOOT);
	/* Not reached where reset works; ending PID 1 panics, which resets, too. */
	return 1;
}
