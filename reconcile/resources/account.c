/*
 * The user a webspace belongs to: taken from NSS where it exists, else made, a
 * whole slice at once. Who may be one, and with which ids, is said by
 * admission.c before anything is made; each new account is looked at afterwards
 * all the same, and undone if somebody came in between.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/model/removal.h"
#include "reconcile/accounts/admission.h"
#include "reconcile/accounts/creation.h"
#include "reconcile/accounts/ledger.h"
#include "reconcile/accounts/loss.h"
#include "reconcile/accounts/subids.h"
#include "reconcile/ownership.h"
#include "reconcile/resource.h"

struct account_state {
	struct ledger *ledger;
	struct loss *loss;
	char range_problem[200]; /* why no id may be chosen; "": nothing */
	struct table chosen;     /* name → struct creation, of this slice */
	bool unflushed;
};

struct wanted {
	id_t uid, gid;
};

static void range_check(struct account_state *s, const struct host *h)
{
	unsigned min = h->accounts.uid_min, max = h->accounts.uid_max;
	const char *file;

	/* A container's user could be a webspace's: its ids must not be given away twice. */
	if (subids_meet(min, max, &file))
		(void)snprintf(s->range_problem, sizeof s->range_problem,
			       "accounts.uid_min to uid_max (%u to %u) overlaps a range of %s: "
			       "choose another range in the host's file",
			       min, max, file);
}

static int account_open(struct world *w, void **state, struct err *e)
{
	struct account_state *s = memory_new(sizeof *s);

	(void)e;
	range_check(s, w->host);
	s->ledger = ledger_new(w->host->state_dir, w->host->accounts.uid_min,
			       w->host->accounts.uid_max);
	s->loss = loss_open(w->host->state_dir, !w->dry);
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
	loss_close(s->loss);
	free(s);
}

static struct admission admission_of(const struct world *w, const struct account_state *s)
{
	return (struct admission){ w->host, w->accounts, s->ledger, w->home_root };
}

/* before a slice ---------------------------------------------------------- */

/* Had it an account that is gone, and are its files there still? */
static bool is_lost(const struct world *w, const struct account_state *s, const char *name)
{
	const struct admission admission = admission_of(w, s);
	struct ledger_ids known;
	struct account a;

	return accounts_get(w->accounts, name, &a, NULL) == -ENOENT &&
	       ledger_get(s->ledger, w->home_root, name, &known, NULL) > 0 &&
	       admission_tree_is_of(&admission, name, known.gid);
}

/* Many at once are held. Counts all webspaces, so only after one was found to be lost. */
static void hold_if_many(const struct world *w, struct account_state *s)
{
	struct table lost = { 0 };
	struct table_entry *it;
	size_t n_in_force = 0;

	table_each (w->subjects, it) {
		const struct subject *subject = it->value;

		if (!subject->webspace || subject->going)
			continue;
		n_in_force++;
		if (is_lost(w, s, subject->name))
			(void)table_set(&lost, subject->name, s);
	}
	if (removal_is_many(lost.count, n_in_force))
		table_each (&lost, it)
			loss_hold(s->loss, it->key);
	table_clear(&lost);
}

/* Is there a tree of the group that it had before? */
static bool has_other_files(const struct world *w, const struct account_state *s, const char *name,
			    const struct account *a, struct ledger_ids *ret_known)
{
	const struct admission admission = admission_of(w, s);

	return ledger_get(s->ledger, w->home_root, name, ret_known, NULL) > 0 &&
	       ret_known->gid != a->gid && admission_tree_is_of(&admission, name, ret_known->gid);
}

/* An account that was there before us has its ids for ever too. */
static void remember(const struct world *w, struct account_state *s, const char *name,
		     const struct account *a)
{
	struct ledger_ids known;

	if (!admission_refusal(w->host, name, a) && !has_other_files(w, s, name, a, &known))
		(void)ledger_note(s->ledger, w->home_root, name,
				  (struct ledger_ids){ a->uid, a->gid }, NULL);
}

static int account_prepare(struct world *w, void *state, const struct webspace *const *slice,
			   size_t n, struct err *e)
{
	struct account_state *s = state;
	bool may_hold = w->subjects && w->host->accounts.create;
	int r = accounts_refresh(w->accounts, e);

	if (s->chosen.count)
		table_free_values(&s->chosen);
	for (size_t i = 0; i < n && r >= 0; i++) {
		const char *name = slice[i]->name;
		struct account a;

		if (accounts_get(w->accounts, name, &a, NULL) == 0) {
			loss_end(s->loss, name);
			if (!w->dry)
				remember(w, s, name, &a);
		} else if (may_hold && !loss_knows(s->loss, name) && is_lost(w, s, name)) {
			hold_if_many(w, s);
			may_hold = false; /* all of them have been counted */
		}
	}
	/* A full disk keeps nobody's account from being observed: the next slice tries again. */
	if (!w->dry)
		(void)ledger_write(s->ledger, NULL);
	(void)loss_write(s->loss, NULL);
	return r;
}

