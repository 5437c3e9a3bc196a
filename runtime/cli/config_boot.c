// SPDX-License-Identifier: Apache-2.0
// config_boot.c - the option rows of `mayfly boot`
#include "base/checked.h"
#include "base/opt.h"
#include "boot/boot.h"
#include "cli/config.h"
#include "cli/config_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int set_initrd(void *ctx, const char *v, struct err *e)
{
	if (v[0] == '\0')
		return err_set(e, EINVAL, "the name is empty");
	((struct vm_config *)ctx)->init = v;
	return 0;
}

static int set_append(void *ctx, const char *v, struct err *e)
{
	(void)e;
	((struct vm_config *)ctx)->append = v;
	return 0;
}

static int set_protocol(void *ctx, const char *v, struct err *e)
{
	static const char *const names[] = {
		[BOOT_AUTO] = "auto", [BOOT_LINUX64] = "linux", [BOOT_PVH] = "pvh"};
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(v, names[i]) == 0) {
			((struct vm_config *)ctx)->protocol = i;
			return 0;
		}
	return err_set(e, EINVAL, "'%s' is none of auto, linux, pvh", v);
}

static const struct opt boot_options[] = {
	{"kernel", 'k', "FILE", "ELF vmlinux or bzImage (default: mayfly's own)",
	 config_set_kernel},
	{"initrd", 'i', "FILE", "initial RAM disk", set_initrd},
	{"append", 'a', "WORDS",
	 "more words for the kernel's command line, behind 'console=ttyS0 panic=-1 reboot=...'",
	 set_append},
	{"disk", 0, "FILE[:ro]", "a raw disk, /dev/vda and so on (repeatable)", config_set_disk},
	{"engine", 0, "auto|tcg|kvm", "what runs the guest's CPU (default auto)",
	 config_set_engine},
	{"cpus", 0, "N", "virtual CPUs, 1 to 32 (default 1); 0.5: one, and half of a CPU's time",
	 config_set_cpus},
	{"memory", 'm', "SIZE", "guest memory, 64M to 64G (default 1G)", config_set_memory},
	{"force-memory", 0, NULL, "start also if the host has less memory than that",
	 config_set_force_memory},
	{"timeout", 't', "TIME", "end the machine after this time (10s, 5m, 2h): status 124",
	 config_set_timeout},
	{"protocol", 0, "auto|linux|pvh",
	 "kvm: how the kernel is entered (default: PVH if it has the note)", set_protocol},
	{"trace-exits", 0, NULL, "kvm: count at the end why the guest's CPUs came back",
	 config_set_trace_exits},
	{"jail", 0, "full|reduced", "reduced: without namespaces, where the host forbids them",
	 config_set_jail},
	{"no-jail", 0, NULL, "for debugging only: no jail at all; never as root",
	 config_set_no_jail},
	{"uid-range", 0, "FIRST:COUNT", "as root: the ids that machines run under",
	 config_set_uid_range},
	{"timings", 0, "=svg[:FILE]",
	 "say at the end where the time went, on standard error, or as a picture",
	 config_set_timings},
	{"verbose", 'v', NULL, "say what is done and what the machine's parts report",
	 config_set_verbose},
	{"status-fd", 0, "N", "write the verdict as one JSON object to this descriptor",
	 config_set_status_fd},
	{"config", 0, "FILE", "options from a JSON object; those given here win",
	 config_set_config},
	{"help", 'h', NULL, "show this help", config_set_help},
};

int config_parse_boot(struct vm_config *c, int argc, char **argv, struct err *e)
{
	int rest = 0;
	c->boot = true;
	c->console = true;
	int ret = config_file_first(c, boot_options, ARRAY_SIZE(boot_options), argc, argv, e);
	if (ret == 0)
		ret = opt_parse(boot_options, ARRAY_SIZE(boot_options), c, argc, argv, &rest, e);
	if (ret < 0 || c->help)
		return ret;
	if (rest < argc)
		return err_set(e, EINVAL, "'%s': boot takes options only", argv[rest]);
	return config_check_limits(c, e);
}

void config_help_boot(void)
{
	printf("usage: mayfly boot [options]\n\n"
	       "Boots a kernel with its serial console on standard input and output. The machine\n"
	       "has the disks that are named, no network and no shared files: CPUs, memory, a\n"
	       "serial port, a source of randomness. Exit status: 0 if the guest reset itself, 1 "
	       "if its kernel\n"
	       "panicked, 2 after a triple fault (kvm; tcg can't tell it from a reset), 124:\n"
	       "timeout, 125: mayfly failed.\n\n"
	       "options:\n");
	opt_help(stdout, boot_options, ARRAY_SIZE(boot_options));
}
