/*
 * All webspaces together in the words of nginx: fragments are taken apart by
 * section, server_name lines go to the block of their shape, rows to the maps.
 * What of it depends on whose nginx it is (facts->around) is the main file, which
 * is a whole configuration or a part of the host's http {}, and where the settings
 * stand that hold for all of our servers.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/table.h"
#include "renderers/nginx_sections.h"
#include "renderers/nginx_shape.h"
#include "renderers/template.h"

const char *const nginx_file_names[NGINX_FILES] = { "nginx.conf", "maps.conf", "sites.conf",
						    "settings.conf", "dropins.conf" };

enum nginx_file { FILE_MAIN, FILE_MAPS, FILE_SITES, FILE_SETTINGS, FILE_DROPINS };

const char *const nginx_size_names[NGINX_SIZES] = {
	[SIZE_NAMES_BUCKET] = "server_names_hash_bucket_size",
	[SIZE_NAMES_MAX] = "server_names_hash_max_size",
	[SIZE_MAP_BUCKET] = "map_hash_bucket_size",
	[SIZE_MAP_MAX] = "map_hash_max_size",
};

/* All server_name lines of one shape. */
struct group {
	struct buf names;
};

static struct group *find_group(struct table *groups, const char *key)
{
	struct group *g = table_get(groups, key);

	if (!g) {
		g = memory_new(sizeof(*g));
		table_set(groups, key, g);
	}
	return g;
}

/* Behind the line that begins at p. */
static const char *next_line(const char *p, const char *end)
{
	const char *newline = memchr(p, '\n', (size_t)(end - p));

	return newline ? newline + 1 : end;
}

/* Takes a section apart again: "=SHAPE\n", lines of names, "=SHAPE\n" … */
static void collect(struct table *groups, struct buf *key, const struct text_view *view)
{
	const char *p = view->text, *end = p + view->len;

	while (p < end && *p == '=') {
		const char *names = next_line(p, end), *next = names;

		while (next < end && *next != '=')
			next = next_line(next, end);
		buf_reset(key);
		buf_add(key, p + 1, (size_t)(names - p) - 2);
		buf_add(&find_group(groups, buf_text(key))->names, names, (size_t)(next - names));
		p = next;
	}
}

/* A block that many share: where nginx is the host's, it says there what else http {} would. */
static struct shape_place place_in(const struct nginx_facts *facts, const char *dir)
{
	struct shape_place place = shape_shared;

	place.around = facts->around;
	place.settings = facts->around ? dir : NULL;
	return place;
}

static void compose_sites(const struct host *host, const struct nginx_facts *facts, const char *dir,
			  const struct text_view (*sections)[RENDER_SECTIONS], size_t n,
			  struct buf *ret)
{
	struct table groups = { 0 };
	autobuf struct buf key = { 0 };
	autoarena struct arena a = { 0 };
	struct table_entry *it;
	size_t i;

	for (i = 0; i < n; i++)
		collect(&groups, &key, &sections[i][SECTION_SHAPES]);
	table_each (&groups, it) {
		struct shape_place place = place_in(facts, dir);
		struct group *g = it->value;
		struct nginx_shape shape;

		place.names = buf_text(&g->names);
		if (shape_read(it->key, &a, &shape))
			(void)shape_block(host, &shape, &place, ret, NULL);
		buf_clear(&g->names);
		free(g);
	}
	table_clear(&groups);
}

static const char *join(const struct text_view (*sections)[RENDER_SECTIONS], size_t n,
			enum nginx_section section, struct buf *ret)
{
	size_t i;

	for (i = 0; i < n; i++)
		buf_add(ret, sections[i][section].text, sections[i][section].len);
	return ret->len ? buf_text(ret) : NULL;
}

static void compose_maps(const struct host *host, const struct nginx_facts *facts,
			 const struct text_view (*sections)[RENDER_SECTIONS], size_t n,
			 struct buf *ret)
{
	struct buf rows[RENDER_SECTIONS] = { 0 };
	autobuf struct buf common = { 0 };
	size_t i;

	(void)nginx_common(host, facts, &common, NULL);
	const struct value values[] = {
		{ "COMMON", quote_none, buf_text(&common) },
		{ "SITES", quote_none, join(sections, n, SECTION_SITES, &rows[SECTION_SITES]) },
		{ "USERS", quote_none, join(sections, n, SECTION_USERS, &rows[SECTION_USERS]) },
		{ "SUBDIRS", quote_none,
		  join(sections, n, SECTION_SUBDIRS, &rows[SECTION_SUBDIRS]) },
		{ "HSTS", quote_none, join(sections, n, SECTION_HSTS, &rows[SECTION_HSTS]) },
		{ "TLS", quote_none, join(sections, n, SECTION_TLS, &rows[SECTION_TLS]) },
		{ "RSA", quote_none, join(sections, n, SECTION_RSA, &rows[SECTION_RSA]) },
	};

	(void)template_render("nginx_maps", values, ELEMENTS(values), ret, NULL);
	for (i = 0; i < RENDER_SECTIONS; i++)
		buf_clear(&rows[i]);
}

