// SPDX-License-Identifier: Apache-2.0
// exits.h - exit statuses of `mayfly image`
#ifndef MAYFLY_IMAGE_EXITS_H
#define MAYFLY_IMAGE_EXITS_H

#define EXIT_FAILED 1
#define EXIT_USAGE 125

#endif
