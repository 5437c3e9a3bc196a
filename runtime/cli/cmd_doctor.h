// SPDX-License-Identifier: Apache-2.0
// cmd_doctor.h - `mayfly doctor`: what this host offers, and what mayfly will therefore do
#ifndef MAYFLY_CLI_CMD_DOCTOR_H
#define MAYFLY_CLI_CMD_DOCTOR_H

/*
 * cmd_doctor() - the command; argv[0] is its name.
 * Returns the exit status: 0 if `mayfly run` can work here, 1 if not (or the report could not be
 * written), 125 for bad usage.
 */
int cmd_doctor(int argc, char **argv);

#endif
