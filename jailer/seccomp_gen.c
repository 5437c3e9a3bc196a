// SPDX-License-Identifier: Apache-2.0
// seccomp_gen.c - on the building host: compiles the tables, and refuses one that breaks our rules
//
//     seccomp_gen OUT.h      the filters and the calls' names, for seccomp.c
//     seccomp_gen --rows     the tables as text, one row a line, for tests/security
//
// Compiled without -Ijailer: <seccomp.h> is libseccomp's.
#include "base/checked.h"
#include "policy/policy.h"

#include <errno.h>
#include <linux/filter.h>
#include <seccomp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Far above the last number that any kernel knows; new ones are given out one by one. */
#define CALLS_MAX 1024
#define API_LEVEL 6 /* of libseccomp: notifications, whatever the building host's kernel can */
#define CODE_MAX (BPF_MAXINSNS * sizeof(struct sock_filter))

static _Noreturn void give_up(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static _Noreturn void give_up(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	fprintf(stderr, "seccomp_gen: ");
	vfprintf(stderr, fmt, ap);
	fprintf(stderr, "\n");
	va_end(ap);
	exit(1);
}

/* ---- rules ---- */

static bool is_any(const char *call, const char *const *list)
{
	for (; *list; list++)
		if (strcmp(call, *list) == 0)
			return true;
	return false;
}

static bool tests_arg(const struct policy_row *r, unsigned arg)
{
	for (unsigned i = 0; i < POLICY_CMP_MAX; i++)
		if (r->cmp[i].used && r->cmp[i].arg == arg)
			return true;
	return false;
}

static bool without_exec(const struct policy_row *r)
{
	for (unsigned i = 0; i < POLICY_CMP_MAX; i++) {
		const struct policy_cmp *c = &r->cmp[i];
		if (c->used && c->arg == 2 && (c->mask & PROT_EXEC) && !(c->value & PROT_EXEC))
			return true;
	}
	return false;
}

static void check_row(const struct policy *p, const struct policy_row *r)
{
	static const char *const never[] = {"execve",
					    "fork",
					    "vfork",
					    "ptrace",
					    "bpf",
					    "mount",
					    "umount2",
					    "setns",
					    "unshare",
					    "socket",
					    "connect",
					    "bind",
					    "userfaultfd",
					    "keyctl",
					    "add_key",
					    "chroot",
					    "pivot_root",
					    "open",
					    "kill",
					    "tkill",
					    "init_module",
					    "finit_module",
					    "perf_event_open",
					    "io_uring_register",
					    "process_vm_readv",
					    "process_vm_writev",
					    "personality",
					    "pkey_mprotect",
					    "shmat",
					    "open_by_handle_at",
					    NULL};
	/* Of a ring that was limited before: it can do what the table's other rows could not. */
	if (strcmp(r->call, "io_uring_enter") == 0 && (!p->ours || !tests_arg(r, 3)))
		give_up("%s: io_uring_enter without its flags", p->name);
	static const char *const not_ours[] = {"clone",		 "clone3",   "execveat",
					       "seccomp",	 "mprotect", "memfd_create",
					       "io_uring_setup", NULL};
	static const char *const by_second[] = {"ioctl", "fcntl", NULL};
	if (!r->reason || !r->reason[0])
		give_up("%s: %s has no reason", p->name, r->call);
	if (is_any(r->call, never) || (p->ours && is_any(r->call, not_ours)))
		give_up("%s: %s is in no table", p->name, r->call);
	if (is_any(r->call, by_second) && !tests_arg(r, 1))
		give_up("%s: %s without its request", p->name, r->call);
	if (strcmp(r->call, "prctl") == 0 && !tests_arg(r, 0))
		give_up("%s: prctl without its option", p->name);
	if (p->ours && strcmp(r->call, "mmap") == 0 && !without_exec(r))
		give_up("%s: mmap may be executable", p->name);
	if (p->ours && strcmp(r->call, "openat") == 0 && !tests_arg(r, 2))
		give_up("%s: openat without its flags", p->name);
}

static bool same_row(const struct policy_row *a, const struct policy_row *b)
{
	bool same = strcmp(a->call, b->call) == 0;
	for (unsigned i = 0; same && i < POLICY_CMP_MAX; i++) {
		const struct policy_cmp *x = &a->cmp[i];
		const struct policy_cmp *y = &b->cmp[i];
		same = x->used == y->used && x->arg == y->arg && x->mask == y->mask &&
		       x->value == y->value;
	}
	return same;
}

static void check(const struct policy *p)
{
	for (unsigned i = 0; i < p->n; i++) {
		check_row(p, &p->row[i]);
		for (unsigned k = 0; k < i; k++)
			if (same_row(&p->row[i], &p->row[k]))
				give_up("%s: %s is there twice", p->name, p->row[i].call);
	}
}

/* ---- compiling ---- */

static void add_row(scmp_filter_ctx ctx, const struct policy *p, const struct policy_row *r)
{
	struct scmp_arg_cmp cmp[POLICY_CMP_MAX];
	unsigned n = 0;
	int nr = seccomp_syscall_resolve_name(r->call);
	if (nr < 0)
		give_up("%s: libseccomp knows no %s here", p->name, r->call);
	for (unsigned i = 0; i < POLICY_CMP_MAX && r->cmp[i].used; i++) {
		const struct policy_cmp *c = &r->cmp[i];
		cmp[n++] = (struct scmp_arg_cmp){c->arg, SCMP_CMP_MASKED_EQ, c->mask, c->value};
	}
	uint32_t action = r->error ? SCMP_ACT_ERRNO((uint32_t)r->error) : SCMP_ACT_ALLOW;
	int ret = seccomp_rule_add_array(ctx, action, nr, n, cmp);
	if (ret < 0)
		give_up("%s: %s: %s", p->name, r->call, strerror(-ret));
}

static unsigned compile(const struct policy *p, struct sock_filter *code)
{
	uint32_t other = p->kills ? SCMP_ACT_KILL_PROCESS : SCMP_ACT_NOTIFY;
	scmp_filter_ctx ctx = seccomp_init(other);
	if (!ctx)
		give_up("%s: libseccomp has no notifications", p->name);
	/* i386 and x32 calls are in no table either. */
	int ret = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, other);
	if (ret == 0)
		ret = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a binary tree */
	if (ret < 0)
		give_up("%s: %s", p->name, strerror(-ret));
	for (unsigned i = 0; i < p->n; i++)
		add_row(ctx, p, &p->row[i]);
	FILE *f = tmpfile();
	if (!f || seccomp_export_bpf(ctx, fileno(f)) < 0)
		give_up("%s: can't export the filter", p->name);
	ssize_t n = pread(fileno(f), code, CODE_MAX, 0);
	if (n <= 0 || (size_t)n % sizeof(*code) != 0)
		give_up("%s: the filter is empty or too long", p->name);
	fclose(f);
	seccomp_release(ctx);
	return (unsigned)((size_t)n / sizeof(*code));
}

