/*
 * Files rather than a question to the agent: they answer while it is busy, after
 * it died, and to whoever may read run_dir.
 */
#include "agent/status.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/path.h"
#include "agent/base/put.h"
#include "agent/news.h"
#include "reconcile/own_places.h"

#define STATUS_MAX_BYTES 65536

struct status {
	int dir;
	bool seen_all;      /* this agent has looked at everything once */
	struct table later; /* name → struct subject, borrowed: their change is not on disk yet */
};

static const char *const state_names[] = {
	[STATE_ENABLED] = "enabled",
	[STATE_SUSPENDED] = "suspended",
	[STATE_DISABLED] = "disabled",
};
static const char *const truth_names[] = {
	[CONDITION_UNKNOWN] = "Unknown",
	[CONDITION_FALSE] = "False",
	[CONDITION_TRUE] = "True",
};

static const char *status_dir(const struct host *host, char ret[static 4096])
{
	snprintf(ret, 4096, "%s/status", host->run_dir);
	return ret;
}

int status_open(const struct host *host, struct status **ret, struct err *e)
{
	char path[4096];
	struct status *s;
	int dir, r;

	/* Its files are of the same group. */
	r = own_place_make(&(struct own_place){ .path = status_dir(host, path),
						.gid = host->log_gid,
						.mode = 02750 },
			   e);
	if (r < 0)
		return r;
	dir = path_open_dir(path, e);
	if (dir < 0)
		return dir;
	s = memory_new(sizeof(*s));
	s->dir = dir;
	*ret = s;
	return 0;
}

void status_close(struct status *s)
{
	if (!s)
		return;
	table_clear(&s->later);
	close(s->dir);
	free(s);
}

static bool has_text(const struct json *j, const char *key, const char *text)
{
	const char *found = json_text(j, key);

	return found && strcmp(found, text) == 0;
}

/* The same condition as an earlier agent, or this one, told it: then it has been so since then. */
static const char *since_before(const struct json *before, enum condition_type type,
				const struct condition *c)
{
	const struct json *j = json_at(json_get(before, "conditions"), type);

	if (!has_text(j, "type", condition_names[type]) ||
	    !has_text(j, "status", truth_names[c->status]) ||
	    !has_text(j, "reason", c->reason ? c->reason : ""))
		return NULL;
	return json_text(j, "since");
}

static struct json *condition_json(enum condition_type type, const struct condition *c,
				   const struct json *before)
{
	struct json *j = json_new_object();
	const char *since = since_before(before, type, c);
	autofree char *failing =
		news_failing(type, c, json_at(json_get(before, "conditions"), type));
	char now[21];

	clock_rfc3339(c->since, now);
	json_put_text(j, "type", condition_names[type]);
	json_put_text(j, "status", truth_names[c->status]);
	json_put_text(j, "reason", c->reason ? c->reason : "");
	json_put_text(j, "message", c->message ? c->message : "");
	json_put_text(j, "since", since ? since : now);
	if (failing)
		json_put_text(j, "failing", failing);
	return j;
}

/* Which desired state the conditions are about; empty: none. ret has room for 17 bytes. */
static const char *fingerprint_text(const struct webspace *w, char ret[static 17])
{
	ret[0] = '\0';
	if (w)
		snprintf(ret, 17, "%016llx", (unsigned long long)w->fingerprint);
	return ret;
}

/* What drifted last: many at once are not told one by one in the journal. */
static struct json *drift_json(const struct subject *s)
{
	struct json *j = json_new_object();
	char when[21];

	clock_rfc3339(s->drifted, when);
	json_put_text(j, "what", s->drift);
	json_put_text(j, "since", when);
	return j;
}

static struct json *subject_json(const struct subject *s, const struct json *before)
{
	struct json *j = json_new_object(), *conditions = json_new_array();
	char fingerprint[17];

	json_put_text(j, "name", s->name);
	json_put_text(j, "state",
		      s->going      ? "going"
		      : s->webspace ? state_names[s->webspace->state]
				    : "unknown");
	json_put_bool(j, "ready", subject_ready(s));
	json_put_text(j, "fingerprint", fingerprint_text(s->webspace, fingerprint));
	for (enum condition_type t = 0; t < CONDITIONS; t++)
		json_add(conditions, condition_json(t, &s->conditions[t], before));
	json_put(j, "conditions", conditions);
	if (s->drifted)
		json_put(j, "put_back", drift_json(s));
	return j;
}

