// SPDX-License-Identifier: Apache-2.0
// test_convert.c - kinds, layers, whiteouts and limits, with archives made here
// links: runtime/image/convert.c runtime/image/source.c runtime/image/manifest.c
// links: runtime/image/unpack.c runtime/image/unpack_dir.c runtime/image/export.c
#include "image/convert.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "image/erofs_read.h"
#include "image/export.h"

#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static struct err e;

struct file {
	const char *name;
	mode_t mode;
	const char *text; /* or a link's target */
};

/* A tar archive of them in a memfd, with an eye on the filter. */
static int tar(const struct file *f, size_t n, bool gzip)
{
	int fd = memfd_create("tar", MFD_CLOEXEC);
	struct archive *a = archive_write_new();
	archive_write_set_format_pax_restricted(a);
	if (gzip)
		archive_write_add_filter_gzip(a);
	assert_int_equal(archive_write_open_fd(a, fd), ARCHIVE_OK);
	for (size_t k = 0; k < n; k++) {
		struct archive_entry *entry = archive_entry_new();
		archive_entry_set_pathname(entry, f[k].name);
		archive_entry_set_mode(entry, f[k].mode);
		if (S_ISLNK(f[k].mode))
			archive_entry_set_symlink(entry, f[k].text);
		size_t len = S_ISREG(f[k].mode) ? strlen(f[k].text) : 0;
		archive_entry_set_size(entry, (la_int64_t)len);
		assert_int_equal(archive_write_header(a, entry), ARCHIVE_OK);
		assert_int_equal(archive_write_data(a, f[k].text, len), len);
		archive_entry_free(entry);
	}
	archive_write_free(a);
	return fd;
}

/* Content of a memfd as text, hex of its digest. */
static char *content(int fd, char hex[65], size_t *len)
{
	*len = (size_t)lseek(fd, 0, SEEK_END);
	char *text = calloc(1, *len + 1);
	uint8_t digest[SHA256_DIGEST_SIZE];
	struct sha256_ctx ctx;
	assert_int_equal(pread(fd, text, *len, 0), *len);
	sha256_init(&ctx);
	sha256_update(&ctx, *len, (const uint8_t *)text);
	sha256_digest(&ctx, sizeof(digest), digest);
	for (size_t i = 0; i < sizeof(digest); i++)
		snprintf(hex + 2 * i, 3, "%02x", digest[i]);
	return text;
}

static int run(int fd, uint64_t max, struct converted *r, int *out)
{
	struct source s = {.fd = fd, .max_bytes = max};
	*out = memfd_create("out", MFD_CLOEXEC);
	const struct convert c = {.src = &s, .platform = MANIFEST_PLATFORM, .out = *out};
	return convert(&c, r, &e);
}

static char *text_of(int image, const char *path)
{
	struct erofs fs;
	struct erofs_file f;
	assert_int_equal(erofs_open(&fs, image, &e), 0);
	if (erofs_find(&fs, path, &f) < 0)
		return NULL;
	char *text = calloc(1, f.size + 1);
	assert_int_equal(erofs_pread(&fs, &f, 0, text, f.size, &e), 0);
	return text;
}

static void test_plain(void **state)
{
	(void)state;
	static const struct file files[] = {{"a/b", S_IFREG | 0600, "hello"},
					    {".wh.x", S_IFREG | 0600, "w"},
					    {"x", S_IFREG, "x"}};
	struct converted r;
	int out;
	for (int gzip = 0; gzip < 2; gzip++) {
		AUTO_CLOSE int fd = tar(files, ARRAY_SIZE(files), gzip);
		assert_int_equal(run(fd, 7, &r, &out), 0);
		assert_string_equal(r.kind, "tar");
		assert_int_equal(r.files, 5);
		AUTO_FREE char *text = text_of(out, "a/b");
		assert_string_equal(text, "hello");
		AUTO_FREE char *wh = text_of(out, ".wh.x");
		assert_string_equal(wh, "w");
		converted_free(&r);
		close(out);
		assert_int_equal(run(fd, 6, &r, &out), -EFBIG);
		close(out);
	}
}

