/*
 * What can be asked at the control socket: one row a request. Each is answered
 * at once; who wants to wait asks again (webspaces settle).
 */
#include <string.h>

#include "agent/agent_inside.h"
#include "agent/back.h"
#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/base/own.h"
#include "agent/confirm.h"

typedef bool request_fn(struct agent *a, const char *verb, const char *word,
			struct buf *ret_message);

static bool answer_alive(struct agent *a, const char *verb, const char *word,
			 struct buf *ret_message)
{
	(void)a;
	(void)verb;
	(void)word;
	(void)ret_message;
	return true;
}

static bool answer_confirm(struct agent *a, const char *verb, const char *word,
			   struct buf *ret_message)
{
	bool ok =
		confirm_answer(a->catalog, a->reconcile, word, agent_entry_changed, a, ret_message);

	(void)verb;
	agent_write_host_status(a);
	return ok;
}

static bool answer_rollback(struct agent *a, const char *verb, const char *word,
			    struct buf *ret_message)
{
	bool ok;

	agent_read_file(a, NULL); /* what changed before this is no reason to end it */
	ok = back_answer(a->catalog, verb, word, ret_message);
	agent_read_file(a, NULL);
	return ok;
}

static bool answer_reload(struct agent *a, const char *verb, const char *word,
			  struct buf *ret_message)
{
	(void)verb;
	(void)word;
	(void)ret_message;
	agent_reload(a);
	return true;
}

static bool answer_look(struct agent *a, const char *verb, const char *word,
			struct buf *ret_message)
{
	(void)verb;
	(void)ret_message;
	agent_read_file(a, word);
	reconcile_look(a->reconcile, word);
	return true;
}

static bool answer_serves(struct agent *a, const char *verb, const char *word,
			  struct buf *ret_message)
{
	(void)verb;
	(void)ret_message;
	return word && (catalog_get(a->catalog, word) || reconcile_subject(a->reconcile, word));
}

static const struct {
	const char *name;
	enum report_kind kind;
} counters[] = {
	{ "changes", REPORT_CHANGED },
	{ "publishes", REPORT_PUBLISHED },
	{ "removals", REPORT_REMOVED },
	{ "failures", REPORT_FAILED },
};

/* The counters are the answer either way: two that are equal say that nothing happened between them. */
static bool answer_settled(struct agent *a, const char *verb, const char *word,
			   struct buf *ret_message)
{
	autojson struct json *j = json_new_object();
	autofree char *text = NULL;
	bool settled = watchers_settled(a->watchers);

	(void)verb;
	(void)word;
	settled = a->ready && reconcile_settled(a->reconcile) && settled;
	json_put_number(j, "passes", (int64_t)reconcile_figures(a->reconcile).passes);
	for (size_t i = 0; i < ELEMENTS(counters); i++)
		json_put_number(j, counters[i].name, (int64_t)a->counts[counters[i].kind]);
	json_put_number(j, "log_lines", (int64_t)log_count());
	text = json_write(j, false);
	buf_adds(ret_message, text);
	return settled;
}

static const struct {
	const char *verb;
	request_fn *answer;
} requests[] = {
	{ "alive", answer_alive },       { "confirm", answer_confirm },
	{ "rollback", answer_rollback }, { "release", answer_rollback },
	{ "reload", answer_reload },     { "look", answer_look },
	{ "serves", answer_serves },     { "settled", answer_settled },
};

void agent_answer(const char *verb, const char *word, bool *ret_ok, struct buf *ret_message,
		  void *data)
{
	struct agent *a = data;
	int r;

	for (size_t i = 0; i < ELEMENTS(requests); i++)
		if (strcmp(requests[i].verb, verb) == 0) {
			*ret_ok = requests[i].answer(a, verb, word, ret_message);
			return;
		}
	r = reconcile_ask(a->reconcile, verb, word, ret_message);
	*ret_ok = r > 0;
	if (r == 0)
		buf_printf(ret_message, "unknown request \"%s\"", verb);
}
