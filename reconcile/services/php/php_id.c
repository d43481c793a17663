/*
 * Names of lines and masters. They appear in paths, in systemd's instance names
 * and in logs, so they are short, and each can be taken apart again: what a
 * former agent left on disk is understood by its name alone.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/hash.h"
#include "reconcile/services/php/php.h"

/* The same on every host and in every release, or pools would move at an update. */
static uint64_t hash_of(const char *name)
{
	return hash_bytes(HASH_START, name, strlen(name));
}

unsigned php_lines_for(const struct host *host, size_t n_pools)
{
	unsigned lines = host->php.shards ? host->php.shards : 1;

	while (lines < PHP_LINES_MAX && n_pools > (size_t)lines * PHP_POOLS_A_LINE)
		lines *= 2;
	return lines < PHP_LINES_MAX ? lines : PHP_LINES_MAX;
}

void php_id_line(unsigned n_lines, const struct webspace *webspace, const char *version, uid_t uid,
		 char ret[static PHP_LINE_ROOM])
{
	if (webspace_is_dedicated(webspace))
		snprintf(ret, PHP_LINE_ROOM, "%s-u%u", version, uid);
	else
		snprintf(ret, PHP_LINE_ROOM, "%s-%02u", version,
			 (unsigned)(hash_of(webspace->name) % n_lines));
}

bool php_id_is_dedicated(const char *line)
{
	const char *dash = strchr(line, '-');

	return dash && dash[1] == 'u';
}

static bool all_digits(const char *text)
{
	size_t n = strspn(text, "0123456789");

	return n > 0 && n <= 18 && text[n] == '\0';
}

bool php_id_parse_line(const char *text, struct php_id *ret)
{
	const char *dash = strchr(text, '-');
	struct php_id id = { 0 };
	size_t len;

	if (!dash || strlen(text) >= sizeof(id.line))
		return false;
	len = (size_t)(dash - text);
	if (len == 0 || len >= sizeof(id.version) || strspn(text, "0123456789.") != len ||
	    !all_digits(dash[1] == 'u' ? dash + 2 : dash + 1))
		return false;
	memcpy(id.version, text, len);
	memcpy(id.line, text, strlen(text));
	*ret = id;
	return true;
}

bool php_id_parse_master(const char *text, struct php_id *ret)
{
	char line[PHP_MASTER_ROOM];
	struct php_id id;
	char *generation, *attempt;

	if (strlen(text) >= sizeof(line))
		return false;
	memcpy(line, text, strlen(text) + 1);
	attempt = strrchr(line, '.');
	if (!attempt)
		return false;
	*attempt++ = '\0';
	generation = strrchr(line, '.');
	if (!generation)
		return false;
	*generation++ = '\0';
	if (!all_digits(attempt) || !all_digits(generation) || !php_id_parse_line(line, &id))
		return false;
	id.generation = strtoull(generation, NULL, 10);
	id.attempt = (unsigned)strtoul(attempt, NULL, 10);
	*ret = id;
	return true;
}
