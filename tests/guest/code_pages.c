// SPDX-License-Identifier: Apache-2.0
// code_pages.c - runs code from files whose pages take each other's place in memory
//
// Two files hold a function each, mapped in turn at one address and thrown out of the page cache
// in between, so that the second often gets the very page of the first. An emulator that keeps
// translations of a page which a device filled behind its back runs the wrong function.
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#define ROUNDS 300
#define AT ((void *)0x10000000)

int main(int argc, char **argv)
{
	static const int expected[2] = {111, 222};
	int wrong = 0;
	if (argc != 3)
		return 2;
	for (int i = 0; i < ROUNDS; i++) {
		int fd = open(argv[1 + (i & 1)], O_RDONLY | O_CLOEXEC);
		void *p = mmap(AT, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, fd, 0);
		if (fd < 0 || p == MAP_FAILED)
			return 3;
		wrong += ((int (*)(void))p)() != expected[i & 1];
		munmap(p, 4096);
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
		close(fd);
	}
	printf("wrong=%d\n", wrong);
	return 0;
}
