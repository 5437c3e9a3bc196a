// SPDX-License-Identifier: Apache-2.0
// launch_proc.c - the descriptors, arguments and configuration of one process of a machine
#include "base/cleanup.h"
#include "cli/launch.h"
#include "proto/config_io.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* Remembers a descriptor to be closed after the launch; passes errors on. */
int launch_own(struct launch *l, int fd)
{
	if (fd >= 0 && l->n_fd < sizeof(l->fd) / sizeof(l->fd[0]))
		l->fd[l->n_fd++] = fd;
	return fd;
}

int launch_pair(struct launch *l, int type, int *near, int *far, struct err *e)
{
	int sv[2];
	if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, sv) < 0)
		return err_errno(e, errno, "can't make a socket pair");
	*near = sv[0];
	*far = launch_own(l, sv[1]);
	return 0;
}

/* Gives a descriptor to a process; returns the number it has there. */
int launch_give_as(struct proc *p, int fd, int as)
{
	size_t i = p->p.n_fd;
	if (i == JAIL_MAX_FDS)
		return -1;
	mayfly__fd_map__init(&p->map[i]);
	p->map[i].from = fd;
	p->map[i].to = as;
	p->map_ptr[i] = &p->map[i];
	p->p.n_fd++;
	return as;
}

int launch_give(struct proc *p, int fd)
{
	return launch_give_as(p, fd, p->next++);
}

void launch_proc_word(ProtobufCBinaryData *list, size_t *n, const char *word)
{
	list[*n].data = (uint8_t *)(uintptr_t)word;
	list[*n].len = strlen(word);
	++*n;
}

int launch_proc_init(struct launch *l, unsigned which, int exec_fd)
{
	struct proc *p = &l->proc[which];
	mayfly__jail_process__init(&p->p);
	p->p.name = (char *)(uintptr_t)machine_process_name(which);
	p->p.exec_fd = exec_fd;
	p->p.fd = p->map_ptr;
	p->p.argv = p->argv;
	p->p.env = p->env;
	p->p.file = p->file_ptr;
	p->p.tree = p->tree;
	p->p.readable = p->readable;
	p->p.writable = p->writable;
	p->next = LAUNCH_FIRST_FD;
	launch_give_as(p, l->null_fd, 0);
	launch_give_as(p, l->log_far[which], 1);
	launch_give_as(p, l->log_far[which], 2);
	return 0;
}

/* Our own processes take one argument: where their configuration is. */
int launch_proc_config(struct launch *l, unsigned which, const char *program,
		       const ProtobufCMessage *msg, struct err *e)
{
	struct proc *p = &l->proc[which];
	int fd = launch_own(l, config_memfd(program, msg));
	if (fd < 0)
		return err_errno(e, -fd, "can't write the configuration of %s", program);
	snprintf(p->config_arg, sizeof(p->config_arg), "%d", launch_give(p, fd));
	launch_proc_word(p->argv, &p->p.n_argv, program);
	launch_proc_word(p->argv, &p->p.n_argv, "--config-fd");
	launch_proc_word(p->argv, &p->p.n_argv, p->config_arg);
	return 0;
}

bool launch_jailed(const struct vm_config *c)
{
	return c->jail != JAIL_MODE_NONE;
}

/* A socket between a process and the supervisor; returns the process's number for it. */
int launch_link(struct launch *l, struct proc *p, struct err *e)
{
	int sv[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0)
		return err_errno(e, errno, "can't make a socket pair");
	p->p.link_fd = launch_own(l, sv[0]);
	return launch_give(p, launch_own(l, sv[1]));
}

int launch_give_if(struct proc *p, int fd)
{
	return fd < 0 ? -1 : launch_give(p, fd);
}
