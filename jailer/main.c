// SPDX-License-Identifier: Apache-2.0
// main.c - mayfly-jailer: starts the processes of one machine, each in its jail, and cleans up
#include "base/log.h"
#include "proto/config_io.h"
#include "single.h"
#include "supervisor.h"

#include <linux/close_range.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EXIT_FAILED 125

int main(int argc, char **argv)
{
	struct err e = {0};
	ProtobufCMessage *msg;
	log_init("mayfly-jailer", LOG_WARN);
	int fd = config_fd_arg(argc, argv);
	/* What the machine's directory holds is for its owner only, whatever the user's umask. */
	umask(077);
	/* What was passed to us goes to the processes by name only. */
	if (syscall(SYS_close_range, 3, ~0u, CLOSE_RANGE_CLOEXEC) < 0) {
		log_error("can't mark descriptors close-on-exec: this kernel is too old (5.11)");
		return EXIT_FAILED;
	}
	if (fd < 0)
		return single_main(argc, argv);
	if (config_load(fd, &mayfly__jail_config__descriptor, &msg, &e) < 0) {
		log_error("%s", e.text);
		return EXIT_FAILED;
	}
	close(fd);
	const Mayfly__JailConfig *cfg = (const Mayfly__JailConfig *)msg;
	log_init("mayfly-jailer", (enum log_level)cfg->log_level);
	/* Ctrl-C at the terminal is for mayfly to deal with. */
	setsid();
	int ret = supervisor_check(cfg, &e);
	if (ret < 0)
		log_error("%s", e.text);
	else
		ret = supervisor_run(cfg, &e);
	protobuf_c_message_free_unpacked(msg, NULL);
	return ret < 0 ? EXIT_FAILED : 0;
}