void nginx_dropin(const char *path, uint64_t seen, struct text_view text,
		  struct buf sections[static RENDER_SECTIONS])
{
	struct buf *ret = &sections[SECTION_DROPIN];

	buf_printf(ret, NGINX_DROPIN_MARK "%s", path);
	if (seen)
		buf_printf(ret, " with what it includes as of %016" PRIx64, seen);
	buf_addc(ret, '\n');
	buf_add(ret, text.text, text.len);
	if (text.len > 0 && text.text[text.len - 1] != '\n')
		buf_addc(ret, '\n');
}

/* Each begins with its path. */
static int dropin_order(const void *a, const void *b)
{
	const struct text_view *x = a, *y = b;
	size_t n = x->len < y->len ? x->len : y->len;

	return memcmp(x->text, y->text, n);
}

/* In the order in which nginx would include them. */
static void compose_dropins(const struct text_view (*sections)[RENDER_SECTIONS], size_t n,
			    struct buf *ret)
{
	struct text_view *found = memory_new((n + 1) * sizeof(*found));
	size_t count = 0;

	for (size_t i = 0; i < n; i++)
		if (sections[i][SECTION_DROPIN].len > 0)
			found[count++] = sections[i][SECTION_DROPIN];
	qsort(found, count, sizeof(*found), dropin_order);
	for (size_t i = 0; i < count; i++)
		buf_add(ret, found[i].text, found[i].len);
	free(found);
}

static size_t count_names(const struct text_view (*sections)[RENDER_SECTIONS], size_t n)
{
	size_t count = 0, i;

	for (i = 0; i < n; i++) {
		const char *p = sections[i][SECTION_SITES].text;
		const char *end = p + sections[i][SECTION_SITES].len;

		for (; p < end && (p = memchr(p, '\n', (size_t)(end - p))); p++)
			count++;
	}
	return count;
}

static void compose_defaults(const struct host *host, const struct nginx_facts *facts,
			     const char *dir, struct buf *ret)
{
	struct nginx_shape shape = { .kind = SHAPE_REFUSE };
	struct shape_place place = place_in(facts, dir);

	if (host->nginx.http.count > 0)
		(void)shape_block(host, &shape, &place, ret, NULL);
	shape.tls = true;
	if (host->nginx.https.count > 0)
		(void)shape_block(host, &shape, &place, ret, NULL);
}

/* What a configuration has room for. */
struct room {
	unsigned connections; /* of a worker */
	unsigned own;         /* requests at a time to the host's own addresses together */
};

#define CONNECTIONS_MIN    8192
#define CONNECTIONS_OTHERS 4096 /* left to visitors when one webspace has all it can */
#define OWN_SPARE          512  /* left to the host's other processes, likewise */

/* The most that any one webspace's processes can hold. */
static unsigned holds_most(const struct text_view (*sections)[RENDER_SECTIONS], size_t n)
{
	unsigned long most = 0;

	for (size_t i = 0; i < n; i++) {
		const struct text_view *view = &sections[i][SECTION_HOLDS];
		unsigned long holds = view->len ? strtoul(view->text, NULL, 10) : 0;

		if (holds > most)
			most = holds;
	}
	return (unsigned)(most < NGINX_HOLDS_MAX ? most : NGINX_HOLDS_MAX);
}

/*
 * Who the process at the other end is, nginx does not know, and all of a host share its addresses. So no
 * limit can keep one webspace's processes from what others need: there has to be more than they can hold,
 * where one that waits for an answer of PHP takes a second connection. In powers of two, or a changed file
 * would change this one each time.
 */
static struct room room_for(const struct host *host, unsigned holds)
{
	struct room room = { .connections = CONNECTIONS_MIN, .own = holds + OWN_SPARE };

	while (room.connections < 2 * holds + CONNECTIONS_OTHERS)
		room.connections *= 2;
	if (host->nginx.worker_connections)
		room.connections = host->nginx.worker_connections;
	if (room.own < host->nginx.limit_conn)
		room.own = host->nginx.limit_conn;
	return room;
}

/*
 * Above 10,000 nginx starts to look for a size of its hash just below the largest
 * allowed, and not at the smallest that could do: four times the names is found at once.
 */
#define HASH_MIN 16384

/* Descriptors of a worker: each connection, a file beside it, and these. */
#define FILES_SPARE 4096

static const char *protocols(const struct text_list *list, struct arena *a)
{
	const char *all = list->count ? list->items[0] : "TLSv1.2 TLSv1.3";
	size_t i;

	for (i = 1; i < list->count; i++)
		all = arena_printf(a, "%s %s", all, list->items[i]);
	return all;
}

