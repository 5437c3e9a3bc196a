// SPDX-License-Identifier: Apache-2.0
// source.c - what is imported: its kind, and the byte streams in it
//
// A stream is the file itself, a file of a directory, or an entry of an archive that is read
// through another stream. An archive in an archive is looked through from its beginning each time:
// nothing is unpacked on the way.
#include "image/source.h"

#include "base/checked.h"
#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BUF_SIZE 131072u
#define LINKS_MAX 4u

struct blob {
	struct source *src;
	int fd; /* of a file; -1: below */
	bool own_fd;
	uint64_t at; /* in the file, or of the entry's data */
	struct blob *under;
	struct archive *outer;
	bool hash;
	struct sha256_ctx ctx;
	struct err err; /* of a read, for who called libarchive */
	uint8_t buf[BUF_SIZE];
};

const char *source_kind_name(enum source_kind k)
{
	static const char *const names[] = {"tar", "directory", "oci", "docker"};
	return names[k];
}

const char *source_plain_name(const char *name)
{
	for (;;) {
		bool here = name[0] == '.' && (name[1] == '/' || name[1] == '\0');
		if (name[0] != '/' && !here)
			return name;
		name++;
	}
}

static ssize_t read_file(struct blob *b, const void **data)
{
	ssize_t n;
	do {
		n = pread(b->fd, b->buf, sizeof(b->buf), (off_t)b->at);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_errno(&b->err, errno, "can't read");
	*data = b->buf;
	b->at += (uint64_t)n;
	if (b->src->progress && !b->own_fd)
		b->src->progress(b->src->arg, b->at);
	return n;
}

static int archive_failed(struct archive *a, struct err *e)
{
	const char *text = archive_error_string(a);
	int code = archive_errno(a);
	return err_set(e, code == ENOMEM ? ENOMEM : EBADMSG, "the archive can't be read: %.300s",
		       text ? text : "it is damaged");
}

static ssize_t read_entry(struct blob *b, const void **data)
{
	size_t n;
	la_int64_t off;
	int r = archive_read_data_block(b->outer, data, &n, &off);
	if (r == ARCHIVE_EOF)
		return 0;
	if (r < ARCHIVE_WARN)
		return archive_failed(b->outer, &b->err);
	/* Streams in an image archive are no sparse files. */
	if (off < 0 || (uint64_t)off != b->at)
		return err_set(&b->err, EBADMSG, "holes in a file of the archive");
	b->at += n;
	return (ssize_t)n;
}

/* More of the stream, 0 at its end. */
static ssize_t blob_read(struct blob *b, const void **data)
{
	ssize_t n = b->outer ? read_entry(b, data) : read_file(b, data);
	if (n > 0 && b->hash)
		sha256_update(&b->ctx, (size_t)n, *data);
	return n;
}

static la_ssize_t on_read(struct archive *a, void *arg, const void **data)
{
	struct blob *b = arg;
	ssize_t n = blob_read(b, data);
	if (n < 0)
		archive_set_error(a, (int)-n, "%s", b->err.text);
	return n < 0 ? ARCHIVE_FATAL : n;
}

static la_int64_t on_skip(struct archive *a, void *arg, la_int64_t request)
{
	struct blob *b = arg;
	(void)a;
	/* Only where no byte is missed. */
	if (b->outer || b->hash || request <= 0 || b->at >= b->src->bytes)
		return 0;
	uint64_t n = MIN((uint64_t)request, b->src->bytes - b->at);
	b->at += n;
	return (la_int64_t)n;
}

struct archive *blob_archive(struct blob *b, struct err *e)
{
	struct archive *a = archive_read_new();
	if (!a) {
		err_set(e, ENOMEM, "out of memory");
		return NULL;
	}
	/* A filter that would run a program says ARCHIVE_WARN: not in here. */
	if (archive_read_support_filter_gzip(a) != ARCHIVE_OK ||
	    archive_read_support_filter_bzip2(a) != ARCHIVE_OK ||
	    archive_read_support_filter_xz(a) != ARCHIVE_OK ||
	    archive_read_support_filter_zstd(a) != ARCHIVE_OK ||
	    archive_read_support_format_tar(a) != ARCHIVE_OK) {
		err_set(e, ENOTSUP, "libarchive lacks gzip, bzip2, xz, zstd or tar");
	} else if (archive_read_open2(a, b, NULL, on_read, on_skip, NULL) == ARCHIVE_OK) {
		return a;
	} else {
		archive_failed(a, e);
	}
	archive_read_free(a);
	return NULL;
}

int source_next(struct archive *a, struct archive_entry **entry, struct err *e)
{
	int r = archive_read_next_header(a, entry);
	if (r == ARCHIVE_EOF)
		return 0;
	return r < ARCHIVE_WARN ? archive_failed(a, e) : 1;
}

static struct blob *blob_new(struct source *s, bool hash)
{
	struct blob *b = calloc(1, sizeof(*b));
	if (!b)
		return NULL;
	b->src = s;
	b->fd = -1;
	b->hash = hash;
	sha256_init(&b->ctx);
	return b;
}

void blob_close(struct blob *b)
{
	if (!b)
		return;
	if (b->outer)
		archive_read_free(b->outer);
	free(b->under); /* the file itself, which is borrowed */
	if (b->own_fd)
		close(b->fd);
	free(b);
}

/* Declared sizes bound what libarchive decompresses when it skips. */
static int charge(const struct source *s, struct archive_entry *entry, uint64_t *sum, struct err *e)
{
	la_int64_t size = archive_entry_size(entry);
	if (size < 0 || (uint64_t)size > s->max_bytes || *sum > s->max_bytes - (uint64_t)size)
		return err_set(e, EFBIG,
			       "it says that it holds more than %llu MiB (--max-size raises that)",
			       (unsigned long long)(s->max_bytes >> 20));
	*sum += (uint64_t)size;
	return 0;
}

/* The name in the archive that a link in it stands for; docker save has such layers. */
static int link_target(const char *name, struct archive_entry *entry, char *out, struct err *e)
{
	const char *target = archive_entry_symlink(entry);
	const char *slash = strrchr(name, '/');
	size_t dir = slash ? (size_t)(slash - name) : 0;
	if (!target)
		return err_set(e, EINVAL, "'%.100s' in the archive is not a file", name);
	while (strncmp(target, "../", 3) == 0 && dir > 0) {
		target += 3;
		const char *up = memrchr(name, '/', dir);
		dir = up ? (size_t)(up - name) : 0;
	}
	int n = snprintf(out, SOURCE_NAME_MAX, "%.*s%s%s", (int)dir, name, dir ? "/" : "", target);
	return n < SOURCE_NAME_MAX ? 0 : err_set(e, ENAMETOOLONG, "a link in the archive");
}

/* Puts the archive at the entry with this name. 1: found; 2: it is a link, name is its target. */
static int seek_entry(struct blob *b, char *name, struct err *e)
{
	struct archive_entry *entry;
	uint64_t sum = 0;
	int ret;
	for (unsigned n = 0; (ret = source_next(b->outer, &entry, e)) > 0; n++) {
		const char *at = archive_entry_pathname(entry);
		if (n == SOURCE_OUTER_MAX)
			return err_set(e, E2BIG, "more than %u entries around the image",
				       SOURCE_OUTER_MAX);
		ret = charge(b->src, entry, &sum, e);
		if (ret < 0)
			return ret;
		if (!at || strcmp(source_plain_name(at), name) != 0)
			continue;
		if (archive_entry_filetype(entry) == AE_IFREG && !archive_entry_hardlink(entry))
			return 1;
		char target[SOURCE_NAME_MAX];
		ret = link_target(name, entry, target, e);
		if (ret == 0)
			memcpy(name, target, sizeof(target));
		return ret < 0 ? ret : 2;
	}
	return ret < 0 ? ret : err_set(e, ENOENT, "'%.100s' is missing in it", name);
}

static int open_in_archive(struct blob *b, const char *given, struct err *e)
{
	char name[SOURCE_NAME_MAX];
	snprintf(name, sizeof(name), "%s", given);
	for (unsigned links = 0; links < LINKS_MAX; links++) {
		b->under = blob_new(b->src, false);
		if (!b->under)
			return err_set(e, ENOMEM, "out of memory");
		b->under->fd = b->src->fd;
		b->outer = blob_archive(b->under, e);
		if (!b->outer)
			return -EBADMSG;
		int ret = seek_entry(b, name, e);
		if (ret == 1 || ret < 0)
			return MIN(ret, 0);
		archive_read_free(b->outer);
		free(b->under);
		b->outer = NULL;
		b->under = NULL;
	}
	return err_set(e, ELOOP, "'%.100s' is a link to a link to a link", given);
}

static int open_in_dir(struct blob *b, const char *name, struct err *e)
{
	struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK,
			       .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
					  RESOLVE_NO_MAGICLINKS};
	struct stat st;
	long fd = syscall(SYS_openat2, b->src->fd, name, &how, sizeof(how));
	if (fd < 0)
		return err_errno(e, errno, "'%.100s' in the image layout", name);
	b->fd = (int)fd;
	b->own_fd = true;
	if (fstat(b->fd, &st) < 0 || !S_ISREG(st.st_mode))
		return err_set(e, EINVAL, "'%.100s' in the image layout is not a file", name);
	return 0;
}

