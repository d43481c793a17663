/*
 * See surveyor.h. Where nginx cannot say, since its configuration is broken, what
 * was known before stays, with a problem: nothing can be published until that is
 * mended, and nobody's webspace is the reason.
 */
#include "reconcile/services/nginx/surveyor.h"

#include <stdlib.h>

#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "reconcile/services/nginx/rehearsal.h"
#include "reconcile/units/command.h"

#define PATIENCE (60 * USEC_PER_SEC)

struct surveyor {
	const struct host *host;
	struct loop *loop;
	surveyor_fn *fn;
	void *data;
	struct command *command;
	struct loop_source *soon; /* tells what could not even be asked */
	bool known;
	struct survey survey;
};

static void learn(struct surveyor *s, struct survey *new)
{
	bool is_news = !s->known || !survey_same(&s->survey, new);

	survey_clear(&s->survey);
	s->survey = *new;
	s->known = true;
	if (is_news)
		s->fn(&s->survey, s->data);
}

static void learn_problem(struct surveyor *s, const char *text)
{
	struct survey new = { .around = s->survey.around,
			      .pid_file = memory_dup(s->survey.pid_file),
			      .problem = memory_dup(text) };

	learn(s, &new);
}

static void ended(int status, const char *message, void *data)
{
	struct surveyor *s = data;
	struct survey new;

	s->command = NULL;
	if (status != 0) {
		learn_problem(s, message);
		return;
	}
	survey_read(s->host, message, &new);
	learn(s, &new);
}

static void not_asked(void *data)
{
	learn_problem(data, "nginx could not be asked for its configuration");
}

void surveyor_look(struct surveyor *s)
{
	autoarena struct arena a = { 0 };
	struct err e;

	if (s->command)
		return;
	if (command_start(s->loop, rehearsal_argv(s->host, NULL, &a), NULL, PATIENCE, ended, s,
			  &s->command, &e) < 0)
		loop_timer_set(s->soon, clock_usec());
	else
		command_keep_output(s->command);
}

struct surveyor *surveyor_open(const struct host *host, struct loop *loop, surveyor_fn *fn,
			       void *data)
{
	struct surveyor *s = memory_new(sizeof(*s));

	s->host = host;
	s->loop = loop;
	s->fn = fn;
	s->data = data;
	s->soon = loop_timer(loop, UINT64_MAX, not_asked, s);
	surveyor_look(s);
	return s;
}

void surveyor_close(struct surveyor *s)
{
	if (!s)
		return;
	command_drop(s->command);
	loop_drop(s->soon);
	survey_clear(&s->survey);
	free(s);
}

const struct survey *surveyor_result(const struct surveyor *s)
{
	return s->known ? &s->survey : NULL;
}
