// SPDX-License-Identifier: Apache-2.0
// single.h - mayfly-jailer as a command: one program in a jail like those of a machine's processes
#ifndef MAYFLY_JAILER_SINGLE_H
#define MAYFLY_JAILER_SINGLE_H

/*
 * single_main() - `mayfly-jailer [OPTION...] -- PROGRAM [ARGUMENT...]`. Returns the exit status:
 * the program's, 128+N if signal N ended it, 125 if it could not be started or made a forbidden
 * call.
 */
int single_main(int argc, char **argv);

#endif
