// SPDX-License-Identifier: Apache-2.0
// fuzz_image_import.c - bytes as an image archive: manifests, layers, the image, its export
// links: runtime/image/convert.c
//
// Input: the archive. What is made of it must be an image that our reader and the export take.
// The result's JSON must survive its way to the parent.
#include "image/convert.h"
#include "image/erofs_read.h"
#include "image/export.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LIMIT (1u << 20)

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int nowhere;

static void must(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "fuzz_image_import: %s\n", what);
		abort();
	}
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
	must(nowhere >= 0, "/dev/null");
	return 0;
}

static void check_result(const struct converted *r)
{
	struct converted twin;
	struct err e = {0};
	json_t *o = converted_json(r);
	char *text = o ? json_dumps(o, 0) : NULL;
	must(text != NULL, "JSON of the result");
	must(converted_parse(text, strlen(text), &twin, &e) == 0, e.text);
	must(twin.files == r->files && twin.config.ngids == r->config.ngids, "the result's twin");
	converted_free(&twin);
	free(text);
	json_decref(o);
}

static int import(const uint8_t *data, size_t size, int out)
{
	struct source s = {.max_bytes = LIMIT, .fd = memfd_create("in", MFD_CLOEXEC)};
	struct converted r;
	struct erofs fs;
	struct err e = {0};
	must(s.fd >= 0 && write(s.fd, data, size) == (ssize_t)size, "input");
	const struct convert c = {.src = &s, .platform = MANIFEST_PLATFORM, .out = out};
	int ret = convert(&c, &r, &e);
	close(s.fd);
	if (ret < 0) {
		must(e.text[0] != '\0', "a failure without a text");
		return ret;
	}
	must(erofs_open(&fs, out, &e) == 0, e.text);
	must(export_tar(out, nowhere, NULL, NULL, &e) == 0, e.text);
	check_result(&r);
	converted_free(&r);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int out = memfd_create("out", MFD_CLOEXEC);
	import(data, size, out);
	close(out);
	return 0;
}
