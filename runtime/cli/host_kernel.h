// SPDX-License-Identifier: Apache-2.0
// host_kernel.h - what the host's kernel lets this user do: namespaces, Landlock, seccomp, tun
#ifndef MAYFLY_CLI_HOST_KERNEL_H
#define MAYFLY_CLI_HOST_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HOST_KERNEL_NO_VALUE INT64_MIN

/* How far the making of namespaces came. */
enum host_kernel_step {
	HOST_KERNEL_NS_DONE,
	HOST_KERNEL_NS_USER,   /* the user namespace itself was refused */
	HOST_KERNEL_NS_IDS,    /* its id map was */
	HOST_KERNEL_NS_OTHERS, /* the other namespaces in it were */
	HOST_KERNEL_NS_PROC,   /* a procfs for them was */
	HOST_KERNEL_NS_MOUNT,  /* other mounts in them were */
	HOST_KERNEL_NS_UNKNOWN /* the child that tried gave no answer */
};

struct host_kernel_ns {
	enum host_kernel_step step;
	int error;	  /* errno of the step, 0 when done */
	bool proc_masked; /* done, but a procfs was refused: something covers parts of /proc */
};

struct host_kernel {
	struct host_kernel_ns user_ns;	/* with a user namespace around */
	struct host_kernel_ns plain_ns; /* without one, as root */
	int64_t max_user_ns;		/* sysctls; HOST_KERNEL_NO_VALUE: not there */
	int64_t userns_clone;
	int64_t apparmor_restrict;
	bool filtered;	    /* a seccomp filter, a container's most likely, is on this process */
	bool sys_admin;	    /* it has CAP_SYS_ADMIN */
	char confined[64];  /* the AppArmor profile enforced on it, empty: none */
	int landlock_abi;   /* 0 or less: -errno */
	int seccomp_notify; /* 0: there, else -errno */
	bool tun_present;
	int tun_open; /* 0: opens, else -errno */
};

/* host_kernel_look() - tries everything, namespaces in children. Leaves nothing behind. */
void host_kernel_look(struct host_kernel *k);

/* host_kernel_step_name() - what was refused, for a sentence: "the user namespace", ... */
const char *host_kernel_step_name(enum host_kernel_step step);

/* host_kernel_status() - a number of /proc/PID/status' text, HOST_KERNEL_NO_VALUE if not there. */
int64_t host_kernel_status(const char *text, const char *name, int base);

/* host_kernel_profile() - the enforced AppArmor profile out of a label's text, "" for none. */
void host_kernel_profile(char *out, size_t size, const char *label);

/* host_kernel_file() - a file that holds one whole number, HOST_KERNEL_NO_VALUE if it doesn't. */
int64_t host_kernel_file(const char *path);

/* host_kernel_number() - a file's text as one whole number, HOST_KERNEL_NO_VALUE if it isn't. */
int64_t host_kernel_number(const char *text);

#endif
