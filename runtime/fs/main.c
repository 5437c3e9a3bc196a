// SPDX-License-Identifier: Apache-2.0
// main.c - mayfly-fs: serves the shared files of one machine over one socket
//
//     mayfly-fs --config-fd N
//
// N is a sealed memfd with an FsConfig. Ends with 0 when the device closes the socket.
#include "base/checked.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "base/log.h"
#include "fs/fs.h"
#include "fs/fs_server.h"
#include "jailer/seccomp.h"
#include "proto/config.pb-c.h"
#include "proto/jail_link.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONFIG_MAX (1u << 20)

/* O_PATH descriptors and open directories; more does not make anything faster. */
#define CACHED_MAX 8192u
#define DIRS_MAX 1024u
#define FILES_MAX 4096u

static int parse_fd(const char *text)
{
	char *end;
	errno = 0;
	long v = strtol(text, &end, 10);
	return errno != 0 || end == text || *end != '\0' || v < 0 || v > INT_MAX ? -1 : (int)v;
}

static int load_config(int fd, Mayfly__FsConfig **out, struct err *err)
{
	AUTO_FREE char *data = NULL;
	size_t len;
	int ret = io_read_all(fd, CONFIG_MAX, &data, &len);
	if (ret < 0)
		return err_errno(err, -ret, "reading the configuration");
	*out = mayfly__fs_config__unpack(NULL, len, (const uint8_t *)data);
	return *out ? 0 : err_set(err, EPROTO, "the configuration can't be decoded");
}

static int check_socket(int sock, struct err *err)
{
	int type;
	socklen_t len = sizeof(type);
	if (getsockopt(sock, SOL_SOCKET, SO_TYPE, &type, &len) < 0)
		return err_errno(err, errno, "descriptor %d of the device", sock);
	if (type != SOCK_SEQPACKET)
		return err_set(err, EINVAL, "descriptor %d is not SOCK_SEQPACKET", sock);
	int ret = io_set_cloexec(sock, 1);
	return ret < 0 ? err_errno(err, -ret, "descriptor %d of the device", sock) : 0;
}

/* The soft limit goes up to the hard one; shared out among what the guest may have open. */
static int limits_from_rlimit(struct fs_limits *out, struct err *err)
{
	struct rlimit r;
	if (getrlimit(RLIMIT_NOFILE, &r) < 0)
		return err_errno(err, errno, "RLIMIT_NOFILE");
	r.rlim_cur = r.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &r) < 0)
		return err_errno(err, errno, "raising RLIMIT_NOFILE");
	*out = (struct fs_limits){
		.max_bytes = FS_BUDGET_BYTES,
		/* Twice: as many may be held beside the cache. */
		.max_cached = (unsigned)MIN(r.rlim_cur / 4, CACHED_MAX),
		.max_dirs = (unsigned)MIN(r.rlim_cur / 8, DIRS_MAX),
		.max_files = (unsigned)MIN(r.rlim_cur / 8, FILES_MAX),
	};
	return 0;
}

/* From here on this process makes the calls of its table, and the supervisor hears of any other. */
static int confine(const struct fs *fs, int link, struct err *err)
{
	int listener;
	int ret = seccomp_load(fs->writable ? SECCOMP_FS_RW : SECCOMP_FS, &listener);
	if (ret == 0) {
		ret = jail_link_listener(link, listener, "main");
		close(listener);
	}
	return ret < 0 ? err_errno(err, -ret, "can't load the table of allowed system calls") : 0;
}

static int serve(struct fs *fs, int config_fd, struct err *err)
{
	Mayfly__FsConfig *cfg = NULL;
	struct fs_limits limits;
	int sock = -1;
	int ret = load_config(config_fd, &cfg, err);
	close(config_fd);
	if (ret == 0) {
		sock = cfg->socket_fd;
		log_init("mayfly-fs", (enum log_level)MIN(cfg->log_level, LOG_LEVELS - 1u));
		ret = check_socket(sock, err);
	}
	if (ret == 0)
		ret = limits_from_rlimit(&limits, err);
	if (ret == 0)
		ret = fs_init(fs, cfg, &limits, err);
	if (ret == 0 && cfg->seccomp)
		ret = confine(fs, cfg->link_fd, err);
	if (cfg)
		mayfly__fs_config__free_unpacked(cfg, NULL);
	if (ret < 0)
		return ret;
	ret = fs_server_run(fs, sock);
	if (ret < 0)
		return err_errno(err, -ret, "the device's socket");
	return 0;
}

int main(int argc, char **argv)
{
	static struct fs fs;
	struct err err = {.text = ""};
	log_init("mayfly-fs", LOG_WARN);
	/* The guest's own mask is in the modes it sends; a file too large for a limit is EFBIG. */
	umask(0);
	signal(SIGXFSZ, SIG_IGN);
	int fd = argc == 3 && strcmp(argv[1], "--config-fd") == 0 ? parse_fd(argv[2]) : -1;
	if (fd < 0) {
		log_error("usage: mayfly-fs --config-fd N (started by mayfly, not by hand)");
		return 2;
	}
	int ret = serve(&fs, fd, &err);
	if (ret < 0)
		log_error("%s", err.text);
	fs_destroy(&fs);
	return ret < 0 ? 1 : 0;
}
