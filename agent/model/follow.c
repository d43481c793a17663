/*
 * Values that depend on each other are said in three places: the webspace's
 * file, `defaults` of the host's, and the program. Where two of them cannot both
 * hold, the one that was said farther away follows the nearer: a file that ends
 * requests after 10 s need not know that slow ones are logged after 15 s.
 * Two that stand in the same file are not touched, and refused by rules.c.
 *
 * A value that has moved counts as said where the one stands that moved it.
 */
#include "agent/model/follow.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent/base/own.h"
#include "agent/model/fill.h"

enum place { BY_PROGRAM, BY_HOST, BY_FILE };

#define TIME_MAX      86400U /* as in the table of options */
#define TIME_SPARE    5
#define UPLOAD_SPARE  (UINT64_C(4) << 20) /* the other fields of a form with a file */
#define MIN_SPARE     1
#define MAX_SPARE     3
#define TASKS_BESIDES 1 /* the master */

static enum place place_of(const struct said *said, const char *key)
{
	if (said->file && setting_is_there(said->file, key))
		return BY_FILE;
	if (said->defaults && setting_is_there(said->defaults, key))
		return BY_HOST;
	return BY_PROGRAM;
}

static enum place place_of_site(const struct said *said, size_t i, const char *key)
{
	char path[96];

	snprintf(path, sizeof(path), "sites[%zu].%s", i, key);
	if (said->file && setting_is_there(said->file, path))
		return BY_FILE;
	snprintf(path, sizeof(path), "site.%s", key);
	if (place_of(said, path) == BY_HOST)
		return BY_HOST;
	snprintf(path, sizeof(path), "sites[0].%s", key);
	return said->defaults && setting_is_there(said->defaults, path) ? BY_HOST : BY_PROGRAM;
}

/* pm = "dynamic" ------------------------------------------------------- */

/* min_spare_servers <= start_servers <= max_spare_servers <= max_children */
enum { LEAST, START, MOST, CHILDREN, LINKS };

struct link {
	unsigned *value;
	enum place place;
	bool settled;
};

/* Between what is settled on either side. */
static unsigned clamp(const struct link *chain, size_t i, unsigned wanted)
{
	for (size_t k = 0; k < i; k++)
		if (chain[k].settled && wanted < *chain[k].value)
			wanted = *chain[k].value;
	for (size_t k = LINKS; k-- > i + 1;)
		if (chain[k].settled && wanted > *chain[k].value)
			wanted = *chain[k].value;
	return wanted;
}

static void settle(struct link *chain, size_t i, unsigned wanted)
{
	*chain[i].value = clamp(chain, i, wanted);
	chain[i].settled = true;
}

static void settle_said(struct link *chain, enum place place)
{
	for (size_t i = 0; i < LINKS; i++)
		if (chain[i].place == place)
			*chain[i].value = clamp(chain, i, *chain[i].value);
	for (size_t i = 0; i < LINKS; i++)
		if (chain[i].place == place)
			chain[i].settled = true;
}

/* A number of 0 is one that is not said. */
static struct link link_of(const struct said *said, const char *key, unsigned *value)
{
	return (struct link){ .value = value, .place = *value ? place_of(said, key) : BY_PROGRAM };
}

static void follow_pm(const struct said *said, struct php_settings *php, enum place children)
{
	struct link chain[LINKS] = {
		[LEAST] = link_of(said, "php.min_spare_servers", &php->min_spare_servers),
		[START] = link_of(said, "php.start_servers", &php->start_servers),
		[MOST] = link_of(said, "php.max_spare_servers", &php->max_spare_servers),
		[CHILDREN] = { &php->max_children, php->pm == PM_DYNAMIC ? children : BY_FILE,
			       false },
	};

	settle_said(chain, BY_FILE);
	if (!said->file)
		settle_said(chain, BY_HOST);
	for (size_t i = LINKS; i-- > 0;) /* one after the other: see is_of_host */
		if (chain[i].place == BY_HOST && !chain[i].settled)
			settle(chain, i, *chain[i].value);
	if (!chain[CHILDREN].settled)
		settle(chain, CHILDREN, php->max_children);
	if (!chain[LEAST].settled)
		settle(chain, LEAST, MIN_SPARE);
	if (!chain[MOST].settled)
		settle(chain, MOST, MAX_SPARE);
	if (!chain[START].settled) {
		unsigned least = php->min_spare_servers, most = php->max_spare_servers;

		settle(chain, START, least + (most > least ? (most - least) / 2 : 0));
	}
}

/*
 * Two of `defaults` may not fit that never met there, since pm or the master is
 * another in the file; which does not know of them.
 */
static bool is_of_host(const struct said *said, enum place place)
{
	return said->file && place == BY_HOST;
}

/* All processes of a master of its own are within its limit. */
static enum place follow_tasks(const struct said *said, struct webspace *w)
{
	struct php_settings *php = &w->php;
	enum place children = place_of(said, "php.max_children"),
		   tasks = place_of(said, "php.limits.tasks_max");
	unsigned *most = &php->limits.tasks_max;

	if (!webspace_is_dedicated(w) || *most == 0 || *most >= php->max_children + TASKS_BESIDES)
		return children;
	if (tasks < children) {
		*most = php->max_children + TASKS_BESIDES;
	} else if ((tasks > children || is_of_host(said, tasks)) && *most > TASKS_BESIDES) {
		php->max_children = *most - TASKS_BESIDES;
		return tasks;
	}
	return children;
}

/* time ----------------------------------------------------------------- */

