/*
 * A new account never gets into anything that is somebody else's: not into a
 * group of its name that we did not make, not to an id that a user, a group or a
 * container has. A lost account gets the ids that its files bear, or none.
 */
#include "reconcile/accounts/admission.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "reconcile/accounts/subids.h"

#define OVERFLOW_ID   65534 /* nobody */
#define FIRST_USER_ID 1000

/* Accounts that the package makes for itself. */
static const char *const our_own[] = { "webspaces", "webspaces-acme" };

const char *admission_refusal(const struct host *host, const char *name, const struct account *a)
{
	for (size_t i = 0; i < ELEMENTS(our_own); i++)
		if (strcmp(name, our_own[i]) == 0)
			return "is an account of this program";
	if (a->uid == 0)
		return "is root";
	if (strcmp(name, host->web_user) == 0 || a->uid == host->web_uid)
		return "is the web server's user";
	if (a->uid < FIRST_USER_ID)
		return "is a system account (its uid is below 1000)";
	if (a->gid < FIRST_USER_ID)
		return "has a system group (its gid is below 1000) as primary group";
	if (a->uid == OVERFLOW_ID || a->gid == OVERFLOW_ID)
		return "has the id 65534, which is nobody's";
	if (a->gid == host->web_gid)
		return "has the web server's group as primary group";
	if (a->shared_group)
		return "shares its primary group with other accounts, who could read its files";
	return NULL;
}

