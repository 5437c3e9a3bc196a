// SPDX-License-Identifier: Apache-2.0
// config_limits.c - the options that limit a machine
#include "base/checked.h"
#include "base/opt.h"
#include "cli/config.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PERMILLE 1000u
#define FRACTION_DIGITS 3

/* "1.5" as thousandths; a number with more digits than that is not one that a cgroup can keep. */
static int parse_permille(const char *v, uint64_t *permille)
{
	uint64_t whole = 0;
	const char *p = v;
	for (; isdigit((unsigned char)*p); p++) {
		whole = whole * 10 + (uint64_t)(*p - '0');
		if (whole > CONFIG_MAX_CPUS)
			return -EINVAL;
	}
	if (p == v || (*p != '\0' && *p != '.'))
		return -EINVAL;
	*permille = whole * PERMILLE;
	if (*p == '\0')
		return 0;
	uint64_t scale = PERMILLE;
	const char *fraction = ++p;
	for (; isdigit((unsigned char)*p) && p - fraction < FRACTION_DIGITS; p++) {
		scale /= 10;
		*permille += (uint64_t)(*p - '0') * scale;
	}
	return *p == '\0' && p > fraction ? 0 : -EINVAL;
}

int config_set_cpus(void *ctx, const char *v, struct err *e)
{
	struct vm_config *c = ctx;
	uint64_t permille = 0;
	int ret = parse_permille(v, &permille);
	if (ret < 0 || permille < CONFIG_MIN_PERMILLE ||
	    permille > (uint64_t)CONFIG_MAX_CPUS * PERMILLE)
		return err_set(e, EINVAL,
			       "'%s' is not a whole number from 1 to %d, nor a fraction from 0.05 "
			       "(at most three digits behind the point)",
			       v, CONFIG_MAX_CPUS);
	c->cpus = (uint32_t)((permille + PERMILLE - 1) / PERMILLE);
	/* All of its CPUs' time is what a machine has without a limit. */
	c->cpu_permille = permille % PERMILLE ? (uint32_t)permille : 0;
	return 0;
}

int config_set_pids(void *ctx, const char *v, struct err *e)
{
	uint64_t n = 0;
	int ret = opt_u64(v, CONFIG_MIN_PIDS, CONFIG_MAX_PIDS, &n, e);
	((struct vm_config *)ctx)->pids = (uint32_t)n;
	return ret;
}

int config_set_idle_timeout(void *ctx, const char *v, struct err *e)
{
	return opt_duration(v, &((struct vm_config *)ctx)->idle_timeout_ns, e);
}

int config_set_output_limit(void *ctx, const char *v, struct err *e)
{
	uint64_t *field = &((struct vm_config *)ctx)->output_limit;
	int ret = opt_bytes(v, field, e);
	return ret == 0 && *field == 0 ? err_set(e, EINVAL, "'%s' would let nothing out", v) : ret;
}

int config_set_disk_limit(void *ctx, const char *v, struct err *e)
{
	uint64_t *field = &((struct vm_config *)ctx)->disk_limit;
	int ret = opt_bytes(v, field, e);
	if (ret == 0 && *field < CONFIG_MIN_DISK_LIMIT)
		return err_set(e, EINVAL, "'%s' is less than 1M", v);
	return ret;
}

int config_set_force_memory(void *ctx, const char *v, struct err *e)
{
	(void)v;
	(void)e;
	((struct vm_config *)ctx)->force_memory = true;
	return 0;
}

int config_check_limits(const struct vm_config *c, struct err *e)
{
	if (c->cpu_permille && c->jail == JAIL_MODE_NONE)
		return err_set(e, EINVAL,
			       "--cpus %g needs a cgroup, and --no-jail has none (use a whole "
			       "number)",
			       (double)c->cpu_permille / PERMILLE);
	if (c->disk_limit && c->scratch)
		return err_set(e, EINVAL,
			       "--disk-limit is for changes in the guest's memory; with --scratch "
			       "its size is the limit");
	if (c->disk_limit > c->memory / 2)
		return err_set(
			e, EINVAL,
			"--disk-limit of %llu MiB is more than half of the guest's %llu MiB "
			"of memory, where changes are kept (use --scratch, or more --memory)",
			(unsigned long long)(c->disk_limit >> 20),
			(unsigned long long)(c->memory >> 20));
	return 0;
}