uint64_t php_script_time(const struct pair_list *list, uint64_t seconds)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct text_pair *pair = &list->items[i];
		bool input = strcasecmp(pair->key, "max_input_time") == 0;

		if (!input && strcasecmp(pair->key, "max_execution_time") != 0)
			continue;

		long long n = strtoll(pair->value, NULL, 10);

		if (n > 0 && (uint64_t)n > seconds)
			seconds = (uint64_t)n;
		else if (n == 0 || (n < 0 && !input)) /* -1 of the input: as for the script */
			seconds = FOR_EVER;
	}
	return seconds;
}

static enum place place_of_script_time(const struct said *said, const struct php_settings *php)
{
	enum place values = php_script_time(&php->values, 0) ? place_of(said, "php.values")
							     : BY_PROGRAM,
		   user = php_script_time(&php->user_values, 0) ? place_of(said, "php.user_values")
								: BY_PROGRAM;

	return values > user ? values : user;
}

/* 0: no end. */
static unsigned time_after(uint64_t seconds)
{
	return seconds > TIME_MAX - TIME_SPARE ? 0 : (unsigned)seconds + TIME_SPARE;
}

static void follow_times(const struct said *said, struct php_settings *php)
{
	enum place end = place_of(said, "php.request_terminate_timeout"),
		   slow = place_of(said, "php.request_slowlog_timeout"),
		   script = place_of_script_time(said, php);
	unsigned *ends = &php->request_terminate_timeout, *logs = &php->request_slowlog_timeout;
	uint64_t runs = php_script_time(&php->user_values, php_script_time(&php->values, 0));

	if (*ends && script > end && (runs == FOR_EVER || runs + TIME_SPARE > *ends)) {
		*ends = time_after(runs);
		end = script;
	}
	if (*ends == 0 || *logs <= *ends)
		return;
	if (slow > end)
		*ends = time_after(*logs);
	else if (slow < end)
		*logs = *ends > 1 ? (unsigned)(UINT64_C(3) * *ends / 4) : 1;
}

/* sizes and paths ------------------------------------------------------ */

static void follow_sizes(const struct said *said, struct php_settings *php)
{
	enum place post = place_of(said, "php.post_max_size"),
		   upload = place_of(said, "php.upload_max_filesize");

	if (php->upload_max_filesize <= php->post_max_size)
		return;
	if (upload > post)
		php->post_max_size = php->upload_max_filesize + UPLOAD_SPARE;
	else if (upload < post)
		php->upload_max_filesize = php->post_max_size;
}

static void follow_memory(const struct said *said, struct php_limits *l)
{
	enum place high = place_of(said, "php.limits.memory_high"),
		   most = place_of(said, "php.limits.memory_max");

	if (!l->memory_max || l->memory_high <= l->memory_max)
		return;
	if (high > most)
		l->memory_max = l->memory_high;
	else if (high < most)
		l->memory_high = l->memory_max;
}

static void follow_paths(const struct said *said, struct php_settings *php)
{
	enum place status = place_of(said, "php.status_path"),
		   ping = place_of(said, "php.ping_path");

	if (!*php->status_path || strcmp(php->status_path, php->ping_path) != 0)
		return;
	if (status > ping)
		php->ping_path = "";
	else if (status < ping)
		php->status_path = "";
}

/* settings ------------------------------------------------------------- */

/* The list without what the other has. */
static struct pair_list without(const struct pair_list *list, const struct pair_list *other,
				struct arena *a)
{
	struct text_pair *kept = arena_new(a, (list->count + 1) * sizeof(*kept));
	size_t n = 0;

	for (size_t i = 0; i < list->count; i++)
		if (!pair_of(other, list->items[i].key))
			kept[n++] = list->items[i];
	return (struct pair_list){ .items = kept, .count = n };
}

static void follow_settings(const struct said *said, struct php_settings *php, struct arena *a)
{
	enum place values = place_of(said, "php.values"), user = place_of(said, "php.user_values");

	if (user > values)
		php->values = without(&php->values, &php->user_values, a);
	else if (user < values)
		php->user_values = without(&php->user_values, &php->values, a);
}

/* sites ---------------------------------------------------------------- */

/* What PHP shall take, nginx lets pass; but a site may say less. */
static void follow_body(const struct said *said, const struct php_settings *php, size_t i,
			struct site *s)
{
	enum place post = place_of(said, "php.post_max_size"),
		   upload = place_of(said, "php.upload_max_filesize");

	if (s->type == SITE_PHP && php->enabled && s->client_max_body_size &&
	    s->client_max_body_size < php->post_max_size &&
	    place_of_site(said, i, "client_max_body_size") < (post > upload ? post : upload))
		s->client_max_body_size = php->post_max_size;
}

static void follow_challenge(const struct said *said, size_t i, struct site *s)
{
	bool wildcard = false;

	for (size_t k = 0; k < s->names.count; k++)
		wildcard |= s->names.items[k][0] == '*';
	if (wildcard && s->tls.challenge == TLS_CHALLENGE_HTTP_01 &&
	    place_of_site(said, i, "tls.challenge") < BY_FILE)
		s->tls.challenge = TLS_CHALLENGE_AUTO;
}

void follow(const struct said *said, struct arena *a, struct webspace *w)
{
	struct php_settings *php = &w->php;
	struct site *sites = w->n_sites ? arena_new(a, w->n_sites * sizeof(*sites)) : NULL;

	follow_pm(said, php, follow_tasks(said, w));
	follow_times(said, php);
	follow_sizes(said, php);
	follow_settings(said, php, a);
	follow_memory(said, &php->limits);
	follow_paths(said, php);
	for (size_t i = 0; i < w->n_sites; i++) {
		sites[i] = w->sites[i];
		follow_body(said, php, i, &sites[i]);
		follow_challenge(said, i, &sites[i]);
	}
	w->sites = sites;
}
