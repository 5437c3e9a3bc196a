// SPDX-License-Identifier: Apache-2.0
// fuzz_vhost_user.c - a taken-over QEMU: messages and descriptors against the vhost-user back end
// links: runtime/virtio/vhost_user.c runtime/virtio/vhost_user_msg.c runtime/virtio/vhost_user_mem.c runtime/virtio/virtio.c runtime/virtio/queue.c runtime/virtio/chain.c runtime/vmm/gmem.c tests/lib/vu_front.c
//
// Input: a list of steps, see step(). The back end must survive any of them, and leave nothing
// open and nothing mapped behind.
#include "base/checked.h"
#include "base/cleanup.h"
#include "base/fdpass.h"
#include "lib/vu_front.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum step { STEP_MESSAGE, STEP_RAW, STEP_HANDSHAKE, STEP_ADD, STEP_POKE, STEP_KICK, STEPS };
enum fd_kind { FD_RAM, FD_UNSEALED, FD_KICK, FD_CALL, FD_PIPE, FD_NULL, FD_RAM_RO, FD_KINDS };

static int extra[FD_KINDS]; /* those that are the same in each run */

static void must(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "fuzz_vhost_user: %s\n", what);
		abort();
	}
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	int p[2];
	(void)argc;
	(void)argv;
	log_init("fuzz", LOG_ERROR);
	must(pipe2(p, O_CLOEXEC) == 0, "pipe");
	close(p[1]);
	extra[FD_UNSEALED] = vu_front_memfd(VU_FRONT_MEM, 0);
	extra[FD_PIPE] = p[0];
	extra[FD_NULL] = open("/dev/null", O_RDWR | O_CLOEXEC);
	extra[FD_RAM_RO] = vu_front_memfd(VU_FRONT_MEM, F_SEAL_SHRINK | F_SEAL_FUTURE_WRITE);
	return 0;
}

static int fd_of(const struct vu_front *f, unsigned kind)
{
	switch (kind % FD_KINDS) {
	case FD_RAM: return f->memfd;
	case FD_KICK: return f->kick[0];
	case FD_CALL: return f->call[1];
	default: return extra[kind % FD_KINDS];
	}
}

static void drain(struct vu_front *f)
{
	uint8_t buf[4096];
	ssize_t n;
	do {
		n = recv(f->sock, buf, sizeof(buf), MSG_DONTWAIT);
	} while (n > 0);
}

/* [request][flags][size][nfds][fd kinds x 3][payload] */
static size_t message(struct vu_front *f, const uint8_t *d, size_t len)
{
	int fds[FDPASS_MAX];
	if (len < 7)
		return len;
	size_t size = MIN((size_t)d[2], len - 7);
	size_t nfds = d[3] % 12;
	for (size_t i = 0; i < nfds; i++)
		fds[i] = fd_of(f, d[4 + i % 3]);
	vu_front_send_flags(f, d[0], d[1] & ~VU_VERSION, d + 7, (uint32_t)size, fds, nfds);
	drain(f);
	return 7 + size;
}

static size_t raw(struct vu_front *f, const uint8_t *d, size_t len)
{
	size_t n = len > 0 ? MIN((size_t)d[0], len - 1) : 0;
	if (n > 0)
		send(f->sock, d + 1, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	vu_front_run(f);
	drain(f);
	return len > 0 ? n + 1 : 0;
}

static size_t step(struct vu_front *f, const uint8_t *d, size_t len)
{
	size_t n = 0;
	uint64_t one = 1;
	switch (d[0] % STEPS) {
	case STEP_MESSAGE: return 1 + message(f, d + 1, len - 1);
	case STEP_RAW: return 1 + raw(f, d + 1, len - 1);
	case STEP_HANDSHAKE:
		if (f->gone == 0 && f->vu.have == 0 && f->vu.protocol_features == 0)
			vu_front_handshake(f, d[0] & 0x80 ? VIRTIO_F_EVENT_IDX : 0);
		break;
	case STEP_ADD: vu_front_add(f, (d[0] >> 4) % VU_FRONT_QUEUES, "fuzz", true); break;
	case STEP_POKE:
		if (len >= 5) {
			size_t at = (size_t)(d[1] | d[2] << 8) % (VU_FRONT_MEM - 2);
			memcpy(f->mem + at, d + 3, 2);
			n = 4;
		}
		break;
	case STEP_KICK:
		must(write(f->kick[(d[0] >> 4) % VU_FRONT_QUEUES], &one, 8) == 8, "kick");
		vu_front_run(f);
		break;
	}
	return 1 + n;
}

/* The number a new descriptor gets shows whether one is left open. */
static int lowest_free(void)
{
	int fd = fcntl(extra[FD_NULL], F_DUPFD_CLOEXEC, 0);
	close(fd);
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct vu_front f;
	int lowest = lowest_free();
	vu_front_init(&f);
	for (unsigned i = 0; i < 64 && size > 0 && f.gone == 0; i++) {
		size_t n = MIN(step(&f, data, size), size);
		data += n;
		size -= n;
		must(f.gone <= 1, "gone more than once");
		must(f.echo.dev.mem.n <= GMEM_MAX_REGIONS, "regions");
	}
	bool gone = f.gone;
	must(!gone || (f.vu.sock.fd < 0 && f.echo.dev.mem.n == 0), "something left after the end");
	vu_front_destroy(&f);
	for (unsigned q = 0; q < VIRTIO_DEV_MAX_QUEUES; q++)
		must(!f.echo.dev.vq[q].started && f.echo.dev.vq[q].call_fd < 0 &&
			     f.vu.ring[q].kick.fd < 0,
		     "a ring left after the end");
	must(lowest_free() == lowest, "a descriptor is left open");
	return 0;
}
