// SPDX-License-Identifier: Apache-2.0
// proc_alone.h - a child of the agent that keeps one socket and nothing else
#ifndef MAYFLY_INIT_PROC_ALONE_H
#define MAYFLY_INIT_PROC_ALONE_H

/*
 * proc_alone() - closes all descriptors behind standard error but fd: no other connection may
 * outlive its owner here.
 */
void proc_alone(int fd);

#endif