static int read_json(int dir, const char *file, struct json **ret, struct err *e)
{
	autofree char *text = NULL;
	size_t len;
	int r = path_read(dir, file, STATUS_MAX_BYTES, &text, &len, e);

	return r < 0 ? r : json_parse(text, len, ret, e);
}

static int write_json(struct status *s, const char *file, const struct json *j, struct err *e)
{
	autofree char *text = json_write(j, false);

	return put_file(s->dir, file, 0640, text, strlen(text), PUT_BATCH, e);
}

/* The first thing to tell is that something has not been looked at yet. */
static bool is_pending(const struct subject *s)
{
	for (enum condition_type t = 0; t < CONDITIONS; t++) {
		const struct condition *c = &s->conditions[t];

		if (c->status == CONDITION_FALSE)
			return false;
		if (c->status == CONDITION_UNKNOWN && strcmp(c->reason, "NotWanted") != 0)
			return strcmp(c->reason, "Pending") == 0;
	}
	return false;
}

static int write_subject(struct status *s, const struct subject *subject, const char *revision,
			 struct err *e)
{
	autojson struct json *before = NULL, *j = NULL;
	char file[NAME_MAX + 1], fingerprint[17];
	struct err ignored = { 0 };
	int r;

	snprintf(file, sizeof(file), "%s.json", subject->name);
	(void)read_json(s->dir, file, &before, &ignored);
	if (!s->seen_all && subject->webspace && is_pending(subject) &&
	    has_text(before, "fingerprint", fingerprint_text(subject->webspace, fingerprint)))
		return 0;
	news_tell(subject, before, fingerprint_text(subject->webspace, fingerprint), revision);
	j = subject_json(subject, before);
	r = write_json(s, file, j, e);
	return r < 0 ? r : 0;
}

int status_write(struct status *s, const struct subject *subject, const char *revision,
		 struct err *e)
{
	if (is_pending(subject)) {
		(void)table_set(&s->later, subject->name, (void *)subject);
		return 1;
	}
	(void)table_take(&s->later, subject->name);
	return write_subject(s, subject, revision, e);
}

int status_flush(struct status *s, struct err *e)
{
	struct table_entry *it;
	int first = 0;

	table_each (&s->later, it) {
		int r = write_subject(s, it->value, NULL, first < 0 ? NULL : e);

		first = first < 0 ? first : r;
	}
	table_clear(&s->later);
	return first < 0 ? first : 0;
}

/* "@" cannot begin a webspace's name, so this file is never one's. */
#define HOST_FILE "@agent.json"

time_t status_told(const struct host *host)
{
	char dir[4096];
	autofree char *path = memory_printf("%s/" HOST_FILE, status_dir(host, dir));
	struct stat st;

	return stat(path, &st) == 0 ? st.st_mtim.tv_sec : 0;
}

void status_seen_all(struct status *s)
{
	s->seen_all = true;
}

static struct json *rollback_json(const struct status_host *host)
{
	struct json *j = json_new_object();
	char since[21];

	clock_rfc3339(host->rolled_back_since, since);
	json_put_number(j, "generation", (int64_t)host->rolled_back);
	json_put_text(j, "since", since);
	json_put_text(j, "webspaces", host->rolled_back_names);
	return j;
}

bool status_was_ready(struct status *s, const struct webspace *webspace)
{
	autojson struct json *before = NULL;
	char file[NAME_MAX + 1], fingerprint[17];
	struct err ignored;

	snprintf(file, sizeof(file), "%s.json", webspace->name);
	return read_json(s->dir, file, &before, &ignored) == 0 &&
	       json_bool(before, "ready", false) &&
	       has_text(before, "fingerprint", fingerprint_text(webspace, fingerprint));
}

static struct json *host_json(const struct status_host *host)
{
	struct json *j = json_new_object();

