/*
 * Rights as one value: see acl.h.
 *
 * Writing goes through libacl: it builds, completes the mask and validates, and
 * one setxattr(2) then puts mode and ACL in force together; of an ACL without
 * named entries the kernel keeps nothing but the mode, so that also removes a
 * superfluous one. Reading does not: it is done for every directory each
 * minute, the kernel's format (a version and entries of 8 bytes) is fixed, and
 * libacl's tree of allocations costs more than the system calls.
 *
 * Attributes cannot be reached through an O_PATH descriptor, only through its
 * path in /proc, which costs 3 us each time. A directory is opened again for
 * reading instead, once for both of its ACLs.
 */
#include "agent/base/acl.h"

#include <acl/libacl.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/posix_acl_xattr.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/acl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "agent/base/own.h"
#include "agent/base/path.h"

#define ACCESS_NAME  "system.posix_acl_access"
#define DEFAULT_NAME "system.posix_acl_default"

/* The five entries that every ACL has, and the named ones that we take. */
#define ENTRIES_MAX (5 + ACL_NAMED_MAX)

struct raw_acl {
	struct posix_acl_xattr_header header;
	struct posix_acl_xattr_entry entries[ENTRIES_MAX];
};

/* One ACL, decoded. */
struct acl_list {
	mode_t mode; /* owner, owning group, others */
	size_t n_named;
	struct acl_named named[ACL_NAMED_MAX];
	bool has_mask;
	unsigned mask;
	bool is_odd;
};

static int compare_named(const void *a, const void *b)
{
	const struct acl_named *x = a, *y = b;

	if (x->is_group != y->is_group)
		return x->is_group ? 1 : -1;
	return (x->id > y->id) - (x->id < y->id);
}

static void take_entry(struct acl_list *list, unsigned tag, unsigned perm, id_t id)
{
	switch (tag) {
	case ACL_USER_OBJ:
		list->mode |= perm << 6;
		break;
	case ACL_GROUP_OBJ:
		list->mode |= perm << 3;
		break;
	case ACL_OTHER:
		list->mode |= perm;
		break;
	case ACL_MASK:
		list->has_mask = true;
		list->mask = perm;
		break;
	default:
		if (list->n_named == ACL_NAMED_MAX) {
			list->is_odd = true;
			break;
		}
		list->named[list->n_named++] = (struct acl_named){ tag == ACL_GROUP, id, perm };
	}
}

/* What all that a mask stands over may do together: the mask that changes nothing. */
static unsigned mask_of(mode_t mode, const struct acl_named *named, size_t n)
{
	unsigned mask = mode >> 3 & 7;

	for (size_t i = 0; i < n; i++)
		mask |= named[i].perm;
	return mask;
}

static void decode(const struct raw_acl *raw, size_t size, struct acl_list *ret)
{
	size_t n = (size - sizeof(raw->header)) / sizeof(raw->entries[0]);

	*ret = (struct acl_list){ 0 };
	for (size_t i = 0; i < n; i++)
		take_entry(ret, le16toh(raw->entries[i].e_tag), le16toh(raw->entries[i].e_perm) & 7,
			   le32toh(raw->entries[i].e_id));
	if (ret->n_named > 1)
		qsort(ret->named, ret->n_named, sizeof(ret->named[0]), compare_named);
	if (ret->has_mask && ret->mask != mask_of(ret->mode, ret->named, ret->n_named))
		ret->is_odd = true;
}

/* 1: there is one, 0: there is none (or the file system knows none), -errno. */
static int read_list(int fd, const char *name, struct acl_list *ret)
{
	struct raw_acl raw;
	ssize_t size = fgetxattr(fd, name, &raw, sizeof(raw));

	if (size < 0 && errno == EBADF)
		size = getxattr(path_of_fd(fd).text, name, &raw, sizeof(raw));
	if (size < 0 && errno == ERANGE) { /* more entries than we would ever set */
		*ret = (struct acl_list){ .is_odd = true };
		return 1;
	}
	if (size < 0)
		return errno == ENODATA || errno == EOPNOTSUPP ? 0 : -errno;
	if ((size_t)size < sizeof(raw.header) ||
	    le32toh(raw.header.a_version) != POSIX_ACL_XATTR_VERSION)
		return -EINVAL;
	decode(&raw, (size_t)size, ret);
	return 1;
}

