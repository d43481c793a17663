/*
 * The client of CAs as a service: it is told what each webspace wants, goes about
 * it in its own time, and says when to look again. It publishes nothing; what it
 * installs is seen by the certificate resource and served by nginx.
 */
#include <stdlib.h>
#include <string.h>

#include "acme/acme.h"
#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "reconcile/accounts/system_user.h"
#include "reconcile/service.h"
#include "reconcile/site_want.h"

#define TELL_AGAIN_S 86400
#define TOLD_MAX     1024

struct acme_service {
	struct service_config config;
	struct acme *acme; /* NULL when dry, or where the CA's terms were not agreed to */
	struct table told; /* problem → time_t: when it was told last */
};

static void changed(const char *webspace, void *data)
{
	struct acme_service *s = data;

	s->config.again(strcmp(webspace, ACME_HOST) == 0 ? NULL : webspace, s->config.data);
}

/* The same problem once a day. */
static bool was_told(struct acme_service *s, const char *text)
{
	time_t *at = table_get(&s->told, text), now = clock_steady();
	bool recently = at && now - *at < TELL_AGAIN_S;
	struct table_entry *it;

	if (recently)
		return true;
	if (s->told.count >= TOLD_MAX)
		table_each (&s->told, it)
			free(table_take(&s->told, it->key));
	at = memory_new(sizeof *at);
	*at = now;
	free(table_set(&s->told, text, at));
	return false;
}

static void told(enum acme_news news, const char *webspace, const char *text, void *data)
{
	static const enum report_kind kinds[] = {
		[ACME_ISSUED] = REPORT_CERTIFIED,  [ACME_PROBLEM] = REPORT_FAILED,
		[ACME_REVOKED] = REPORT_CERTIFIED, [ACME_ACCOUNT] = REPORT_CERTIFIED,
		[ACME_EXPIRING] = REPORT_EXPIRING,
	};
	struct acme_service *s = data;

	if (news == ACME_PROBLEM && was_told(s, text))
		return;
	s->config.report(&(struct report){ .kind = kinds[news],
					   .change = CHANGE_DRIFT,
					   .resource = "acme",
					   .item = webspace,
					   .text = text },
			 s->config.data);
}

/* Opening ------------------------------------------------------------------------------ */

static enum acme_preflight_kind preflight_of(const struct host *host)
{
	static const enum acme_preflight_kind kinds[] = {
		[PREFLIGHT_LOCAL] = ACME_LOOK_LOCAL,
		[PREFLIGHT_STRICT] = ACME_LOOK_STRICT,
		[PREFLIGHT_OFF] = ACME_LOOK_OFF,
	};

	return kinds[host->acme.preflight];
}

static int start(struct acme_service *s, struct err *e)
{
	const struct host *h = s->config.host;
	const struct acme_config config = {
		.loop = s->config.loop,
		.store = s->config.store,
		.run_dir = h->run_dir,
		.directory = h->acme.directory,
		.thumbprint = s->config.thumbprint,
		.agree_tos = h->acme.agree_tos,
		.contacts = h->acme.contact.items,
		.n_contacts = h->acme.contact.count,
		.eab_kid = h->acme.eab.kid,
		.eab_key = h->acme.eab.hmac_key,
		.eab_key_file = h->acme.eab.hmac_key_file,
		.account_key = h->acme.account_key,
		.ca_file = h->acme.ca_file,
		.user = h->acme.user,
		.limits_always = h->acme.limits == LIMITS_LETSENCRYPT,
		.limits_never = h->acme.limits == LIMITS_NONE,
		.preflight = preflight_of(h),
		.http = h->nginx.http.items,
		.n_http = h->nginx.http.count,
		.https = h->nginx.https.items,
		.n_https = h->nginx.https.count,
		.addresses = h->acme.addresses.items,
		.n_addresses = h->acme.addresses.count,
		.hook = h->acme.dns_hook,
		.hook_timeout_s = h->acme.dns_hook_timeout,
		.dns_wait_s = h->acme.dns_wait,
		.changed = changed,
		.told = told,
		.data = s,
	};

	return acme_open(&config, &s->acme, e);
}