/* docker save with one upper layer that removes and replaces; the digest is good, or not. */
static int docker(bool broken)
{
	static const struct file lower[] = {{"gone", S_IFREG | 0644, "x"},
					    {"d/old", S_IFREG | 0644, "x"},
					    {"r", S_IFREG | 0644, "lower"}};
	static const struct file upper[] = {{".wh.gone", S_IFREG | 0644, ""},
					    {"d/new", S_IFREG | 0644, "n"},
					    {"d/.wh..wh..opq", S_IFREG | 0644, ""},
					    {"r", S_IFREG | 0644, "upper"}};
	char hex[2][65];
	size_t len;
	char *config;
	AUTO_CLOSE int l = tar(lower, ARRAY_SIZE(lower), false);
	AUTO_CLOSE int u = tar(upper, ARRAY_SIZE(upper), false);
	free(content(l, hex[0], &len));
	free(content(u, hex[1], &len));
	if (broken)
		hex[1][0] = hex[1][0] == '0' ? '1' : '0';
	assert_true(asprintf(&config,
			     "{\"config\":{\"Cmd\":[\"c\"],\"User\":\"9\"},\"rootfs\":{"
			     "\"diff_ids\":[\"sha256:%s\",\"sha256:%s\"]}}",
			     hex[0], hex[1]) > 0);
	int fd = memfd_create("save", MFD_CLOEXEC);
	struct archive *a = archive_write_new();
	archive_write_set_format_pax_restricted(a);
	archive_write_open_fd(a, fd);
	char name[2][80];
	snprintf(name[0], sizeof(name[0]), "%064d/layer.tar", 1);
	snprintf(name[1], sizeof(name[1]), "%064d/layer.tar", 2);
	size_t size[4];
	char *body[4] = {content(l, hex[0], &size[0]), content(u, hex[1], &size[1]), config, NULL};
	char conf_name[80];
	snprintf(conf_name, sizeof(conf_name), "%064d/conf", 3);
	assert_true(
		asprintf(&body[3],
			 "[{\"Config\":\"%s\",\"RepoTags\":[\"n:t\"],\"Layers\":[\"%s\",\"%s\"]}]",
			 conf_name, name[0], name[1]) > 0);
	size[2] = strlen(body[2]);
	size[3] = strlen(body[3]);
	const char *names[] = {name[0], name[1], conf_name, "manifest.json"};
	for (size_t k = 0; k < 4; k++) {
		struct archive_entry *entry = archive_entry_new();
		archive_entry_set_pathname(entry, names[k]);
		archive_entry_set_mode(entry, S_IFREG | 0644);
		archive_entry_set_size(entry, (la_int64_t)size[k]);
		archive_write_header(a, entry);
		archive_write_data(a, body[k], size[k]);
		archive_entry_free(entry);
		free(body[k]);
	}
	archive_write_free(a);
	return fd;
}

static void test_layers(void **state)
{
	(void)state;
	struct converted r;
	int out;
	AUTO_CLOSE int fd = docker(false);
	if (run(fd, 1 << 20, &r, &out) < 0)
		fail_msg("%s", e.text);
	assert_string_equal(r.kind, "docker");
	assert_string_equal(r.ref, "n:t");
	assert_int_equal(r.config.uid, 9);
	assert_string_equal(r.config.cmd[0], "c");
	assert_null(text_of(out, "gone"));
	assert_null(text_of(out, "d/old"));
	AUTO_FREE char *n = text_of(out, "d/new");
	assert_string_equal(n, "n");
	AUTO_FREE char *up = text_of(out, "r");
	assert_string_equal(up, "upper");
	AUTO_CLOSE int back = memfd_create("back", MFD_CLOEXEC);
	assert_int_equal(export_tar(out, back, NULL, NULL, &e), 0);
	converted_free(&r);
	close(out);
	/* What was exported is the same image. */
	assert_int_equal(run(back, 1 << 20, &r, &out), 0);
	assert_int_equal(r.files, 4);
	converted_free(&r);
	close(out);
	AUTO_CLOSE int bad = docker(true);
	assert_int_equal(run(bad, 1 << 20, &r, &out), -EBADMSG);
	close(out);
}

static void test_directory(void **state)
{
	(void)state;
	char dir[] = "/tmp/mayfly-conv-XXXXXX";
	char path[80];
	char cmd[80];
	struct converted r;
	int out;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/f", dir);
	AUTO_CLOSE int f = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_int_equal(write(f, "data", 4), 4);
	snprintf(path, sizeof(path), "%s/out", dir);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	AUTO_CLOSE int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(run(fd, 4, &r, &out), 0);
	assert_string_equal(r.kind, "directory");
	AUTO_FREE char *text = text_of(out, "f");
	assert_string_equal(text, "data");
	assert_null(text_of(out, "out"));
	converted_free(&r);
	close(out);
	assert_int_equal(run(fd, 3, &r, &out), -EFBIG);
	close(out);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	assert_int_equal(system(cmd), 0);
}

static void test_answer(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"",
		"{}",
		"[]",
		"{\"files\":1,\"kind\":\"x\"}",
		"{\"files\":-1,\"skipped\":0,\"attributes\":0,\"kind\":\"\",\"ref\":\"\","
		"\"platform\":\"\",\"config\":{}}",
		"{\"files\":1,\"skipped\":0,\"attributes\":0,\"kind\":\"12345678901234567\","
		"\"ref\":\"\",\"platform\":\"\",\"config\":{}}"};
	struct converted r;
	for (size_t k = 0; k < ARRAY_SIZE(bad); k++)
		assert_true(converted_parse(bad[k], strlen(bad[k]), &r, &e) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_layers),
		cmocka_unit_test(test_directory),
		cmocka_unit_test(test_answer),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
