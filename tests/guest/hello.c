// SPDX-License-Identifier: Apache-2.0
// hello.c - says how wide its pointers are and what it was called with
#include <stdio.h>

int main(int argc, char **argv)
{
	printf("hello %zu %d %s\n", sizeof(void *) * 8, argc - 1, argc > 1 ? argv[1] : "-");
	return 7;
}
