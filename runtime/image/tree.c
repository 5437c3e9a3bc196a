// SPDX-License-Identifier: Apache-2.0
// tree.c - a file system tree in memory, as layers build it up; holds no file data
//
// Names come from hostile archives. They are looked up in this tree only, never on the host, so a
// link can lead nowhere but to another node. Nothing here calls itself: depth is the archive's
// choice.
#include "image/tree.h"

#include "base/checked.h"
#include "base/cleanup.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char *node_name(const void *p)
{
	return ((const struct tree_node *)p)->name;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(node_name(a), node_name(b));
}

/* tfind() hands over what it was given first. */
static int by_key(const void *key, const void *node)
{
	return strcmp(key, node_name(node));
}

static struct tree_node *child_of(const struct tree_node *dir, const char *name)
{
	void *const *found = tfind(name, &dir->kids, by_key);
	return found ? *found : NULL;
}

static bool is_dir(const struct tree_node *n)
{
	return S_ISDIR(n->inode->mode);
}

static int charge(struct tree *t, size_t text, struct err *e)
{
	if (text > TREE_TEXT_MAX - t->text)
		return err_set(e, E2BIG, "more than %u MiB of names and attributes",
			       TREE_TEXT_MAX >> 20);
	t->text += text;
	return 0;
}

void tree_clear_xattrs(struct tree *t, struct tree_inode *i)
{
	while (i->xattrs) {
		struct tree_xattr *x = i->xattrs;
		i->xattrs = x->next;
		t->text -= strlen(x->name) + x->value_len;
		free(x->value);
		free(x);
	}
	i->xattr_bytes = 0;
}

static void inode_put(struct tree *t, struct tree_inode *i)
{
	if (!i || --i->refs > 0)
		return;
	tree_clear_xattrs(t, i);
	if (i->target)
		t->text -= strlen(i->target);
	free(i->target);
	free(i);
}

/* A node without children. */
static void node_free(struct tree *t, struct tree_node *n)
{
	t->text -= strlen(n->name);
	t->entries--;
	inode_put(t, n->inode);
	free(n);
}

/* Any child: the root of a tsearch() tree begins with a pointer to its key. */
static struct tree_node *any_child(const struct tree_node *n)
{
	return n->kids ? *(struct tree_node *const *)n->kids : NULL;
}

static void detach(struct tree_node *n)
{
	tdelete(n, &n->parent->kids, by_name);
}

/* Removes a node with all that is below it. */
static void remove_all(struct tree *t, struct tree_node *top)
{
	struct tree_node *n = top;
	for (;;) {
		struct tree_node *kid = any_child(n);
		if (kid) {
			n = kid;
			continue;
		}
		struct tree_node *parent = n->parent;
		bool last = n == top;
		detach(n);
		node_free(t, n);
		if (last)
			return;
		n = parent;
	}
}

static struct tree_node *node_new(struct tree *t, struct tree_node *parent, const char *name,
				  struct err *e)
{
	size_t len = strlen(name);
	if (t->entries >= TREE_ENTRIES_MAX) {
		err_set(e, E2BIG, "more than %u files", TREE_ENTRIES_MAX);
		return NULL;
	}
	if (charge(t, len, e) < 0)
		return NULL;
	struct tree_node *n = calloc(1, sizeof(*n) + len + 1);
	if (!n || (memcpy(n->name, name, len + 1), n->parent = parent ? parent : n,
		   parent && !tsearch(n, &parent->kids, by_name))) {
		free(n);
		t->text -= len;
		err_set(e, ENOMEM, "out of memory");
		return NULL;
	}
	t->entries++;
	return n;
}

static struct tree_inode *inode_new(const struct tree_inode *proto, const char *target,
				    struct err *e)
{
	struct tree_inode *i = calloc(1, sizeof(*i));
	if (i && target && !(i->target = strdup(target))) {
		free(i);
		i = NULL;
	}
	if (!i) {
		err_set(e, ENOMEM, "out of memory");
		return NULL;
	}
	i->mode = proto->mode;
	i->uid = proto->uid;
	i->gid = proto->gid;
	i->mtime = proto->mtime;
	i->mtime_nsec = proto->mtime_nsec;
	i->size = target ? strlen(target) : S_ISREG(proto->mode) ? proto->size : 0;
	i->layer = proto->layer;
	i->entry = proto->entry;
	i->refs = 1;
	return i;
}

static const struct tree_inode default_dir = {.mode = S_IFDIR | 0755};

