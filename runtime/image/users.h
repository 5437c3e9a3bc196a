// SPDX-License-Identifier: Apache-2.0
// users.h - an image's user, as numbers, by the image's own passwd and group
#ifndef MAYFLY_IMAGE_USERS_H
#define MAYFLY_IMAGE_USERS_H

#include "image/erofs_read.h"
#include "image/image_meta.h"

#define USERS_FILE_MAX (1u << 20) /* more of passwd or group is not looked at */

/*
 * users_resolve() - sets uid, gid, gids and user_known from c->user, which is "", USER, UID,
 * USER:GROUP or any mix with numbers. Numbers need no line in passwd; without one the group is 0.
 * A name that is not there leaves user_known false, and is no failure. Returns 0 or -ENOMEM.
 */
int users_resolve(const struct erofs *fs, struct image_config *c);

#endif