int blob_open(struct source *s, const char *name, bool hash, struct blob **out, struct err *e)
{
	struct blob *b = blob_new(s, hash);
	int ret = 0;
	if (!b)
		return err_set(e, ENOMEM, "out of memory");
	if (!name)
		b->fd = s->fd;
	else if (s->is_dir)
		ret = open_in_dir(b, name, e);
	else
		ret = open_in_archive(b, name, e);
	if (ret < 0) {
		blob_close(b);
		b = NULL;
	}
	*out = b;
	return ret;
}

int blob_verify(struct blob *b, const char *hex, struct err *e)
{
	const void *data;
	uint8_t digest[SHA256_DIGEST_SIZE];
	char text[2 * SHA256_DIGEST_SIZE + 1];
	ssize_t n;
	while ((n = blob_read(b, &data)) > 0)
		;
	if (n < 0) {
		if (e)
			*e = b->err;
		return (int)n;
	}
	sha256_digest(&b->ctx, sizeof(digest), digest);
	for (size_t i = 0; i < sizeof(digest); i++)
		snprintf(text + 2 * i, 3, "%02x", digest[i]);
	if (strcmp(text, hex) == 0)
		return 0;
	return err_set(e, EBADMSG, "its content has the digest %.12s..., %.12s... was announced",
		       text, hex);
}

