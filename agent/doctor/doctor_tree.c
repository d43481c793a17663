/* What one webspace has of its own, by the same looks as the pass takes. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/own.h"
#include "agent/doctor/doctor.h"
#include "reconcile/site_certificate.h"
#include "reconcile/tree/home.h"

static void say_finding(const struct item *item, const struct finding *f, struct buf *said)
{
	buf_printf(said, "%s", item->name);
	if (*f->text)
		buf_printf(said, ": %s", f->text);
	else if (f->state == OBSERVED_MISSING)
		buf_adds(said, " is missing");
	else
		buf_printf(said, ": %s is %s, not %s", f->what ? f->what : "it", f->old_value,
			   f->new_value);
}

/* The first of its items that is not as it should be. */
static enum found look_at_items(struct patient *p, const struct resource_type *type, void *state,
				struct buf *said, struct finding *ret)
{
	struct item_list items = { 0 };
	struct err e = { 0 };

	if (type->prepare && type->prepare(p->world, state, &p->webspace, 1, &e) < 0) {
		buf_adds(said, e.text);
		return FOUND_WRONG;
	}
	type->desire(p->world, state, p->webspace, &items);
	for (size_t i = 0; i < items.count; i++) {
		*ret = (struct finding){ 0 };
		type->observe(p->world, state, p->webspace, &items.items[i], ret);
		if (ret->state == OBSERVED_IN_SYNC || ret->state == OBSERVED_PLACEHOLDER)
			continue;
		say_finding(&items.items[i], ret, said);
		return FOUND_WRONG;
	}
	buf_printf(said, "%zu as they should be", items.count);
	return FOUND_WELL;
}

/* What to do, where the finding does not say it itself. */
static void cure_finding(const struct patient *p, const struct finding *f, struct buf *cure)
{
	const char *reason = f->reason ? f->reason : "";

	if (f->state == OBSERVED_MISSING || f->state == OBSERVED_DIFFERS)
		buf_printf(cure,
			   "a running agent puts it right at once: systemctl reload webspaces; if "
			   "it comes again, journalctl WEBSPACE=%s says why",
			   p->name);
	else if (strcmp(reason, "SourceMissing") == 0)
		buf_printf(cure,
			   "make that path by hand (mount its disk, start its service), or take "
			   "it out of binds in %s/%s.conf",
			   p->host->config_dir, p->name);
	else if (strcmp(reason, "BadBind") == 0 || strcmp(reason, "BundleMissing") == 0)
		buf_printf(cure, "change binds in %s/%s.conf", p->host->config_dir, p->name);
	else if (strcmp(reason, "Held") == 0)
		buf_adds(cure, "put the accounts back, or webspaces confirm");
	else if (strcmp(reason, "NoAccount") == 0)
		buf_printf(cure, "adduser --disabled-login %s, or accounts.create = true", p->name);
	else if (strcmp(reason, "NameService") == 0)
		buf_adds(cure, "see that the directory service of /etc/nsswitch.conf answers");
	else
		buf_adds(cure,
			 "it is somebody else's, so it is left as it is: put right by hand what "
			 "the message names, or move it away");
}

static enum found look_at(struct patient *p, const struct resource_type *type, struct buf *said,
			  struct buf *cure)
{
	struct finding f = { .state = OBSERVED_IN_SYNC };
	void *own = NULL;
	struct err e = { 0 };
	enum found found;

	if (type->open && type->open(p->world, &own, &e) < 0) {
		buf_adds(said, e.text);
		buf_adds(cure, "see the journal: journalctl -u webspaces");
		return FOUND_WRONG;
	}
	found = look_at_items(p, type, own, said, &f);
	if (type->close)
		type->close(own);
	if (found == FOUND_WELL)
		return found;
	cure_finding(p, &f, cure);
	return found;
}

enum found step_account(struct patient *p, struct buf *said, struct buf *cure)
{
	struct account a;
	enum found found = look_at(p, &account_type, said, cure);

	if (found == FOUND_WELL && accounts_get(p->world->accounts, p->name, &a, NULL) == 0) {
		buf_reset(said);
		buf_printf(said, "%s, uid %u", p->name, (unsigned)a.uid);
	}
	return found;
}

enum found step_ancestors(struct patient *p, struct buf *said, struct buf *cure)
{
	struct err e = { 0 };

	if (home_check_root(p->host->home_root, &e) < 0) {
		buf_adds(said, e.text);
		buf_printf(cure,
			   "chown root and chmod go-w that directory: who can write above %s can "
			   "put anything in its place",
			   p->host->home_root);
		return FOUND_WRONG;
	}
	buf_printf(said, "%s and all above it is root's", p->host->home_root);
	return FOUND_WELL;
}

enum found step_directories(struct patient *p, struct buf *said, struct buf *cure)
{
	return look_at(p, &directory_type, said, cure);
}

enum found step_mounts(struct patient *p, struct buf *said, struct buf *cure)
{
	if (!p->world->in_namespace) {
		buf_printf(said, "there is no mount namespace at %s/ns/mnt", p->host->run_dir);
		buf_adds(cure, "systemctl restart webspaces makes it");
		return FOUND_WRONG;
	}
	return look_at(p, &mount_type, said, cure);
}

static void add_next_try(const struct certificate_entry *c, void *data)
{
	char at[21];

	if (c->record->next_try <= clock_wall())
		return;
	clock_rfc3339(c->record->next_try, at);
	buf_printf(data, "; next try of %s at %s", c->site, at);
}

/* The last step: by now the site is served, be it with one that stands in. */
enum found step_certificate(struct patient *p, struct buf *said, struct buf *cure)
{
	struct site_certificate c = { 0 };
	const struct webspace *w = p->webspace;

	for (size_t i = 0; i < w->n_sites; i++) {
		if (w->sites[i].tls.issuer == ISSUER_OFF)
			continue;
		site_certificate_look(p->world->store, p->host, w, &w->sites[i], clock_wall(), &c);
		if (c.wanted)
			continue;
		buf_printf(said, "%s: %s: %s", w->sites[i].names.items[0],
			   c.reason ? c.reason : "Pending", c.text);
		(void)store_each(p->world->store, p->name, add_next_try, said, NULL);
		if (c.reason && strcmp(c.reason, "TermsNotAgreed") == 0)
			buf_adds(cure, "acme = { agree_tos = true; }; in webspaces.conf, and "
				       "restart the agent");
		else
			buf_printf(cure,
				   "mend what the CA or DNS says, then webspaces certs renew %s; "
				   "until then what stands in is served",
				   p->name);
		return FOUND_WRONG;
	}
	buf_adds(said, "of whom the file asks for");
	return FOUND_WELL;
}
