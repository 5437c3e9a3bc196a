// SPDX-License-Identifier: Apache-2.0
// cpu_work.c - the same work on every CPU at the same time; says what each made of it
//
//   cpu_work ROUNDS
//
// Prints for each CPU where the work ran and its result, the CPU time of its process, what the
// kernel counted for that CPU meanwhile and how much of that the host took away, in milliseconds.
#define _GNU_SOURCE
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_CPUS 64

struct part {
	int cpu; /* where it ended */
	uint64_t result;
	long user_ms;
	long ticks, stolen; /* of the CPU, before */
};

/* A tick after the host took away more than a tick's time counts as stolen as a whole: where two
 * CPUs take turns on one of the host's, all of them may, so that only the sum says "busy". */
static long cpu_ticks(int cpu, long *stolen)
{
	char line[256], name[16];
	long user = 0, nice = 0;
	int n = snprintf(name, sizeof(name), "cpu%d ", cpu);
	FILE *f = fopen("/proc/stat", "r");
	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, name, (size_t)n) == 0)
			sscanf(line + n, "%ld %ld %*d %*d %*d %*d %*d %ld", &user, &nice, stolen);
	if (f)
		fclose(f);
	return user + nice + *stolen;
}

static void work(struct part *p, uint64_t rounds)
{
	struct rusage u;
	uint64_t x = 88172645463325252u;
	for (uint64_t i = 0; i < rounds; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
	}
	p->result = x;
	p->cpu = sched_getcpu();
	getrusage(RUSAGE_SELF, &u);
	p->user_ms = u.ru_utime.tv_sec * 1000 + u.ru_utime.tv_usec / 1000;
}

int main(int argc, char **argv)
{
	uint64_t rounds = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
	long n = sysconf(_SC_NPROCESSORS_ONLN);
	struct part *part = mmap(NULL, MAX_CPUS * sizeof(*part), PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (n > MAX_CPUS || part == MAP_FAILED)
		return 2;
	for (int i = 0; i < n; i++) {
		cpu_set_t set;
		part[i].ticks = cpu_ticks(i, &part[i].stolen);
		CPU_ZERO(&set);
		CPU_SET(i, &set);
		if (fork() == 0) {
			if (sched_setaffinity(0, sizeof(set), &set) == 0)
				work(&part[i], rounds);
			_exit(0);
		}
	}
	while (wait(NULL) > 0)
		;
	for (int i = 0; i < n; i++) {
		long hz = sysconf(_SC_CLK_TCK), stolen = 0, ticks = cpu_ticks(i, &stolen);
		printf("work=%d %016llx %ld %ld %ld\n", part[i].cpu,
		       (unsigned long long)part[i].result, part[i].user_ms,
		       (ticks - part[i].ticks) * 1000 / hz, (stolen - part[i].stolen) * 1000 / hz);
	}
	return 0;
}