static struct tree_node *dir_new(struct tree *t, struct tree_node *parent, const char *name,
				 struct err *e)
{
	struct tree_inode *i = inode_new(&default_dir, NULL, e);
	struct tree_node *n = i ? node_new(t, parent, name, e) : NULL;
	if (n)
		n->inode = i;
	else
		free(i);
	return n;
}

int tree_init(struct tree *t)
{
	memset(t, 0, sizeof(*t));
	t->root = dir_new(t, NULL, "", NULL);
	return t->root ? 0 : -ENOMEM;
}

void tree_free(struct tree *t)
{
	if (!t->root)
		return;
	struct tree_node *kid;
	while ((kid = any_child(t->root)))
		remove_all(t, kid);
	node_free(t, t->root);
	t->root = NULL;
}

/* --- names --- */

struct walk {
	char rest[2 * TREE_PATH_MAX];
	char *next;
	unsigned links;
};

static int walk_begin(struct walk *w, const char *path, struct err *e)
{
	size_t len = strlen(path);
	if (len >= TREE_PATH_MAX)
		return err_set(e, ENAMETOOLONG, "'%.60s...' is longer than %d bytes", path,
			       TREE_PATH_MAX - 1);
	memcpy(w->rest, path, len + 1);
	w->next = w->rest;
	w->links = 0;
	return 0;
}

/* The next component, cut out of rest; NULL at the end. */
static char *walk_component(struct walk *w)
{
	while (*w->next == '/')
		w->next++;
	if (!*w->next)
		return NULL;
	char *c = w->next;
	w->next += strcspn(w->next, "/");
	if (*w->next)
		*w->next++ = '\0';
	return c;
}

/* What a link leads to comes before the rest of the way. */
static int walk_into(struct walk *w, const char *target, struct err *e)
{
	size_t rest = strlen(w->next);
	size_t len = strlen(target);
	if (++w->links > TREE_LINKS_MAX)
		return err_set(e, ELOOP, "more than %d symbolic links on the way", TREE_LINKS_MAX);
	if (len + 1 + rest >= sizeof(w->rest))
		return err_set(e, ENAMETOOLONG, "symbolic links make the name too long");
	memmove(w->rest + len + 1, w->next, rest + 1);
	memcpy(w->rest, target, len);
	w->rest[len] = '/';
	w->next = w->rest;
	return 0;
}

/* A directory that is missing on the way. */
static int walk_make(struct tree *t, struct tree_node *at, const char *name, uint32_t layer,
		     struct tree_node **out, struct err *e)
{
	if (layer == TREE_NOT_A_LAYER)
		return err_set(e, ENOENT, "'%s' is not there", name);
	if (strlen(name) > TREE_NAME_MAX)
		return err_set(e, ENAMETOOLONG, "'%.60s...' is longer than %d bytes", name,
			       TREE_NAME_MAX);
	*out = dir_new(t, at, name, e);
	return *out ? 0 : -E2BIG;
}

/*
 * The directory that w leads to. With a layer, missing ones are made and all of them are marked as
 * touched by it.
 */
static int walk_dirs(struct tree *t, struct walk *w, uint32_t layer, struct tree_node **out,
		     struct err *e)
{
	struct tree_node *at = t->root;
	const char *name;
	while ((name = walk_component(w))) {
		if (strcmp(name, ".") == 0)
			continue;
		if (strcmp(name, "..") == 0) {
			at = at->parent;
			continue;
		}
		struct tree_node *kid = child_of(at, name);
		int made = kid ? 0 : walk_make(t, at, name, layer, &kid, e);
		if (made < 0)
			return made;
		if (S_ISLNK(kid->inode->mode)) {
			int ret = walk_into(w, kid->inode->target, e);
			if (ret < 0)
				return ret;
			if (kid->inode->target[0] == '/')
				at = t->root;
			continue;
		}
		if (!is_dir(kid))
			return err_set(e, ENOTDIR, "'%s' is not a directory", name);
		if (layer != TREE_NOT_A_LAYER)
			kid->layer = layer;
		at = kid;
	}
	*out = at;
	return 0;
}

static bool has_dotdot(const char *path)
{
	for (const char *p = path; *p;) {
		size_t n = strcspn(p, "/");
		if (n == 2 && p[0] == '.' && p[1] == '.')
			return true;
		p += n;
		p += *p == '/';
	}
	return false;
}

/*
 * Splits path into the directory, which is looked up, and the last name.
 * @name: TREE_NAME_MAX + 1 bytes; empty for the root itself
 */
