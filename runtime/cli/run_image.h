// SPDX-License-Identifier: Apache-2.0
// run_image.h - `mayfly run --image`: what the image says of how it is run
#ifndef MAYFLY_CLI_RUN_IMAGE_H
#define MAYFLY_CLI_RUN_IMAGE_H

#include "cli/config.h"
#include "cli/guest_user.h"
#include "image/image_store.h"

struct run_image {
	bool open;
	struct image image;
	char **argv; /* the command, NULL-terminated; its words are the image's or the user's */
	char *default_argv[1];
};

/*
 * run_image_open() - finds c->image and decides what is run: the image's entrypoint, then the
 * user's words, or without any the image's. c->argv and argc are set.
 * Returns 0 or -errno with text; run_image_close() frees what there is in both cases. With c->image
 * NULL nothing happens.
 */
int run_image_open(struct run_image *i, struct vm_config *c, struct err *e);
void run_image_close(struct run_image *i);

/* run_image_user() - who runs the command: as asked, else as the image has it. */
int run_image_user(const struct run_image *i, const struct vm_config *c, struct guest_user *u,
		   struct err *e);

#endif
