/*
 * Calls wait in a queue. A cleanup outlives the order that it is for, and is
 * dropped only with everything; a record that stays behind is harmless.
 */
#include "acme/client/hook.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "acme/client/program.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"

struct hook_call {
	struct hooks *hooks;
	struct hook_call *next;
	const char *verb;
	char *name, *value;
	hook_fn *fn;
	void *data;
};

struct hooks {
	struct loop *loop;
	char *path;
	unsigned timeout_s;
	struct hook_call *first, **last; /* the first runs, if program is set */
	struct program *program;
	struct loop_source *idle;
};

static void call_free(struct hook_call *c)
{
	free(c->name);
	free(c->value);
	free(c);
}

static void on_ended(const char *problem, const struct buf *output, void *data)
{
	struct hooks *h = data;
	struct hook_call *c = h->first;
	autofree char *told = NULL;

	(void)output;
	if (problem)
		told = memory_printf("%s for %s failed: %s", c->verb, c->name, problem);
	h->program = NULL;
	h->first = c->next;
	if (!h->first)
		h->last = &h->first;
	else
		loop_idle_set(h->idle);
	if (c->fn)
		c->fn(told, c->data);
	call_free(c);
}

static void run_first(void *data)
{
	struct hooks *h = data;
	struct hook_call *c = h->first;

	if (!c || h->program)
		return;

	autofree char *name = memory_printf("WEBSPACES_NAME=%s", c->name);
	autofree char *record = memory_printf("WEBSPACES_RECORD=_acme-challenge.%s.", c->name);
	autofree char *value = memory_printf("WEBSPACES_VALUE=%s", c->value);
	const char *const argv[] = { h->path, c->verb, NULL };
	const char *const env[] = {
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"LANG=C.UTF-8",
		name,
		record,
		value,
		NULL,
	};

	h->program = program_start(h->loop, argv, env, h->timeout_s, on_ended, h);
}

struct hooks *hooks_open(struct loop *l, const char *path, unsigned timeout_s)
{
	struct hooks *h = memory_new(sizeof *h);

	h->loop = l;
	h->path = memory_dup(path);
	h->timeout_s = timeout_s;
	h->last = &h->first;
	h->idle = loop_idle(l, run_first, h);
	return h;
}

void hooks_close(struct hooks *h)
{
	if (!h)
		return;
	program_drop(h->program);
	while (h->first) {
		struct hook_call *c = h->first;

		h->first = c->next;
		call_free(c);
	}
	loop_drop(h->idle);
	free(h->path);
	free(h);
}

struct hook_call *hook_run(struct hooks *h, bool present, const char *name, const char *value,
			   hook_fn *fn, void *data)
{
	struct hook_call *c = memory_new(sizeof *c);

	*c = (struct hook_call){
		.hooks = h,
		.verb = present ? "present" : "cleanup",
		.name = memory_dup(name),
		.value = memory_dup(value),
		.fn = fn,
		.data = data,
	};
	*h->last = c;
	h->last = &c->next;
	loop_idle_set(h->idle);
	return c;
}

bool hook_drop(struct hook_call *c)
{
	if (!c)
		return false;
	c->fn = NULL;
	if (c == c->hooks->first && c->hooks->program)
		return true;

	struct hooks *h = c->hooks;
	struct hook_call **at = &h->first;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	if (h->last == &c->next)
		h->last = at;
	call_free(c);
	return false;
}