static int locate(struct tree *t, const char *path, uint32_t layer, struct tree_node **dir,
		  char *name, struct err *e)
{
	struct walk w;
	if (has_dotdot(path))
		return err_set(e, EINVAL, "'..' in a name");
	int ret = walk_begin(&w, path, e);
	if (ret < 0)
		return ret;
	size_t end = strlen(w.rest);
	for (;;) {
		while (end > 0 && w.rest[end - 1] == '/')
			end--;
		if (end == 0 || w.rest[end - 1] != '.' || (end > 1 && w.rest[end - 2] != '/'))
			break;
		end--;
	}
	w.rest[end] = '\0';
	char *slash = strrchr(w.rest, '/');
	const char *last = slash ? slash + 1 : w.rest;
	if (strlen(last) > TREE_NAME_MAX)
		return err_set(e, ENAMETOOLONG, "'%.60s...' is longer than %d bytes", last,
			       TREE_NAME_MAX);
	memcpy(name, last, strlen(last) + 1);
	*(slash ? slash : w.rest) = '\0';
	return walk_dirs(t, &w, layer, dir, e);
}

struct tree_node *tree_find(const struct tree *t, const char *path)
{
	char name[TREE_NAME_MAX + 1];
	struct tree_node *dir;
	/* Nothing is changed without a layer. */
	if (locate((struct tree *)(uintptr_t)t, path, TREE_NOT_A_LAYER, &dir, name, NULL) < 0)
		return NULL;
	return name[0] ? child_of(dir, name) : dir;
}

/* --- changes --- */

static void set_attributes(struct tree *t, struct tree_node *n, const struct tree_inode *proto)
{
	tree_clear_xattrs(t, n->inode);
	n->inode->mode = proto->mode;
	n->inode->uid = proto->uid;
	n->inode->gid = proto->gid;
	n->inode->mtime = proto->mtime;
	n->inode->mtime_nsec = proto->mtime_nsec;
	n->layer = proto->layer;
}

static int add_at(struct tree *t, struct tree_node *dir, const char *name,
		  const struct tree_inode *proto, const char *target, struct tree_inode **out,
		  struct err *e)
{
	struct tree_node *old = name[0] ? child_of(dir, name) : dir;
	if (!name[0] && !S_ISDIR(proto->mode))
		return err_set(e, EINVAL, "the root is not a directory");
	if (old && is_dir(old) && S_ISDIR(proto->mode)) {
		set_attributes(t, old, proto);
		*out = old->inode;
		return 0;
	}
	int ret = target ? charge(t, strlen(target), e) : 0;
	struct tree_inode *i = ret == 0 ? inode_new(proto, target, e) : NULL;
	if (!i)
		return -E2BIG;
	if (old)
		remove_all(t, old);
	struct tree_node *n = node_new(t, dir, name, e);
	if (!n) {
		inode_put(t, i);
		return -E2BIG;
	}
	n->inode = i;
	n->layer = proto->layer;
	*out = i;
	return 0;
}

int tree_add(struct tree *t, const char *path, const struct tree_inode *proto, const char *target,
	     struct tree_inode **out, struct err *e)
{
	char name[TREE_NAME_MAX + 1];
	struct tree_node *dir;
	if (S_ISLNK(proto->mode) && (!target || !target[0] || strlen(target) >= TREE_PATH_MAX))
		return err_set(e, EINVAL, "a symbolic link to nothing, or to a name too long");
	int ret = locate(t, path, proto->layer, &dir, name, e);
	return ret < 0 ? ret
		       : add_at(t, dir, name, proto, S_ISLNK(proto->mode) ? target : NULL, out, e);
}

int tree_link(struct tree *t, const char *path, const char *target, uint32_t layer, struct err *e)
{
	char name[TREE_NAME_MAX + 1];
	struct tree_node *dir;
	if (has_dotdot(target))
		return err_set(e, EINVAL, "'..' in a hard link's target");
	const struct tree_node *to = tree_find(t, target);
	if (!to)
		return err_set(e, ENOENT, "a hard link to '%.200s', which is not there", target);
	if (is_dir(to))
		return err_set(e, EISDIR, "a hard link to '%.200s', a directory", target);
	struct tree_inode *i = to->inode;
	i->refs++; /* also against the removal of what is replaced */
	int ret = locate(t, path, layer, &dir, name, e);
	if (ret == 0 && !name[0])
		ret = err_set(e, EINVAL, "a hard link in the place of the root");
	struct tree_node *old = ret == 0 ? child_of(dir, name) : NULL;
	if (old)
		remove_all(t, old);
	struct tree_node *n = ret == 0 ? node_new(t, dir, name, e) : NULL;
	if (!n) {
		inode_put(t, i);
		return ret < 0 ? ret : -E2BIG;
	}
	n->inode = i;
	n->layer = layer;
	return 0;
}