static void write_filter(FILE *out, unsigned t)
{
	static struct sock_filter code[BPF_MAXINSNS];
	unsigned n = compile(policies[t], code);
	fprintf(out, "static const struct sock_filter code_%u[] = {\n", t);
	for (unsigned i = 0; i < n; i++)
		fprintf(out, "\t{0x%x, %u, %u, 0x%x},\n", code[i].code, code[i].jt, code[i].jf,
			code[i].k);
	fprintf(out, "};\n");
}

static void write_header(FILE *out)
{
	fprintf(out, "/* Written by seccomp_gen from jailer/policy. */\n");
	for (unsigned t = 0; t < SECCOMP_TABLES; t++)
		write_filter(out, t);
	fprintf(out, "static const struct compiled filters[] = {\n");
	for (unsigned t = 0; t < SECCOMP_TABLES; t++)
		fprintf(out, "\t{\"%s\", code_%u, sizeof(code_%u) / sizeof(code_%u[0]), %d},\n",
			policies[t]->name, t, t, t, policies[t]->kills);
	fprintf(out, "};\nstatic const char *const call_names[] = {\n");
	for (int nr = 0; nr < CALLS_MAX; nr++) {
		char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_X86_64, nr);
		if (name)
			fprintf(out, "\t[%d] = \"%s\",\n", nr, name);
		free(name);
	}
	fprintf(out, "};\n");
}

static void print_rows(void)
{
	for (unsigned t = 0; t < SECCOMP_TABLES; t++)
		for (unsigned i = 0; i < policies[t]->n; i++) {
			const struct policy_row *r = &policies[t]->row[i];
			printf("%s\t%u\t%s\t", policies[t]->name, i, r->call);
			for (unsigned k = 0; k < POLICY_CMP_MAX && r->cmp[k].used; k++)
				printf("%u&0x%llx=0x%llx ", r->cmp[k].arg,
				       (unsigned long long)r->cmp[k].mask,
				       (unsigned long long)r->cmp[k].value);
			printf("\t%d\t%s\t%s\n", r->error, r->test ? r->test : "", r->reason);
		}
}

int main(int argc, char **argv)
{
	if (argc != 2)
		give_up("usage: seccomp_gen OUT.h | --rows");
	if (seccomp_api_set(API_LEVEL) < 0)
		give_up("libseccomp is older than 2.5");
	for (unsigned t = 0; t < SECCOMP_TABLES; t++)
		check(policies[t]);
	if (strcmp(argv[1], "--rows") == 0) {
		print_rows();
		return 0;
	}
	FILE *out = fopen(argv[1], "w");
	if (!out)
		give_up("%s: %s", argv[1], strerror(errno));
	write_header(out);
	if (fclose(out) != 0)
		give_up("%s: %s", argv[1], strerror(errno));
	return 0;
}
