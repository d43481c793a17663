/* The program: global options, then the table of subcommands. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/own.h"
#include "agent/base/shown.h"
#include "agent/verb.h"

static const struct verb *const verbs[] = {
	&run_verb,           &apply_verb,    &plan_verb,        &check_verb,      &status_verb,
	&render_verb,        &certs_verb,    &options_verb,     &metrics_verb,    &mounts_verb,
	&enter_verb,         &access_verb,   &confirm_verb,     &rollback_verb,   &doctor_verb,
	&completion_verb,    &purge_verb,    &exec_php_verb,    &exec_nginx_verb, &namespace_verb,
	&reload_verb,        &make_key_verb, &session_verb,     &become_verb,     &walk_verb,
	&end_processes_verb, &settle_verb,   &reopen_logs_verb,
};

const struct verb *const *verb_all(size_t *ret_n)
{
	*ret_n = ELEMENTS(verbs);
	return verbs;
}

static void print_overview(FILE *to)
{
	fputs("Usage: webspaces [--config FILE] COMMAND [WORD…]\n"
	      "\n"
	      "Turns one small file per user into a served, isolated website, and keeps it so.\n"
	      "Drop /etc/webspaces.d/NAME.conf (it may be empty) and NAME has an account, a jail,\n"
	      "a PHP pool, a virtual host and a certificate. See webspaces(8), webspaces.conf(5).\n"
	      "\n",
	      to);
	for (size_t i = 0; i < ELEMENTS(verbs); i++)
		if (!verbs[i]->is_internal)
			fprintf(to, "  %-10s %s\n", verbs[i]->name, verbs[i]->summary);
	fputs("\n"
	      "  --config FILE  the host's file (preset " PRESET_CONFIG_FILE ")\n"
	      "  --help         this page; after a command, that command's\n"
	      "  --version      the version\n",
	      to);
}

static const struct verb *verb_find(const char *name)
{
	for (size_t i = 0; i < ELEMENTS(verbs); i++)
		if (strcmp(verbs[i]->name, name) == 0)
			return verbs[i];
	return NULL;
}

/* Is it one of the words in the list, "--json --do"? */
static bool is_word_of(const char *word, const char *list)
{
	size_t len = strlen(word);

	for (const char *at = list; (at = strstr(at, word)) != NULL; at += len)
		if ((at == list || at[-1] == ' ') && (at[len] == ' ' || at[len] == '\0'))
			return true;
	return false;
}

static int run(const struct verb *verb, struct invocation *in)
{
	if (in->argc > 0 &&
	    (strcmp(in->argv[0], "--help") == 0 || strcmp(in->argv[0], "-h") == 0)) {
		fputs(verb->page, stdout);
		return EXIT_OK;
	}
	if (verb->option)
		for (int i = 0; i < in->argc; i++)
			if (in->argv[i][0] == '-' && !is_word_of(in->argv[i], verb->option))
				return verb_usage(in, "no option %s", in->argv[i]);
	if (verb->needs_root && geteuid() != 0) {
		fprintf(stderr, "webspaces: %s: needs root\n", verb->name);
		return EXIT_FAILED;
	}
	return verb->run(in);
}

static int usage(const char *what, const char *word)
{
	shown_line(stderr, "webspaces: %s%s", what, word);
	fputs("webspaces: see 'webspaces --help'\n", stderr);
	return EXIT_USAGE;
}

int main(int argc, char **argv)
{
	struct invocation in = { .config_file = PRESET_CONFIG_FILE };
	const struct verb *verb;
	int i = 1;

	for (; i < argc && argv[i][0] == '-'; i++) {
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			print_overview(stdout);
			return EXIT_OK;
		}
		if (strcmp(argv[i], "--version") == 0) {
			puts("webspaces " VERSION);
			return EXIT_OK;
		}
		if (strcmp(argv[i], "--config") != 0)
			return usage("unknown option ", argv[i]);
		if (++i == argc)
			return usage("--config needs a file", "");
		in.config_file = argv[i];
		in.config_given = true;
	}
	if (i == argc) {
		print_overview(stderr);
		return EXIT_USAGE;
	}
	verb = verb_find(argv[i]);
	if (!verb)
		return usage("unknown command ", argv[i]);
	in.verb = verb->name;
	in.argc = argc - i - 1;
	in.argv = argv + i + 1;
	return run(verb, &in);
}