static struct tree_xattr *xattr_new(const char *name, const void *value, size_t len)
{
	size_t n = strlen(name);
	struct tree_xattr *x = calloc(1, sizeof(*x) + n + 1);
	if (!x || !(x->value = malloc(len + 1))) {
		free(x);
		return NULL;
	}
	memcpy(x->name, name, n + 1);
	if (len > 0)
		memcpy(x->value, value, len);
	x->value_len = (uint16_t)len;
	return x;
}

int tree_xattr(struct tree *t, struct tree_inode *i, const char *name, const void *value,
	       size_t len, struct err *e)
{
	size_t n = strlen(name);
	struct tree_xattr **at = &i->xattrs;
	if (n > TREE_NAME_MAX || len > UINT16_MAX || i->xattr_bytes + n + len > TREE_XATTRS_MAX)
		return err_set(e, E2BIG, "extended attribute '%.60s' is too big", name);
	while (*at && strcmp((*at)->name, name) < 0)
		at = &(*at)->next;
	int ret = charge(t, n + len, e);
	if (ret < 0)
		return ret;
	struct tree_xattr *x = xattr_new(name, value, len);
	if (!x) {
		t->text -= n + len;
		return err_set(e, ENOMEM, "out of memory");
	}
	struct tree_xattr *old = *at;
	if (old && strcmp(old->name, name) == 0) {
		*at = old->next;
		i->xattr_bytes -= (uint32_t)(n + old->value_len);
		t->text -= n + old->value_len;
		free(old->value);
		free(old);
	}
	x->next = *at;
	*at = x;
	i->xattr_bytes += (uint32_t)(n + len);
	return 0;
}

struct older {
	struct tree_node **list;
	size_t n, cap;
	int ret;
};

static void collect_one(struct tree_node *n, void *arg)
{
	struct older *o = arg;
	if (o->n == o->cap) {
		size_t cap = o->cap ? 2 * o->cap : 64;
		struct tree_node **grown = reallocarray(o->list, cap, sizeof(struct tree_node *));
		if (!grown) {
			o->ret = -ENOMEM;
			return;
		}
		o->list = grown;
		o->cap = cap;
	}
	o->list[o->n++] = n;
}

/*
 * Removes what is older than layer below dir. A directory that the layer touched stays, and is
 * looked through; the list is the stack of what is still to be looked at.
 */
static int remove_older(struct tree *t, struct tree_node *dir, uint32_t layer, struct err *e)
{
	struct older o = {0};
	tree_children(dir, collect_one, &o);
	while (o.n > 0 && o.ret == 0) {
		struct tree_node *n = o.list[--o.n];
		if (n->layer != layer)
			remove_all(t, n);
		else if (is_dir(n))
			tree_children(n, collect_one, &o);
	}
	free(o.list);
	return o.ret < 0 ? err_set(e, ENOMEM, "out of memory") : 0;
}

int tree_opaque(struct tree *t, const char *path, uint32_t layer, struct err *e)
{
	struct tree_node *n = tree_find(t, path);
	if (has_dotdot(path))
		return err_set(e, EINVAL, "'..' in a whiteout");
	return n && is_dir(n) ? remove_older(t, n, layer, e) : 0;
}

int tree_whiteout(struct tree *t, const char *path, uint32_t layer, struct err *e)
{
	struct tree_node *n = tree_find(t, path);
	if (has_dotdot(path))
		return err_set(e, EINVAL, "'..' in a whiteout");
	if (!n)
		return 0;
	if (n == t->root)
		return err_set(e, EINVAL, "a whiteout of the root");
	if (n->layer != layer) {
		remove_all(t, n);
		return 0;
	}
	return is_dir(n) ? remove_older(t, n, layer, e) : 0;
}

struct visit {
	void (*fn)(struct tree_node *child, void *arg);
	void *arg;
};

static void visit_one(const void *node, VISIT which, void *arg)
{
	const struct visit *v = arg;
	if (which == postorder || which == leaf)
		v->fn(*(struct tree_node *const *)node, v->arg);
}

void tree_children(const struct tree_node *n, void (*fn)(struct tree_node *child, void *arg),
		   void *arg)
{
	struct visit v = {.fn = fn, .arg = arg};
	twalk_r(n->kids, visit_one, &v);
}