static void account_desire(struct world *w, void *state, const struct webspace *webspace,
			   struct item_list *ret)
{
	struct wanted *want = arena_new(w->arena, sizeof *want);

	(void)state;
	*want = (struct wanted){ webspace->account.uid, webspace->account.gid };
	item_add(w, ret, webspace->name, want);
}

/* observe ------------------------------------------------------------------ */

static void finding_stop(struct finding *ret, enum observed state, const char *reason)
{
	ret->state = state;
	ret->reason = reason;
}

/* The account exists: is it one that may be, and the one that is wanted? */
static void account_judge(const struct world *w, const struct account_state *s, const char *name,
			  const struct wanted *want, const struct account *a, struct finding *ret)
{
	const char *refusal = admission_refusal(w->host, name, a);
	struct ledger_ids known;

	ret->state = OBSERVED_IN_SYNC;
	if (refusal) {
		finding_stop(ret, OBSERVED_FOREIGN, "NotAllowed");
		(void)snprintf(ret->text, sizeof ret->text,
			       "the user %s %s, so it cannot be a webspace", name, refusal);
	} else if (want->uid != ID_UNSET && a->uid != want->uid) {
		finding_stop(ret, OBSERVED_FOREIGN, "WrongId");
		(void)snprintf(ret->text, sizeof ret->text,
			       "the user %s has uid %u, but account.uid is %u: make them the same",
			       name, (unsigned)a->uid, (unsigned)want->uid);
	} else if (want->gid != ID_UNSET && a->gid != want->gid) {
		finding_stop(ret, OBSERVED_FOREIGN, "WrongId");
		(void)snprintf(ret->text, sizeof ret->text,
			       "the user %s has gid %u, but account.gid is %u: make them the same",
			       name, (unsigned)a->gid, (unsigned)want->gid);
	} else if (has_other_files(w, s, name, a, &known)) {
		finding_stop(ret, OBSERVED_FOREIGN, "WrongId");
		(void)snprintf(
			ret->text, sizeof ret->text,
			"the user %s has the ids %u:%u, but its files in %s/%s belong to "
			"%u:%u: give it those ids back (usermod -u, groupmod -g), or give it "
			"the files (chown -hR %s: %s/%s)",
			name, (unsigned)a->uid, (unsigned)a->gid, w->host->home_root, name,
			(unsigned)known.uid, (unsigned)known.gid, name, w->host->home_root, name);
	}
}

