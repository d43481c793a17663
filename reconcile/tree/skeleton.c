/*
 * One row a place, parents first.
 *
 * The default ACLs: with one, the kernel ignores the umask and gives a new file
 * what its creator asked for, cut by the default. So the owner's and the group's
 * part say what the plain mode under umask 022 would have been, others get
 * nothing, the web server reads. A program that asks for 0600 (mkstemp) still
 * gets a file that only its owner reads: that is what it asked for.
 *
 * Programs write to /tmp by that name. It is sticky, so that what we have in it
 * stays in its place: nobody but root moves or removes root's.
 */
#include "reconcile/tree/skeleton.h"

#include "agent/base/own.h"

#define READ_AND_SEARCH 5
#define SEARCH          1

static const char *passwd_line(const char *name, const struct account *account, struct arena *a)
{
	return arena_printf(a, "%s:x:%u:%u::/data:/usr/sbin/nologin\n", name,
			    (unsigned)account->uid, (unsigned)account->gid);
}

static const char *group_line(const char *name, const struct account *account, struct arena *a)
{
	return arena_printf(a, "%s:x:%u:\n", name, (unsigned)account->gid);
}

const struct place skeleton_places[] = {
	{ .path = ".", .kind = PLACE_DIR, .mode = 0750, .web = SEARCH, .can_be_covered = true },
	{ .path = "logs", .kind = PLACE_DIR, .mode = 0750, .web = SEARCH },
	{ .path = "logs/access.log", .kind = PLACE_FILE, .mode = 0640, .web_owns = true },
	{ .path = "logs/php-access.log", .kind = PLACE_FILE, .mode = 0640 },
	{ .path = "logs/php-slow.log", .kind = PLACE_FILE, .mode = 0640 },
	{ .path = "logs/error.log", .kind = PLACE_FILE, .mode = 0640, .web_owns = true },
	{ .path = "chroot", .kind = PLACE_DIR, .mode = 0010, .web = SEARCH },
	{ .path = "chroot/data",
	  .kind = PLACE_DIR,
	  .mode = 0070,
	  .web = READ_AND_SEARCH,
	  .hands_on = true,
	  .can_be_covered = true },
	{ .path = "chroot/log", .kind = PLACE_DIR, .mode = 0030 },
	{ .path = "chroot/" JAIL_PASSWD,
	  .kind = PLACE_FILE,
	  .mode = 0644,
	  .group_is_root = true,
	  .text = passwd_line },
	{ .path = "chroot/" JAIL_GROUP,
	  .kind = PLACE_FILE,
	  .mode = 0644,
	  .group_is_root = true,
	  .text = group_line },
	{ .path = "chroot/tmp", .kind = PLACE_DIR, .mode = 01030, .hands_on = true },
	{ .path = "chroot/tmp/misc", .kind = PLACE_DIR, .mode = 0030, .hands_on = true },
	{ .path = "chroot/tmp/upload", .kind = PLACE_DIR, .mode = 0030, .hands_on = true },
	{ .path = "chroot/tmp/wsdl", .kind = PLACE_DIR, .mode = 0030 },
	{ .path = "chroot/tmp/session", .kind = PLACE_DIR, .mode = 0070 },
};
const size_t skeleton_count = ELEMENTS(skeleton_places);

static const enum place_kind kind_of_jail[] = {
	[JAIL_DIR] = PLACE_DIR,
	[JAIL_LINK] = PLACE_LINK,
	[JAIL_MOUNTPOINT] = PLACE_MOUNTPOINT,
};

struct place skeleton_place_of(const struct jail_entry *entry, struct arena *a)
{
	return (struct place){
		.path = arena_printf(a, "chroot/%s", entry->path),
		.kind = kind_of_jail[entry->kind],
		.mode = 0755,
		.group_is_root = true,
		.in_jail = true,
		.target = entry->target,
		.bind = entry->bind,
	};
}

/* web_access "group": the web user is in every webspace's group, so nothing needs an entry. */
struct acl_rights skeleton_rights(const struct place *place, const struct host *host,
				  const struct account *account)
{
	struct acl_rights r = {
		.uid = place->web_owns ? host->web_uid : 0,
		.gid = place->group_is_root ? 0 : account->gid,
		.mode = place->mode,
	};

	if (host->web_access == WEB_ACCESS_GROUP)
		return r;
	if (place->web)
		r.named[r.n_named++] =
			(struct acl_named){ .id = host->web_uid, .perm = place->web };
	if (place->hands_on) {
		r.has_default = true;
		r.default_mode = 0750;
		r.default_named[r.n_default++] =
			(struct acl_named){ .id = host->web_uid, .perm = READ_AND_SEARCH };
	}
	return r;
}