	json_put_number(j, "generation", (int64_t)host->generation);
	json_put_text(j, "revision", host->revision);
	json_put_number(j, "held", (int64_t)(host->held + host->held_accounts));
	json_put_text(j, "ignored",
		      host->passed_over && *host->passed_over ? host->passed_over : NULL);
	json_put_number(j, "held_accounts", (int64_t)host->held_accounts);
	if (host->rolled_back)
		json_put(j, "rollback", rollback_json(host));
	else
		json_put_text(j, "rollback", NULL);
	json_put_text(j, "problem", host->problem);
	json_put_text(j, "note", host->note);
	return j;
}

int status_write_host(struct status *s, const struct status_host *host, struct err *e)
{
	autojson struct json *j = host_json(host);

	return write_json(s, HOST_FILE, j, e);
}

int status_forget(struct status *s, const char *name, struct err *e)
{
	char file[NAME_MAX + 1];

	(void)table_take(&s->later, name);
	snprintf(file, sizeof(file), "%s.json", name);
	if (unlinkat(s->dir, file, 0) < 0 && errno != ENOENT)
		return err_sys(e, "remove status of %s", name);
	return 0;
}

/* The webspace's name if the file is one's. ret has room for NAME_MAX + 1. */
static bool name_of_file(const char *file, char *ret)
{
	size_t len = strlen(file);

	if (file[0] == '@' || file[0] == '.' || len <= 5 || strcmp(file + len - 5, ".json") != 0)
		return false;
	memcpy(ret, file, len - 5);
	ret[len - 5] = '\0';
	return true;
}

int status_sweep(struct status *s, const struct table *subjects, struct err *e)
{
	autodir DIR *d = path_list(s->dir, ".", e);
	char name[NAME_MAX + 1];
	const struct dirent *entry;
	int r = 0;

	if (!d)
		return err_in(e, "status directory");
	while (r == 0 && (entry = readdir(d)))
		if (name_of_file(entry->d_name, name) && !table_get(subjects, name))
			r = status_forget(s, name, e);
	return r;
}

static int name_order(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* All names with a status, sorted; the array and its texts are the caller's. */
static int status_names(int dir, char ***ret, size_t *ret_n, struct err *e)
{
	autodir DIR *d = path_list(dir, ".", e);
	char name[NAME_MAX + 1], **names = NULL;
	const struct dirent *entry;
	size_t n = 0, room = 0;

	if (!d)
		return err_in(e, "status directory");
	while ((entry = readdir(d))) {
		if (!name_of_file(entry->d_name, name))
			continue;
		if (n == room)
			names = memory_resize(names, room = 2 * room + 16, sizeof(*names));
		names[n++] = memory_dup(name);
	}
	if (n > 0)
		qsort(names, n, sizeof(*names), name_order);
	*ret = names;
	*ret_n = n;
	return 0;
}

/* One webspace's object into the array; a file that has gone meanwhile is left out. */
static int add_webspace(int dir, const char *name, struct json *array, struct err *e)
{
	char file[NAME_MAX + 1];
	struct json *j;
	int r;

	snprintf(file, sizeof(file), "%s.json", name);
	r = read_json(dir, file, &j, e);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return err_in(e, "status of %s", name);
	json_add(array, j);
	return 0;
}

static int add_all(int dir, struct json *array, struct err *e)
{
	char **names = NULL;
	size_t n = 0;
	int r = status_names(dir, &names, &n, e);

	for (size_t i = 0; i < n; i++) {
		if (r == 0)
			r = add_webspace(dir, names[i], array, e);
		free(names[i]);
	}
	free(names);
	return r;
}

int status_read(const struct host *host, const char *name, struct json **ret, struct err *e)
{
	struct json *j = NULL, *array;
	char path[4096];
	autofd int dir = path_open_dir(status_dir(host, path), e);
	int r;

	if (dir < 0)
		return dir;
	r = read_json(dir, HOST_FILE, &j, e);
	if (r == -ENOENT)
		j = host_json(&(struct status_host){ 0 });
	else if (r < 0)
		return r;
	array = json_new_array();
	json_put(j, "webspaces", array);
	r = name ? add_webspace(dir, name, array, e) : add_all(dir, array, e);
	if (r < 0) {
		json_free(j);
		return r;
	}
	*ret = j;
	return 0;
}
