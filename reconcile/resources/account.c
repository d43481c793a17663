/*
 * The user a webspace belongs to: taken from NSS where it exists, else made, a
 * whole slice at once.
 *
 * systemd-sysusers gives another id, without an error, when the wanted one is
 * taken, and one name it dislikes fails the whole batch. So ids are chosen here,
 * names are checked first, and each account is looked at afterwards. It also asks
 * the C library for every name and id, which reads /etc/passwd through each time;
 * told that the root directory lies elsewhere it trusts the files it has read:
 * --root=/proc/self/root is the same directory, and ten thousand accounts take
 * 0.1 s instead of 5.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/buf.h"
#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/path.h"
#include "agent/base/spawn.h"
#include "reconcile/accounts/ledger.h"
#include "reconcile/ownership.h"
#include "reconcile/resource.h"

#define SYSUSERS      "/usr/bin/systemd-sysusers"
#define NOLOGIN       "/usr/sbin/nologin"
#define OVERFLOW_ID   65534 /* nobody */
#define FIRST_USER_ID 1000
#define RUN_USEC      (120 * USEC_PER_SEC)
#define SUBIDS_MAX    (16u << 20)

/* Accounts that the package makes for itself. */
static const char *const our_own[] = { "webspaces", "webspaces-acme" };

struct creation {
	uid_t uid;
	gid_t gid;
};

struct account_state {
	struct ledger *ledger;
	char range_problem[200]; /* why no id may be chosen; "": nothing */
	struct table chosen;     /* name → struct creation, of this slice */
	bool unflushed;
};

struct wanted {
	id_t uid, gid;
};

/* Does a line NAME:START:COUNT of this file meet the range? */
static bool range_meets_line(char *line, unsigned min, unsigned max)
{
	unsigned long start, count;
	char *end;

	(void)strsep(&line, ":");
	if (!line)
		return false;
	start = strtoul(line, &end, 10);
	if (*end != ':')
		return false;
	count = strtoul(end + 1, NULL, 10);
	return count > 0 && start <= max && min < start + count;
}

/* A container's user could be a webspace's: its ids must not be given away twice. */
static void range_check(struct account_state *s, const struct host *h)
{
	static const char *const files[] = { "subuid", "subgid" };
	autofd int etc = path_open_dir("/etc", NULL);

	for (size_t i = 0; i < ELEMENTS(files) && etc >= 0 && !*s->range_problem; i++) {
		autofree char *text = NULL;
		size_t len;
		char *rest, *line;

		if (path_read(etc, files[i], SUBIDS_MAX, &text, &len, NULL) < 0)
			continue;
		rest = text;
		while ((line = strsep(&rest, "\n")) && !*s->range_problem)
			if (range_meets_line(line, h->accounts.uid_min, h->accounts.uid_max))
				(void)snprintf(s->range_problem, sizeof s->range_problem,
					       "accounts.uid_min … uid_max (%u … %u) meets a range "
					       "of /etc/%s",
					       h->accounts.uid_min, h->accounts.uid_max, files[i]);
	}
	if (!*s->range_problem && h->accounts.uid_min > h->accounts.uid_max)
		(void)snprintf(s->range_problem, sizeof s->range_problem,
			       "accounts.uid_min (%u) is above accounts.uid_max (%u)",
			       h->accounts.uid_min, h->accounts.uid_max);
}

static int account_open(struct world *w, void **state, struct err *e)
{
	struct account_state *s = memory_new(sizeof *s);

	(void)e;
	range_check(s, w->host);
	if (!*s->range_problem)
		s->ledger = ledger_new(w->host->state_dir, w->host->accounts.uid_min,
				       w->host->accounts.uid_max);
	*state = s;
	return 0;
}

static void account_close(void *state)
{
	struct account_state *s = state;

	if (!s)
		return;
	table_free_values(&s->chosen);
	ledger_free(s->ledger);
	free(s);
}

static int account_prepare(struct world *w, void *state, const struct webspace *const *slice,
			   size_t n, struct err *e)
{
	struct account_state *s = state;

	(void)slice;
	(void)n;
	if (s->chosen.count)
		table_free_values(&s->chosen);
	return accounts_refresh(w->accounts, e);
}

static void account_desire(struct world *w, void *state, const struct webspace *webspace,
			   struct item_list *ret)
{
	struct wanted *want = arena_new(w->arena, sizeof *want);

	(void)state;
	*want = (struct wanted){ webspace->account.uid, webspace->account.gid };
	item_add(w, ret, webspace->name, want);
}

/* Why this user may not be a webspace, or NULL. */
static const char *account_refusal(const struct world *w, const char *name, const struct account *a)
{
	for (size_t i = 0; i < ELEMENTS(our_own); i++)
		if (strcmp(name, our_own[i]) == 0)
			return "is an account of this program";
	if (a->uid == 0)
		return "is root";
	if (strcmp(name, w->host->web_user) == 0 || a->uid == w->host->web_uid)
		return "is the web server's user";
	if (a->uid < FIRST_USER_ID)
		return "is a system account (its uid is below 1000)";
	if (a->gid < FIRST_USER_ID)
		return "has a system group (its gid is below 1000) as primary group";
	if (a->uid == OVERFLOW_ID || a->gid == OVERFLOW_ID)
		return "has the id 65534, which is nobody's";
	if (a->gid == w->host->web_gid)
		return "has the web server's group as primary group";
	if (a->shared_group)
		return "shares its primary group with other accounts, who could read its files";
	return NULL;
}