/* Whom the process that talks to CAs becomes; the package brings it, a bare host gets it here. */
static void make_user(struct acme_service *s)
{
	struct err e = { 0 };

	if (system_user_make(s->config.host->acme.user, "ACME client of webspaces",
			     s->config.host->accounts.create, &e) < 0)
		told(ACME_PROBLEM, NULL, e.text, s);
}

static void acme_service_close(void *service)
{
	struct acme_service *s = service;

	acme_close(s->acme);
	table_free_values(&s->told);
	free(s);
}

static int acme_service_open(const struct service_config *config, void **ret, struct err *e)
{
	struct acme_service *s = memory_new(sizeof *s);
	int r = 0;

	s->config = *config;
	if (!config->dry && config->host->acme.agree_tos) {
		make_user(s);
		r = start(s, e);
	}
	if (r < 0) {
		acme_service_close(s);
		return r;
	}
	*ret = s;
	return 0;
}

/* Serving ------------------------------------------------------------------------------ */

static void serve(void *service, const struct webspace *w)
{
	struct acme_service *s = service;
	autoarena struct arena a = { 0 };
	struct acme_want *wants = NULL;
	size_t n = 0;

	if (!s->acme)
		return;
	if (w->state != STATE_DISABLED)
		n = site_wants(s->config.host, w, &a, &wants);
	acme_set(s->acme, w->name, wants, n);
}

static void withdraw(void *service, const char *name)
{
	struct acme_service *s = service;

	if (s->acme)
		acme_set(s->acme, name, NULL, 0);
}

static bool withdrawn(void *service, const char *name)
{
	(void)service;
	(void)name;
	return true;
}

/* The burst is over: what the host itself wants does not come by any webspace. */
static void publish(void *service)
{
	struct acme_service *s = service;
	autoarena struct arena a = { 0 };
	struct acme_want want;

	if (s->acme && host_want(s->config.host, &a, &want))
		acme_set(s->acme, ACME_HOST, &want, 1);
}

static void look(void *service)
{
	struct acme_service *s = service;

	if (s->acme)
		acme_look(s->acme);
}

/* Whoever stays does not wait for a CA; whoever ends after one pass does, a while. */
static bool idle(void *service)
{
	const struct acme_service *s = service;

	return !s->acme || !s->config.one_shot || !acme_busy(s->acme);
}

static uint64_t generation(void *service)
{
	(void)service;
	return 0;
}

static int ask(void *service, const char *verb, const char *word, struct buf *ret_message)
{
	struct acme_service *s = service;

	if (strncmp(verb, "certs-", 6) != 0)
		return 0;
	if (!s->acme) {
		buf_adds(ret_message, "no CA is asked for anything: acme.agree_tos is not set");
		return -1;
	}
	if (strcmp(verb, "certs-renew") == 0)
		return acme_renew(s->acme, word ? word : "", ret_message) < 0 ? -1 : 1;
	if (strcmp(verb, "certs-revoke") == 0)
		return acme_revoke(s->acme, word ? word : "", ret_message) < 0 ? -1 : 1;
	if (strcmp(verb, "certs-change-key") == 0)
		return acme_change_key(s->acme, ret_message) < 0 ? -1 : 1;
	if (strcmp(verb, "certs-deactivate") == 0)
		return acme_deactivate(s->acme, ret_message) < 0 ? -1 : 1;
	return 0;
}

static void measure(const void *service, struct reconcile_figures *ret)
{
	const struct acme_service *s = service;

	if (s->acme)
		ret->acme = acme_figures(s->acme);
}

const struct service_type acme_service_type = {
	.name = "acme",
	.open = acme_service_open,
	.close = acme_service_close,
	.serve = serve,
	.withdraw = withdraw,
	.withdrawn = withdrawn,
	.publish = publish,
	.look = look,
	.idle = idle,
	.generation = generation,
	.ask = ask,
	.measure = measure,
};