int blob_load(struct source *s, const char *name, const char *hex, char **text, size_t *len,
	      struct err *e)
{
	AUTO_FREE char *all = NULL;
	struct blob *b = NULL;
	const void *data;
	ssize_t n;
	*len = 0;
	int ret = blob_open(s, name, hex != NULL, &b, e);
	if (ret < 0)
		return ret;
	while ((n = blob_read(b, &data)) > 0) {
		char *grown = *len + (size_t)n > SOURCE_JSON_MAX
				      ? NULL
				      : realloc(all, *len + (size_t)n + 1);
		if (!grown) {
			blob_close(b);
			return err_set(e, EFBIG, "'%.100s' has more than %u MiB", name,
				       SOURCE_JSON_MAX >> 20);
		}
		all = grown;
		memcpy(all + *len, data, (size_t)n);
		*len += (size_t)n;
		all[*len] = '\0';
	}
	if (n < 0 && e)
		*e = b->err;
	ret = n < 0 ? (int)n : hex ? blob_verify(b, hex, e) : 0;
	blob_close(b);
	if (ret < 0)
		return err_wrap(e, ret, "'%.100s'", name);
	if (!all)
		return err_set(e, EINVAL, "'%.100s' is empty", name);
	*text = steal_ptr(&all);
	return 0;
}

/* --- kinds --- */

static bool is_hex(const char *p, size_t n)
{
	return n == 64 && strspn(p, "0123456789abcdef") >= n;
}

/* Whether docker save or an OCI layout could have an entry of this name at its top. */
static bool image_like(const char *name)
{
	static const char *const known[] = {"blobs", "index.json", "oci-layout", "manifest.json",
					    "repositories"};
	size_t n = strcspn(name, "/");
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (strlen(known[i]) == n && strncmp(known[i], name, n) == 0)
			return true;
	if (n > 5 && name[n] == '\0' &&
	    (strcmp(name + n - 5, ".json") == 0 || strcmp(name + n - 4, ".tar") == 0))
		return is_hex(name, name[n - 1] == 'n' ? n - 5 : n - 4);
	return is_hex(name, n);
}

static int recognise_archive(struct source *s, struct archive *a, struct err *e)
{
	struct archive_entry *entry;
	bool layout = false;
	bool index = false;
	bool manifest = false;
	uint64_t sum = 0;
	int ret;
	s->kind = SOURCE_TAR;
	for (unsigned n = 0; (ret = source_next(a, &entry, e)) > 0; n++) {
		const char *name = archive_entry_pathname(entry);
		name = name ? source_plain_name(name) : "?";
		if (!*name)
			continue;
		if (!image_like(name) || n == SOURCE_OUTER_MAX)
			return 0;
		layout |= strcmp(name, "oci-layout") == 0;
		index |= strcmp(name, "index.json") == 0;
		manifest |= strcmp(name, "manifest.json") == 0;
		ret = charge(s, entry, &sum, e);
		if (ret < 0)
			return ret;
	}
	if (layout && index)
		s->kind = SOURCE_OCI;
	else if (manifest)
		s->kind = SOURCE_DOCKER;
	return ret;
}

static bool dir_has(const struct source *s, const char *name)
{
	struct stat st;
	return fstatat(s->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode);
}

int source_recognise(struct source *s, struct err *e)
{
	struct stat st;
	struct blob *b = NULL;
	if (fstat(s->fd, &st) < 0)
		return err_errno(e, errno, "can't look at it");
	s->is_dir = S_ISDIR(st.st_mode);
	s->bytes = (uint64_t)st.st_size;
	if (s->is_dir) {
		bool oci = dir_has(s, "oci-layout") && dir_has(s, "index.json");
		s->kind = oci ? SOURCE_OCI : SOURCE_DIRECTORY;
		return 0;
	}
	int ret = blob_open(s, NULL, false, &b, e);
	if (ret < 0)
		return ret;
	struct archive *a = blob_archive(b, e);
	ret = a ? recognise_archive(s, a, e) : -EBADMSG;
	if (a)
		archive_read_free(a);
	blob_close(b);
	return ret;
}