/* log: of all that follows; NULL: it has one already. */
static void compose_settings(const struct host *host, const struct room *room, const char *log,
			     struct buf *ret)
{
	autoarena struct arena a = { 0 };
	unsigned limit = host->nginx.limit_conn;
	const struct value values[] = {
		{ "HEADER_BUFFERS", quote_none, host->nginx.large_client_header_buffers },
		{ "LIMIT", quote_number, limit ? arena_printf(&a, "%u", limit) : NULL },
		{ "LIMIT_OWN", quote_number, limit ? arena_printf(&a, "%u", room->own) : NULL },
		{ "PROTOCOLS", quote_none, protocols(&host->nginx.tls_protocols, &a) },
		{ "LOG", quote_nginx_part, log },
	};

	(void)template_render("nginx_settings", values, ELEMENTS(values), ret, NULL);
}

static size_t hash_size(size_t names)
{
	return 4 * names > HASH_MIN ? 4 * names : HASH_MIN;
}

/* A whole configuration. */
static void compose_main(const struct host *host, const struct room *room, const char *dir,
			 size_t names, const char *defaults, struct buf *ret)
{
	autoarena struct arena a = { 0 };
	autobuf struct buf settings = { 0 };
	unsigned workers = host->nginx.worker_processes;
	unsigned files = 2 * room->connections + FILES_SPARE;

	compose_settings(host, room, NULL, &settings);
	const struct value values[] = {
		{ "WEB_USER", quote_word, host->web_user },
		{ "WORKERS", quote_word, workers ? arena_printf(&a, "%u", workers) : "auto" },
		{ "FILES", quote_number, arena_printf(&a, "%u", files) },
		{ "RUN", quote_nginx_part, host->run_dir },
		{ "LOG", quote_nginx_part, host->log_root },
		{ "STATE", quote_nginx_part, host->state_dir },
		{ "CONNECTIONS", quote_number, arena_printf(&a, "%u", room->connections) },
		{ "NAMES_MAX", quote_number, arena_printf(&a, "%zu", hash_size(names)) },
		{ "SETTINGS", quote_none, buf_text(&settings) },
		{ "DIR", quote_nginx_part, dir },
		{ "DEFAULTS", quote_none, defaults },
	};

	(void)template_render("nginx_main", values, ELEMENTS(values), ret, NULL);
}

/* A part of the host's http {}. */
static void compose_part(const struct host *host, const struct nginx_around *around,
			 const char *dir, size_t names, const char *defaults, struct buf *ret)
{
	autoarena struct arena a = { 0 };
	const char *max = arena_printf(&a, "%zu", hash_size(names));
	const char *sizes[NGINX_SIZES] = {
		[SIZE_NAMES_BUCKET] = "512",
		[SIZE_NAMES_MAX] = max,
		[SIZE_MAP_BUCKET] = "512",
		[SIZE_MAP_MAX] = max,
	};

	for (size_t i = 0; i < NGINX_SIZES; i++)
		if (around->sizes >> i & 1)
			sizes[i] = NULL;
	const struct value values[] = {
		{ "NAMES_BUCKET", quote_number, sizes[SIZE_NAMES_BUCKET] },
		{ "NAMES_MAX", quote_number, sizes[SIZE_NAMES_MAX] },
		{ "MAP_BUCKET", quote_number, sizes[SIZE_MAP_BUCKET] },
		{ "MAP_MAX", quote_number, sizes[SIZE_MAP_MAX] },
		{ "RUN", quote_nginx_part, host->run_dir },
		{ "DIR", quote_nginx_part, dir },
		{ "DEFAULTS", quote_none, *defaults ? defaults : NULL },
	};

	(void)template_render("nginx_system", values, ELEMENTS(values), ret, NULL);
}

void nginx_compose(const struct host *host, const struct nginx_facts *facts, const char *dir,
		   const struct text_view (*sections)[RENDER_SECTIONS], size_t n,
		   struct buf files[static NGINX_FILES])
{
	autobuf struct buf defaults = { 0 };
	size_t names = count_names(sections, n);
	struct room room = room_for(host, holds_most(sections, n));

	compose_defaults(host, facts, dir, &defaults);
	if (facts->around) {
		compose_part(host, facts->around, dir, names, buf_text(&defaults),
			     &files[FILE_MAIN]);
		compose_settings(host, &room, host->log_root, &files[FILE_SETTINGS]);
	} else {
		compose_main(host, &room, dir, names, buf_text(&defaults), &files[FILE_MAIN]);
		compose_dropins(sections, n, &files[FILE_DROPINS]);
	}
	compose_maps(host, facts, sections, n, &files[FILE_MAPS]);
	compose_sites(host, facts, dir, sections, n, &files[FILE_SITES]);
}

void nginx_include_conf(const struct host *host, struct buf *ret)
{
	const struct value values[] = { { "STATE", quote_nginx_part, host->state_dir } };

	(void)template_render("nginx_include", values, ELEMENTS(values), ret, NULL);
}

void nginx_generation_conf(uint64_t generation, struct buf *ret)
{
	char number[24];
	const struct value values[] = { { "GENERATION", quote_number, number } };

	snprintf(number, sizeof(number), "%" PRIu64, generation);
	(void)template_render("nginx_generation", values, ELEMENTS(values), ret, NULL);
}
