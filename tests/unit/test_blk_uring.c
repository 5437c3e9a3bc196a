// SPDX-License-Identifier: Apache-2.0
// test_blk_uring.c - what the ring of a disk refuses: everything but its file and its operations
#include "virtio/blk_uring.h"

#include "base/checked.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
	struct io_uring ring;
	int fd;
};

static struct fixture fix;

static int setup(void **state)
{
	fix.fd = memfd_create("disk", MFD_CLOEXEC);
	*state = &fix;
	return fix.fd < 0 || ftruncate(fix.fd, 8192) < 0 ? -1 : blk_uring_setup(&fix.ring, fix.fd);
}

static int teardown(void **state)
{
	(void)state;
	io_uring_queue_exit(&fix.ring);
	close(fix.fd);
	return 0;
}

static int result(struct fixture *f)
{
	struct io_uring_cqe *c;
	assert_int_equal(io_uring_submit_and_wait(&f->ring, 1), 1);
	assert_int_equal(io_uring_peek_cqe(&f->ring, &c), 0);
	int res = c->res;
	io_uring_cqe_seen(&f->ring, c);
	return res;
}

static void test_allowed(void **state)
{
	struct fixture *f = *state;
	char buf[16];
	struct iovec iov = {.iov_base = buf, .iov_len = sizeof(buf)};
	struct io_uring_sqe *s = io_uring_get_sqe(&f->ring);
	io_uring_prep_readv(s, 0, &iov, 1, 0);
	s->flags |= IOSQE_FIXED_FILE;
	assert_int_equal(result(f), sizeof(buf));
}

static void test_other_operations(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "x"};
	char buf[16];
	struct open_how how = {.flags = O_RDONLY};
	struct statx stx;
	for (unsigned i = 0; i < 12; i++) {
		struct io_uring_sqe *s = io_uring_get_sqe(&f->ring);
		switch (i) {
		case 0: io_uring_prep_openat(s, AT_FDCWD, "/etc/passwd", O_RDONLY, 0); break;
		case 1: io_uring_prep_openat2(s, AT_FDCWD, "/etc/passwd", &how); break;
		case 2: io_uring_prep_connect(s, 0, (struct sockaddr *)&un, sizeof(un)); break;
		case 3: io_uring_prep_socket(s, AF_UNIX, SOCK_STREAM, 0, 0); break;
		case 4: io_uring_prep_accept(s, 0, NULL, NULL, 0); break;
		case 5: io_uring_prep_sendmsg(s, 0, NULL, 0); break;
		case 6: io_uring_prep_read(s, 0, buf, sizeof(buf), 0); break;
		case 7: io_uring_prep_unlinkat(s, AT_FDCWD, "x", 0); break;
		case 8: io_uring_prep_statx(s, AT_FDCWD, "/", 0, 0, &stx); break;
		case 9: io_uring_prep_splice(s, 0, 0, 0, 0, 1, 0); break;
		case 10: io_uring_prep_close(s, f->fd); break;
		default: io_uring_prep_nop(s);
		}
		s->flags |= IOSQE_FIXED_FILE;
		assert_int_equal(result(f), -EACCES);
	}
	assert_true(fcntl(f->fd, F_GETFD) >= 0);
}

/* Any descriptor of the process but the registered file; also with other flags beside. */
static void test_other_files(void **state)
{
	struct fixture *f = *state;
	char buf[16];
	struct iovec iov = {.iov_base = buf, .iov_len = sizeof(buf)};
	static const unsigned flags[] = {0, IOSQE_FIXED_FILE | IOSQE_IO_DRAIN,
					 IOSQE_FIXED_FILE | IOSQE_IO_LINK};
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		struct io_uring_sqe *s = io_uring_get_sqe(&f->ring);
		io_uring_prep_readv(s, flags[i] ? 0 : f->fd, &iov, 1, 0);
		s->flags |= (uint8_t)flags[i];
		assert_int_equal(result(f), -EACCES);
	}
	struct io_uring_sqe *s = io_uring_get_sqe(&f->ring);
	io_uring_prep_readv(s, 1, &iov, 1, 0);
	s->flags |= IOSQE_FIXED_FILE;
	assert_int_equal(result(f), -EBADF);
}

static void test_no_registrations(void **state)
{
	struct fixture *f = *state;
	int fd = f->fd;
	struct iovec iov = {.iov_base = &fd, .iov_len = sizeof(fd)};
	assert_int_equal(io_uring_register_files_update(&f->ring, 0, &fd, 1), -EACCES);
	assert_int_equal(io_uring_register_buffers(&f->ring, &iov, 1), -EACCES);
	assert_int_equal(io_uring_unregister_files(&f->ring), -EACCES);
	assert_int_equal(io_uring_register_eventfd(&f->ring, fd), -EACCES);
}

static void test_no_file(void **state)
{
	struct io_uring ring;
	(void)state;
	assert_int_equal(blk_uring_setup(&ring, -1), 0);
	io_uring_queue_exit(&ring);
	assert_int_equal(blk_uring_setup(&ring, 1000000), -EBADF);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_allowed),	  T(test_other_operations),	  T(test_other_files),
		T(test_no_registrations), cmocka_unit_test(test_no_file),
	};
	return cmocka_run_group_tests_name("blk_uring", tests, NULL, NULL);
}
