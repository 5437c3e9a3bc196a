// SPDX-License-Identifier: Apache-2.0
// entropy.c - random numbers before the first command asks for some
#include "entropy.h"

#include "base/cleanup.h"
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/random.h>

#define SEED_BYTES 64
#define WAIT_NS 5000000000ull
#define STEP_MS 10

static bool seeded(void)
{
	char byte;
	return getrandom(&byte, 1, GRND_NONBLOCK) == 1;
}

/* The kernel credits the device's bytes by itself as well, but when it pleases. */
static void seed_from_device(int hwrng)
{
	_Alignas(struct rand_pool_info) unsigned char
		room[sizeof(struct rand_pool_info) + SEED_BYTES];
	struct rand_pool_info *seed = (struct rand_pool_info *)room;
	AUTO_CLOSE int fd = open("/dev/urandom", O_WRONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(hwrng, seed->buf, SEED_BYTES) : -1;
	if (n <= 0)
		return;
	seed->entropy_count = (int)n * 8;
	seed->buf_size = (int)n;
	if (ioctl(fd, RNDADDENTROPY, seed) == 0)
		ioctl(fd, RNDRESEEDCRNG);
}

int entropy_ready(struct err *e)
{
	if (seeded())
		return 0;
	uint64_t deadline = io_now_ns() + WAIT_NS;
	AUTO_CLOSE int hwrng = open("/dev/hwrng", O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	while (!seeded()) {
		if (hwrng >= 0)
			seed_from_device(hwrng);
		if (io_now_ns() >= deadline)
			return err_set(
				e, ETIMEDOUT,
				"the kernel's random numbers are not seeded: it has no driver "
				"for the rng device, and its own sources are too slow");
		poll(NULL, 0, seeded() ? 0 : STEP_MS);
	}
	return 0;
}