static void finding_stop(struct finding *ret, enum observed state, const char *reason)
{
	ret->state = state;
	ret->reason = reason;
}

/* The account exists: is it one that may be, and the one that is wanted? */
static void account_judge(const struct world *w, const struct account_state *s, const char *name,
			  const struct wanted *want, const struct account *a, struct finding *ret)
{
	const char *refusal = account_refusal(w, name, a);
	const struct creation *chosen = table_get(&s->chosen, name);

	ret->state = OBSERVED_IN_SYNC;
	if (refusal) {
		finding_stop(ret, OBSERVED_FOREIGN, "NotAllowed");
		(void)snprintf(ret->text, sizeof ret->text,
			       "the user %s %s, so it cannot be a webspace", name, refusal);
	} else if (want->uid != ID_UNSET && a->uid != want->uid) {
		finding_stop(ret, OBSERVED_FOREIGN, "WrongId");
		(void)snprintf(ret->text, sizeof ret->text, "has uid %u, the file wants %u",
			       (unsigned)a->uid, (unsigned)want->uid);
	} else if (want->gid != ID_UNSET && a->gid != want->gid) {
		finding_stop(ret, OBSERVED_FOREIGN, "WrongId");
		(void)snprintf(ret->text, sizeof ret->text, "has gid %u, the file wants %u",
			       (unsigned)a->gid, (unsigned)want->gid);
	} else if (chosen && (a->uid != chosen->uid || a->gid != chosen->gid)) {
		finding_stop(ret, OBSERVED_FOREIGN, "WrongId");
		(void)snprintf(ret->text, sizeof ret->text,
			       "was made with ids %u:%u though %u:%u were asked for: somebody took "
			       "them at the same time",
			       (unsigned)a->uid, (unsigned)a->gid, (unsigned)chosen->uid,
			       (unsigned)chosen->gid);
	}
}

static void account_absent(const struct world *w, const struct account_state *s, const char *name,
			   const struct wanted *want, struct finding *ret)
{
	if (!w->host->accounts.create) {
		finding_stop(ret, OBSERVED_NOT_READY, "NoAccount");
		(void)snprintf(ret->text, sizeof ret->text,
			       "there is no user %s, and accounts.create is off", name);
	} else if (*s->range_problem && want->uid == ID_UNSET) {
		finding_stop(ret, OBSERVED_NOT_READY, "RangeRefused");
		(void)snprintf(ret->text, sizeof ret->text, "%s", s->range_problem);
	} else {
		ret->state = OBSERVED_MISSING;
		if (want->uid != ID_UNSET)
			(void)snprintf(ret->new_value, sizeof ret->new_value, "%u",
				       (unsigned)want->uid);
	}
}

static void account_observe(struct world *w, void *state, const struct webspace *webspace,
			    const struct item *item, struct finding *ret)
{
	const struct account_state *s = state;
	struct account a;
	struct err e;
	int r = accounts_get(w->accounts, webspace->name, &a, &e);

	if (r == 0) {
		account_judge(w, s, webspace->name, item->want, &a, ret);
		if (ret->state == OBSERVED_IN_SYNC)
			(void)snprintf(ret->new_value, sizeof ret->new_value, "%u",
				       (unsigned)a.uid);
	} else if (r == -ENOENT) {
		account_absent(w, s, webspace->name, item->want, ret);
	} else {
		finding_stop(ret, OBSERVED_NOT_READY, "NameService");
		(void)snprintf(ret->text, sizeof ret->text, "%.*s", (int)sizeof ret->text - 1,
			       e.text);
	}
}

/* What systemd-sysusers takes (systemd's "strict" user names): one other name would fail the batch. */
static bool name_can_be_made(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len < 32 &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") ==
		       len &&
	       *name != '-' && !(*name >= '0' && *name <= '9');
}

static bool is_chosen(const struct account_state *s, id_t id)
{
	struct table_entry *it;

	table_each (&s->chosen, it) {
		const struct creation *c = it->value;

		if (c->uid == id || c->gid == id)
			return true;
	}
	return false;
}

static int fixed_ids(struct world *w, const struct account_state *s, const char *name,
		     const struct wanted *want, struct creation *ret, struct err *e)
{
	id_t uid = want->uid, gid = want->gid == ID_UNSET ? uid : want->gid;

	if (accounts_id_taken(w->accounts, uid) || accounts_id_taken(w->accounts, gid) ||
	    is_chosen(s, uid) || is_chosen(s, gid))
		return err_set(e, EEXIST, "the file wants the ids %u:%u, but they are taken",
			       (unsigned)uid, (unsigned)gid);
	if (uid < FIRST_USER_ID || gid < FIRST_USER_ID || uid == OVERFLOW_ID || gid == OVERFLOW_ID)
		return err_set(e, EINVAL,
			       "the file wants the ids %u:%u, which no webspace may have",
			       (unsigned)uid, (unsigned)gid);
	*ret = (struct creation){ uid, gid };
	return s->ledger ? ledger_note(s->ledger, w->home_root, name, uid, e) : 0;
}