/* The directory behind an O_PATH descriptor, open for reading; -1 if that is no help or not allowed. */
static int reopen(int fd, const struct stat *st)
{
	if (!S_ISDIR(st->st_mode) || !(fcntl(fd, F_GETFL) & O_PATH))
		return -1;
	return openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

int acl_read(int fd, struct acl_rights *ret, bool *ret_odd, struct err *e)
{
	struct acl_rights is = { 0 };
	autofd int readable = -1;
	struct acl_list list;
	bool is_odd = false;
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return err_sys(e, "stat");
	is.uid = st.st_uid;
	is.gid = st.st_gid;
	is.mode = st.st_mode & 07777;
	if (S_ISLNK(st.st_mode))
		return err_set(e, ELOOP, "a symbolic link has no rights of its own");

	readable = reopen(fd, &st);
	if (readable >= 0)
		fd = readable;
	r = read_list(fd, ACCESS_NAME, &list);
	if (r < 0)
		return err_set(e, -r, "read the ACL: %s", strerror(-r));
	if (r > 0) {
		is.mode = (is.mode & 07000) | list.mode;
		is.n_named = list.n_named;
		memcpy(is.named, list.named, sizeof(is.named));
		is_odd = list.is_odd;
	}

	r = S_ISDIR(st.st_mode) ? read_list(fd, DEFAULT_NAME, &list) : 0;
	if (r < 0)
		return err_set(e, -r, "read the default ACL: %s", strerror(-r));
	if (r > 0) {
		is.has_default = true;
		is.default_mode = list.mode;
		is.n_default = list.n_named;
		memcpy(is.default_named, list.named, sizeof(is.default_named));
		is_odd |= list.is_odd;
	}
	*ret = is;
	*ret_odd = is_odd;
	return 0;
}

static bool same_named(const struct acl_named *a, size_t n_a, const struct acl_named *b, size_t n_b)
{
	if (n_a != n_b)
		return false;
	for (size_t i = 0; i < n_a; i++)
		if (compare_named(&a[i], &b[i]) != 0 || a[i].perm != b[i].perm)
			return false;
	return true;
}

bool acl_same(const struct acl_rights *a, const struct acl_rights *b)
{
	if (a->uid != b->uid || a->gid != b->gid || a->mode != b->mode ||
	    a->has_default != b->has_default ||
	    !same_named(a->named, a->n_named, b->named, b->n_named))
		return false;
	return !a->has_default ||
	       (a->default_mode == b->default_mode &&
		same_named(a->default_named, a->n_default, b->default_named, b->n_default));
}

static void own_acl(const acl_t *acl)
{
	if (*acl)
		acl_free(*acl);
}

static int add_entry(acl_t *acl, acl_tag_t tag, unsigned perm, const id_t *id)
{
	acl_permset_t set;
	acl_entry_t entry;

	if (acl_create_entry(acl, &entry) < 0 || acl_set_tag_type(entry, tag) < 0 ||
	    (id && acl_set_qualifier(entry, id) < 0) || acl_get_permset(entry, &set) < 0 ||
	    acl_clear_perms(set) < 0)
		return -errno;
	for (unsigned bit = 1; bit <= 4; bit <<= 1)
		if (perm & bit && acl_add_perm(set, bit) < 0)
			return -errno;
	return acl_set_permset(entry, set) < 0 ? -errno : 0;
}

static int write_list(const char *path, acl_type_t type, mode_t mode, const struct acl_named *named,
		      size_t n)
{
	__attribute__((cleanup(own_acl))) acl_t acl = acl_init((int)(4 + n));
	int r;

	if (!acl)
		return -errno;
	r = add_entry(&acl, ACL_USER_OBJ, mode >> 6 & 7, NULL);
	if (r == 0)
		r = add_entry(&acl, ACL_GROUP_OBJ, mode >> 3 & 7, NULL);
	if (r == 0)
		r = add_entry(&acl, ACL_OTHER, mode & 7, NULL);
	for (size_t i = 0; i < n && r == 0; i++)
		r = add_entry(&acl, named[i].is_group ? ACL_GROUP : ACL_USER, named[i].perm,
			      &named[i].id);
	if (r < 0)
		return r;
	if ((n > 0 && acl_calc_mask(&acl) < 0) || acl_valid(acl) < 0 ||
	    acl_set_file(path, type, acl) < 0)
		return -errno;
	return 0;
}

/*
 * Before another owner gets it: nobody but the owner may do anything, and no
 * named entry is left. One without an ACL at all where there are none.
 */
static int narrow(const char *path, mode_t mode)
{
	int r = write_list(path, ACL_TYPE_ACCESS, mode & 0700, NULL, 0);

	if (r < 0 && r != -EOPNOTSUPP)
		return r;
	return chmod(path, mode & 0700) < 0 ? -errno : 0;
}

static int write_access(int fd, const char *path, const struct acl_rights *want)
{
	unsigned group = mask_of(want->mode, want->named, want->n_named);
	mode_t shown =
		(want->mode & ~(mode_t)0070) | group << 3; /* the mask is in the group's place */
	int r = write_list(path, ACL_TYPE_ACCESS, want->mode, want->named, want->n_named);
	struct stat st;

	if (r < 0 && !(r == -EOPNOTSUPP && want->n_named == 0))
		return r;
	if (fstat(fd, &st) < 0)
		return -errno;
	if ((st.st_mode & 07777) == shown)
		return 0;
	return chmod(path, shown) < 0 ? -errno : 0;
}

static int write_default(const char *path, const struct acl_rights *want)
{
	if (want->has_default)
		return write_list(path, ACL_TYPE_DEFAULT, want->default_mode, want->default_named,
				  want->n_default);
	if (removexattr(path, DEFAULT_NAME) < 0 && errno != ENODATA && errno != EOPNOTSUPP)
		return -errno;
	return 0;
}

static int check_object(const struct stat *st, const struct acl_rights *want, struct err *e)
{
	if (S_ISLNK(st->st_mode))
		return err_set(e, ELOOP, "a symbolic link has no rights of its own");
	if (!S_ISDIR(st->st_mode) && st->st_nlink > 1)
		return err_set(e, EMLINK, "has %lu links; it may be somebody else's file",
			       (unsigned long)st->st_nlink);
	if (!S_ISDIR(st->st_mode) && want->has_default)
		return err_set(e, EINVAL, "only directories have a default ACL");
	return 0;
}

/* errno's words, or what to do where the file system cannot have any. */
static const char *reason_of(int code)
{
	return code == EOPNOTSUPP
		       ? "the file system has no POSIX ACLs: mount it with them (ext4: -o acl, "
			 "ZFS: "
			 "acltype=posixacl), or set web_access = \"group\" in the host's file"
		       : strerrordesc_np(code);
}

int acl_write(int fd, const struct acl_rights *want, struct err *e)
{
	struct path_fd path = path_of_fd(fd);
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return err_sys(e, "stat");
	r = check_object(&st, want, e);
	if (r < 0)
		return r;

	/* Who keeps his owner keeps his rights meanwhile: the ACL changes in one step below. */
	if (st.st_uid != want->uid || st.st_gid != want->gid) {
		r = narrow(path.text, st.st_mode & want->mode);
		if (r < 0)
			return err_set(e, -r, "narrow the mode: %s", strerror(-r));
		if (fchownat(fd, "", want->uid, want->gid, AT_EMPTY_PATH) < 0)
			return err_sys(e, "chown to %u:%u", want->uid, want->gid);
	}
	/* The default first: a failure leaves the object as closed as it is now. */
	r = S_ISDIR(st.st_mode) ? write_default(path.text, want) : 0;
	if (r < 0)
		return err_set(e, -r, "set the default ACL: %s", reason_of(-r));
	r = write_access(fd, path.text, want);
	if (r < 0)
		return err_set(e, -r, "set mode and ACL: %s", reason_of(-r));
	return 0;
}

static size_t add_named(char *at, size_t room, const struct acl_named *named, size_t n)
{
	size_t len = 0;

	for (size_t i = 0; i < n && len < room; i++)
		len += (size_t)snprintf(
			at + len, room - len, " %c:%u:%c%c%c", named[i].is_group ? 'g' : 'u',
			named[i].id, named[i].perm & 4 ? 'r' : '-', named[i].perm & 2 ? 'w' : '-',
			named[i].perm & 1 ? 'x' : '-');
	return len;
}

struct acl_text acl_text(const struct acl_rights *r)
{
	struct acl_text t;
	size_t len;

	/* The longest there can be has 175 bytes. */
	len = (size_t)snprintf(t.text, sizeof(t.text), "%u:%u %04o", r->uid, r->gid, r->mode);
	len += add_named(t.text + len, sizeof(t.text) - len, r->named, r->n_named);
	if (!r->has_default)
		return t;
	len += (size_t)snprintf(t.text + len, sizeof(t.text) - len, " default %04o",
				r->default_mode);
	(void)add_named(t.text + len, sizeof(t.text) - len, r->default_named, r->n_default);
	return t;
}