bool admission_tree_is_of(const struct admission *a, const char *name, gid_t gid)
{
	struct stat st;

	return a->home_root >= 0 && fstatat(a->home_root, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISDIR(st.st_mode) && st.st_uid == 0 && st.st_gid == gid;
}

/* Of one new account. */
struct question {
	const struct admission *a;
	const char *name;
	id_t want_uid, want_gid;
	struct ledger_ids known; /* what it had before */
	bool is_known, has_files;
	struct creation *ids;
	struct buf *why;
};

/* Files of hers are there: the account file may not give her other ids. */
static const char *refuse_other_id(const struct question *q, const char *key, id_t want, id_t known)
{
	if (!q->has_files || want == ID_UNSET || want == known)
		return NULL;
	buf_printf(q->why,
		   "account.%s is %u, but the files in %s/%s belong to %s %u: set account.%s to "
		   "%u, or "
		   "remove the key",
		   key, (unsigned)want, q->a->host->home_root, q->name, key, (unsigned)known, key,
		   (unsigned)known);
	return "WrongId";
}

static const char *refuse_system_id(const struct question *q, const char *key, id_t id)
{
	if (id >= FIRST_USER_ID && id != OVERFLOW_ID && id != q->a->host->web_uid &&
	    id != q->a->host->web_gid)
		return NULL;
	buf_printf(q->why, "%s %u belongs to the system: a webspace needs one from %u, but not %u",
		   key, (unsigned)id, FIRST_USER_ID, OVERFLOW_ID);
	return "WrongId";
}

static const char *refuse_taken(const struct question *q, const char *key, id_t id)
{
	autobuf struct buf who = { 0 };
	const char *file;

	if (accounts_id_holder(q->a->accounts, id, q->name, &who)) {
		if (q->has_files)
			buf_printf(q->why,
				   "the files in %s/%s belong to %s %u, which %s has now: give "
				   "that one "
				   "another id (usermod -u, groupmod -g), then the account is made "
				   "again",
				   q->a->host->home_root, q->name, key, (unsigned)id,
				   buf_text(&who));
		else
			buf_printf(q->why, "account.%s is %u, which %s has: choose a free id", key,
				   (unsigned)id, buf_text(&who));
		return "IdTaken";
	}
	if (!q->has_files && subids_meet(id, id, &file)) {
		buf_printf(q->why,
			   "account.%s is %u, which lies in a range of %s for users' containers: "
			   "choose an id outside of it",
			   key, (unsigned)id, file);
		return "IdTaken";
	}
	return NULL;
}

/* A group of her name is hers if she had its id before, and nobody else is in it. */
static const char *refuse_group(const struct question *q)
{
	struct account_group group;
	struct err e;
	int r = accounts_group(q->a->accounts, q->name, &group, &e);

	if (r == -ENOENT)
		return NULL;
	if (r < 0) {
		buf_adds(q->why, e.text);
		return "NameService";
	}
	if (!q->is_known || q->known.gid != group.gid || q->ids->gid != group.gid)
		buf_printf(
			q->why,
			"the group %s (gid %u) exists and was not made for this webspace, so no "
			"user %s is made: remove the group (groupdel %s) if nothing needs it, or "
			"give the webspace's file another name",
			q->name, (unsigned)group.gid, q->name, q->name);
	else if (group.shared)
		buf_printf(
			q->why,
			"the group %s (gid %u) has other members, who could read the webspace's "
			"files: remove them (gpasswd -d USER %s), then the account is made again",
			q->name, (unsigned)group.gid, q->name);
	else {
		q->ids->has_group = true;
		return NULL;
	}
	return "GroupExists";
}

/* What she had; what the file fixes comes before it where no files tell otherwise. */
static void propose(const struct question *q)
{
	bool same_uid = q->is_known && (q->want_uid == ID_UNSET || q->want_uid == q->known.uid);

	*q->ids = (struct creation){ .uid = q->want_uid, .gid = q->want_gid };
	if (same_uid)
		q->ids->uid = q->known.uid;
	if (q->ids->gid == ID_UNSET)
		q->ids->gid = same_uid ? q->known.gid : q->ids->uid;
}

/* An id that she was given once and that left no files may go to another. */
static void forget_taken(const struct question *q)
{
	autobuf struct buf who = { 0 };

	if (q->has_files || q->want_uid != ID_UNSET || q->ids->uid == ID_UNSET)
		return;
	if (!accounts_id_holder(q->a->accounts, q->ids->uid, q->name, &who) &&
	    !accounts_id_holder(q->a->accounts, q->ids->gid, q->name, &who))
		return;
	*q->ids = (struct creation){ .uid = ID_UNSET, .gid = q->want_gid };
}

static const char *refuse_ids(const struct question *q)
{
	const char *reason = NULL;

	if (q->ids->uid != ID_UNSET) {
		reason = refuse_system_id(q, "uid", q->ids->uid);
		if (!reason)
			reason = refuse_taken(q, "uid", q->ids->uid);
	}
	if (!reason && q->ids->gid != ID_UNSET && q->ids->gid != q->ids->uid) {
		reason = refuse_system_id(q, "gid", q->ids->gid);
		if (!reason)
			reason = refuse_taken(q, "gid", q->ids->gid);
	}
	return reason;
}

const char *admission_ids(const struct admission *a, const char *name, id_t want_uid, id_t want_gid,
			  struct creation *ret, struct buf *ret_why)
{
	struct question q = {
		.a = a,
		.name = name,
		.want_uid = want_uid,
		.want_gid = want_gid,
		.ids = ret,
		.why = ret_why,
	};
	const char *reason;
	struct err e = { 0 };
	int r = ledger_get(a->ledger, a->home_root, name, &q.known, &e);

	if (r < 0 || !creation_knows_name(name, &e)) {
		buf_adds(ret_why, e.text);
		return r < 0 ? "Failed" : "NotAllowed";
	}
	q.is_known = r > 0;
	q.has_files = q.is_known && admission_tree_is_of(a, name, q.known.gid);
	reason = refuse_other_id(&q, "uid", want_uid, q.known.uid);
	if (!reason)
		reason = refuse_other_id(&q, "gid", want_gid, q.known.gid);
	if (reason)
		return reason;
	propose(&q);
	forget_taken(&q);
	reason = refuse_ids(&q);
	return reason ? reason : refuse_group(&q);
}