static void account_absent(const struct world *w, const struct account_state *s, const char *name,
			   const struct wanted *want, struct finding *ret)
{
	const struct admission admission = admission_of(w, s);
	autobuf struct buf why = { 0 };
	struct creation ids;
	const char *reason;

	if (!w->host->accounts.create) {
		finding_stop(ret, OBSERVED_NOT_READY, "NoAccount");
		(void)snprintf(ret->text, sizeof ret->text,
			       "there is no user %s, and accounts.create is false: make it with "
			       "adduser(8)",
			       name);
		return;
	}
	if (loss_is_held(s->loss, name)) {
		finding_stop(ret, OBSERVED_NOT_READY, "Held");
		(void)snprintf(
			ret->text, sizeof ret->text,
			"the user %s is gone, together with %zu others: nothing is made until "
			"they are back, or 'webspaces confirm' has them made again with their "
			"ids",
			name, loss_count(s->loss) - 1);
		return;
	}
	reason = admission_ids(&admission, name, want->uid, want->gid, &ids, &why);
	if (reason) {
		bool unsure = strcmp(reason, "NameService") == 0;

		finding_stop(ret, unsure ? OBSERVED_NOT_READY : OBSERVED_FOREIGN, reason);
		(void)snprintf(ret->text, sizeof ret->text, "%s", buf_text(&why));
	} else if (*s->range_problem && ids.uid == ID_UNSET) {
		finding_stop(ret, OBSERVED_NOT_READY, "RangeRefused");
		(void)snprintf(ret->text, sizeof ret->text, "%s", s->range_problem);
	} else {
		ret->state = OBSERVED_MISSING;
		if (ids.uid != ID_UNSET)
			(void)snprintf(ret->new_value, sizeof ret->new_value, "%u",
				       (unsigned)ids.uid);
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

/* apply ---------------------------------------------------------------------- */

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

/* The ledger does not know ids that files fix in this same slice. */
static int choose_uid(const struct world *w, const struct account_state *s, struct creation *ids,
		      struct err *e)
{
	int r;

	do
		r = ledger_choose(s->ledger, w->accounts, w->home_root, &ids->uid, e);
	while (r == 0 && is_chosen(s, ids->uid));
	if (r == 0 && ids->gid == ID_UNSET)
		ids->gid = ids->uid;
	return r;
}

static int ids_of(const struct world *w, const struct account_state *s, const char *name,
		  const struct wanted *want, struct creation *ret, struct err *e)
{
	const struct admission admission = admission_of(w, s);
	autobuf struct buf why = { 0 };
	int r;

	if (admission_ids(&admission, name, want->uid, want->gid, ret, &why))
		return err_set(e, EEXIST, "%s", buf_text(&why));
	r = ret->uid == ID_UNSET ? choose_uid(w, s, ret, e) : 0;
	if (r == 0 && (is_chosen(s, ret->uid) || is_chosen(s, ret->gid)))
		return err_set(e, EEXIST,
			       "account.uid %u or account.gid %u is that of another new webspace: "
			       "choose a free id",
			       (unsigned)ret->uid, (unsigned)ret->gid);
	if (r == 0)
		r = ledger_note(s->ledger, w->home_root, name,
				(struct ledger_ids){ ret->uid, ret->gid }, e);
	return r;
}

static int account_apply(struct world *w, void *state, const struct webspace *webspace,
			 const struct item *item, const struct finding *found, struct err *e)
{
	struct account_state *s = state;
	struct creation c, *kept;
	char text[24];
	int r = ids_of(w, s, webspace->name, item->want, &c, e);

	(void)found;
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

/* Somebody may have made a user or a group since it was observed. */
static void drop_refused(const struct world *w, struct account_state *s)
{
	const struct admission admission = admission_of(w, s);
	struct table_entry *it;

	table_each (&s->chosen, it) {
		const struct creation *c = it->value;
		autobuf struct buf why = { 0 };
		struct creation again;
		struct account a;

		if (accounts_get(w->accounts, it->key, &a, NULL) == 0 ||
		    admission_ids(&admission, it->key, c->uid, c->gid, &again, &why))
			free(table_take(&s->chosen, it->key));
	}
}

/* The first that is not what it was to be is told; all of them go. */
static int undo_wrong(const struct world *w, const struct account_state *s, struct err *e)
{
	struct table_entry *it;
	int first = 0;

	table_each (&s->chosen, it) {
		const struct creation *c = it->value;
		struct account a;
		int r;

		if (accounts_get(w->accounts, it->key, &a, NULL) < 0 ||
		    (a.uid == c->uid && a.gid == c->gid && !a.shared_group))
			continue;
		r = creation_undo(it->key, c, w->host->home_root, first < 0 ? NULL : e);
		if (r >= 0)
			r = err_set(first < 0 ? NULL : e, EEXIST,
				    "the user %s got the ids %u:%u instead of %u:%u, as somebody "
				    "made a "
				    "user or a group at the same time: it was removed again",
				    it->key, (unsigned)a.uid, (unsigned)a.gid, (unsigned)c->uid,
				    (unsigned)c->gid);
		first = first < 0 ? first : r;
	}
	return first;
}

static int account_flush(struct world *w, void *state, struct err *e)
{
	struct account_state *s = state;
	int r, undone, refreshed;

	if (!s->unflushed)
		return 0;
	s->unflushed = false;
	r = ledger_write(s->ledger, e);
	if (r == 0)
		r = accounts_refresh_own(w->accounts, e);
	if (r < 0)
		return r;
	drop_refused(w, s);
	r = creation_make(&s->chosen, w->host->home_root, e);
	refreshed = accounts_refresh_own(w->accounts, r < 0 ? NULL : e);
	undone = refreshed < 0 ? 0 : undo_wrong(w, s, r < 0 ? NULL : e);
	if (undone < 0)
		refreshed = accounts_refresh_own(w->accounts, NULL);
	return r < 0 ? r : undone < 0 ? undone : refreshed;
}

/* the rest ------------------------------------------------------------------- */

/* Accounts that are held may be made again. */
static size_t account_confirm(struct world *w, void *state, struct err *e)
{
	struct account_state *s = state;
	size_t n = loss_confirm(s->loss);

	(void)w;
	(void)loss_write(s->loss, e);
	return n;
}

static size_t account_held(const void *state)
{
	const struct account_state *s = state;

	return loss_count(s->loss);
}

/* The account stays, as the data do, until `webspaces purge`. */
static int account_remove(struct world *w, void *state, const char *name, struct err *e)
{
	struct account_state *s = state;

	(void)w;
	(void)e;
	loss_end(s->loss, name);
	(void)loss_write(s->loss, NULL); /* the next slice tries again */
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
	.confirm = account_confirm,
	.held = account_held,
};
