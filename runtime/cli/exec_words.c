// SPDX-License-Identifier: Apache-2.0
// exec_words.c - a command's arguments, or its environment, on their way to the agent
#include "cli/exec_words.h"

#include "base/checked.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int exec_words_pack(struct exec_words *w, char *const *list, const char *what, struct err *e)
{
	size_t total = 0;
	for (size_t i = 0; list[i]; i++) {
		size_t len = strlen(list[i]) + 1;
		if (len > PROTO_WORD_MAX)
			return err_set(e, E2BIG,
				       "one %s of %zu bytes is longer than the %u KiB Linux takes",
				       what, len - 1, PROTO_WORD_MAX / 1024);
		total += len;
		if (total > PROTO_WORDS_MAX || i >= PROTO_WORDS_COUNT_MAX)
			return err_set(e, E2BIG, "the %ss are larger than %u MiB", what,
				       PROTO_WORDS_MAX >> 20);
	}
	exec_words_free(w);
	w->buf = malloc(total + 1);
	if (!w->buf)
		return err_errno(e, ENOMEM, "%ss", what);
	w->len = total;
	char *p = w->buf;
	for (size_t i = 0; list[i]; i++)
		p = stpcpy(p, list[i]) + 1;
	return 0;
}

int exec_words_send(struct exec_words *w, bool env, struct frame_conn *c)
{
	while (w->sent < w->len && frame_room(c)) {
		Mayfly__Frame f = MAYFLY__FRAME__INIT;
		Mayfly__ExecWords x = MAYFLY__EXEC_WORDS__INIT;
		x.env = env;
		x.data.data = (uint8_t *)w->buf + w->sent;
		x.data.len = MIN(w->len - w->sent, (size_t)PROTO_DATA_MAX);
		f.body_case = MAYFLY__FRAME__BODY_EXEC_WORDS;
		f.exec_words = &x;
		int ret = frame_send(c, &f);
		if (ret < 0)
			return ret;
		w->sent += x.data.len;
	}
	return w->sent == w->len;
}

void exec_words_free(struct exec_words *w)
{
	free(w->buf);
	*w = (struct exec_words){0};
}