static int chosen_ids(struct world *w, const struct account_state *s, const char *name,
		      struct creation *ret, struct err *e)
{
	id_t id;
	int r;

	/* The ledger does not know ids that files fix in this same slice. */
	do
		r = ledger_choose(s->ledger, w->accounts, w->home_root, name, &id, e);
	while (r == 0 && is_chosen(s, id));
	if (r == 0)
		*ret = (struct creation){ id, id };
	return r;
}

static int account_apply(struct world *w, void *state, const struct webspace *webspace,
			 const struct item *item, const struct finding *found, struct err *e)
{
	struct account_state *s = state;
	const struct wanted *want = item->want;
	struct creation c, *kept;
	char text[24];
	int r;

	(void)found;
	if (!name_can_be_made(webspace->name))
		return err_set(e, EINVAL,
			       "systemd-sysusers makes no user of this name: make it with "
			       "adduser(8), it is picked up then");
	if (want->uid != ID_UNSET)
		r = fixed_ids(w, s, webspace->name, want, &c, e);
	else
		r = chosen_ids(w, s, webspace->name, &c, e);
	if (r < 0)
		return r;
	(void)snprintf(text, sizeof text, "%u", (unsigned)c.uid);
	r = ownership_note(w, webspace->name, "account", text, e);
	if (r < 0)
		return r;
	kept = memory_new(sizeof *kept);
	*kept = c;
	free(table_set(&s->chosen, webspace->name, kept));
	s->unflushed = true;
	return 0;
}

static int make_by_sysusers(const struct world *w, const struct account_state *s, struct err *e)
{
	static const char *const argv[] = { SYSUSERS, "--root=/proc/self/root", "-", NULL };
	autobuf struct buf text = { 0 };
	struct table_entry *it;

	table_each (&s->chosen, it) {
		const struct creation *c = it->value;

		buf_printf(&text, "g %s %u\nu %s %u:%u \"webspace\" %s/%s " NOLOGIN "\n", it->key,
			   (unsigned)c->gid, it->key, (unsigned)c->uid, (unsigned)c->gid,
			   w->host->home_root, it->key);
	}
	return spawn_run(&(struct spawn){ .argv = argv }, text.data, clock_usec() + RUN_USEC, NULL,
			 e);
}

/* Where there is no systemd: shadow's tools, one account after the other. */
static int make_by_shadow(const struct world *w, const char *name, const struct creation *c,
			  struct err *e)
{
	autofree char *uid = memory_printf("%u", (unsigned)c->uid);
	autofree char *gid = memory_printf("%u", (unsigned)c->gid);
	autofree char *home = memory_printf("%s/%s", w->host->home_root, name);
	const char *const group_argv[] = { "/usr/sbin/groupadd", "-g", gid, name, NULL };
	const char *const user_argv[] = {
		"/usr/sbin/useradd", "-u", uid, "-g", gid, "-d", home, "-M", "-s", NOLOGIN, "-c",
		"webspace",          name, NULL
	};
	int r = spawn_run(&(struct spawn){ .argv = group_argv }, NULL, clock_usec() + RUN_USEC,
			  NULL, e);

	return r < 0 ? r
		     : spawn_run(&(struct spawn){ .argv = user_argv }, NULL,
				 clock_usec() + RUN_USEC, NULL, e);
}

static int make_all(const struct world *w, const struct account_state *s, struct err *e)
{
	struct table_entry *it;
	int first = 0;

	if (access(SYSUSERS, X_OK) == 0)
		return make_by_sysusers(w, s, e);
	table_each (&s->chosen, it) {
		int r = make_by_shadow(w, it->key, it->value, first < 0 ? NULL : e);

		first = first < 0 ? first : r;
	}
	return first;
}

static int account_flush(struct world *w, void *state, struct err *e)
{
	struct account_state *s = state;
	int r, refreshed;

	if (!s->unflushed)
		return 0;
	s->unflushed = false;
	r = s->ledger ? ledger_write(s->ledger, e) : 0;
	if (r < 0)
		return r;
	r = make_all(w, s, e);
	refreshed = accounts_refresh_own(w->accounts, r < 0 ? NULL : e);
	return r < 0 ? r : refreshed;
}

/* The account stays, as the data do, until `webspaces purge`. */
static int account_remove(struct world *w, void *state, const char *name, struct err *e)
{
	(void)w;
	(void)state;
	(void)name;
	(void)e;
	return 0;
}

const struct resource_type account_type = {
	.name = "account",
	.condition = CONDITION_ACCOUNT,
	.open = account_open,
	.close = account_close,
	.prepare = account_prepare,
	.desire = account_desire,
	.observe = account_observe,
	.apply = account_apply,
	.flush = account_flush,
	.remove = account_remove,
};
