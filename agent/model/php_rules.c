/* Cross-checks of a webspace's PHP: what php-fpm would refuse, or what could not hold. */
#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "agent/base/own.h"
#include "agent/model/fill.h"
#include "agent/model/follow.h"
#include "agent/model/php_settings.h"
#include "agent/model/rules.h"

/* Each is at most what the next is. What did not fit and stands elsewhere has followed: follow.c. */
static void check_pm(const struct rules *r, const struct php_settings *php)
{
	const struct {
		const char *key;
		unsigned value;
	} chain[] = {
		{ "php.min_spare_servers", php->min_spare_servers },
		{ "php.start_servers", php->start_servers },
		{ "php.max_spare_servers", php->max_spare_servers },
		{ "php.max_children", php->max_children },
	};

	if (php->pm != PM_DYNAMIC)
		return;
	for (size_t i = 0; i < ELEMENTS(chain); i++)
		for (size_t k = i + 1; k < ELEMENTS(chain); k++)
			if (chain[i].value > chain[k].value &&
			    setting_is_there(r->root, chain[i].key) &&
			    setting_is_there(r->root, chain[k].key))
				rule_broken(r, chain[i].key, "more than %s (%u)", chain[k].key,
					    chain[k].value);
}

static void check_times(const struct rules *r, const struct php_settings *php)
{
	unsigned ends = php->request_terminate_timeout;
	uint64_t runs = 0;

	if (setting_is_there(r->root, "php.values"))
		runs = php_script_time(&php->values, runs);
	if (setting_is_there(r->root, "php.user_values"))
		runs = php_script_time(&php->user_values, runs);

	if (ends && php->request_slowlog_timeout > ends)
		rule_broken(
			r, "php.request_slowlog_timeout",
			"more than php.request_terminate_timeout (%us), which ends a request first",
			ends);
	if (ends && runs > ends && setting_is_there(r->root, "php.request_terminate_timeout"))
		rule_broken(
			r, "php.request_terminate_timeout",
			"%us, but max_execution_time or max_input_time lets a script run longer: "
			"leave this key out, and it follows",
			ends);
}

static void check_settings(const struct rules *r, const struct php_settings *php)
{
	for (size_t i = 0; i < php->user_values.count; i++)
		if (pair_of(&php->values, php->user_values.items[i].key))
			rule_broken(r, "php.user_values",
				    "%s is in php.values too, which scripts cannot change: it can "
				    "be in "
				    "one of them",
				    php->user_values.items[i].key);
}

static void check_sizes(const struct rules *r, const struct php_settings *php)
{
	if (php->upload_max_filesize > php->post_max_size)
		rule_broken(r, "php.upload_max_filesize",
			    "more than php.post_max_size, which would cut such an upload off");
}

static bool is_script(const struct text_list *extensions, const char *path)
{
	size_t len = strlen(path);

	for (size_t i = 0; i < extensions->count; i++) {
		const char *end = extensions->items[i];

		if (len > strlen(end) && strcmp(path + len - strlen(end), end) == 0)
			return true;
	}
	return len > 4 && strcmp(path + len - 4, ".php") == 0;
}

static void check_paths(const struct rules *r, const struct php_settings *php)
{
	const struct {
		const char *key, *path;
	} paths[] = { { "php.status_path", php->status_path },
		      { "php.ping_path", php->ping_path } };

	if (*php->status_path && strcmp(php->status_path, php->ping_path) == 0)
		rule_broken(r, "php.ping_path", "the same as php.status_path");
	for (size_t i = 0; i < ELEMENTS(paths); i++)
		if (is_script(&php->limit_extensions, paths[i].path))
			rule_broken(r, paths[i].key,
				    "a script may have this name, and PHP would never run it: use "
				    "a path "
				    "without its extension");
}

static void check_memories(const struct rules *r, const char *group, const struct pair_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		autoarena struct arena temporary = { 0 };
		const char *key = arena_printf(&temporary, "%s.%s", group, list->items[i].key);

		if (php_setting_needs_own_master(list->items[i].key) &&
		    setting_is_there(r->root, key))
			rule_broken(
				r, key,
				"is about a memory that all webspaces of a PHP master share, so "
				"it is off there: set php.master = \"dedicated\" to have one of "
				"your own");
	}
}

/* Those in `defaults` are for webspaces that have a master of their own; in a webspace's file somebody counts on them. */
static void check_master(const struct rules *r, const struct webspace *w)
{
	static const struct php_limits none;

	if (*r->shown || webspace_is_dedicated(w))
		return;
	if (setting_is_there(r->root, "php.limits") &&
	    memcmp(&w->php.limits, &none, sizeof(none)) != 0)
		rule_broken(r, "php.limits",
			    "limits are those of a master of its own: they need php.master = "
			    "\"dedicated\"");
	check_memories(r, "php.values", &w->php.values);
	check_memories(r, "php.user_values", &w->php.user_values);
}

#define MEMORY_LEAST (16U << 20) /* a master and a child of it */
#define FILES_LEAST  16 /* below 8 a child cannot take a request, and a script opens files too */

static void check_limits(const struct rules *r, const struct webspace *w)
{
	const struct php_settings *php = &w->php;
	const struct php_limits *l = &php->limits;

	if (php->rlimit_files && php->rlimit_files < FILES_LEAST)
		rule_broken(
			r, "php.rlimit_files",
			"less than %d, with which PHP answers no request: give more, or 0 for as "
			"many as the master has",
			FILES_LEAST);
	if (l->memory_max && l->memory_max < MEMORY_LEAST)
		rule_broken(r, "php.limits.memory_max",
			    "less than 16M, with which PHP does not start");
	if (l->memory_max && l->memory_high > l->memory_max)
		rule_broken(r, "php.limits.memory_high", "more than php.limits.memory_max");
	if (webspace_is_dedicated(w) && l->tasks_max && l->tasks_max <= php->max_children)
		rule_broken(r, "php.limits.tasks_max",
			    "not more than php.max_children, and the master is one too");
}

/* sockaddr_un has 107 bytes for a path, and php-fpm cuts a longer one without a word. */
#define SOCKET_PATH_MAX 107
#define MASTER_ID_MAX   31 /* "8.2-u4294967295.4294967295.1000" */

static void check_socket(const struct rules *r, const struct host *h, const struct webspace *w)
{
	size_t len = strlen(h->run_dir) + strlen("/php/masters/") + MASTER_ID_MAX + strlen("/") +
		     strlen(w->name) + strlen(".sock");

	if (w->php.enabled && len > SOCKET_PATH_MAX)
		rule_broken(r, "",
			    "the path of its PHP socket is too long: shorten run_dir of the host");
}

/* [global] is the section of the master itself. */
static void check_name(const struct rules *r, const struct webspace *w)
{
	if (w->php.enabled && strcasecmp(w->name, "global") == 0)
		rule_broken(r, "",
			    "php-fpm cannot have a pool of the name \"global\": rename the file, "
			    "or set "
			    "php.enabled = false");
}

void rules_php(const struct rules *r, const struct host *h, const struct webspace *w)
{
	const struct php_settings *php = &w->php;

	check_pm(r, php);
	check_times(r, php);
	check_settings(r, php);
	check_sizes(r, php);
	check_paths(r, php);
	check_master(r, w);
	check_limits(r, w);
	check_name(r, w);
	check_socket(r, h, w);
}
