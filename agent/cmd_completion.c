/*
 * webspaces completion: for bash, from the usage lines with which each command's
 * page begins. So a command that can be read about can be completed, and nothing
 * has to be said twice.
 */
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/own.h"
#include "agent/model/load.h"
#include "agent/model/names.h"
#include "agent/verb.h"

/* What the words of a usage line stand for. */
struct usage {
	struct buf words; /* to be written as they are, a blank before each */
	bool names, files;
};

static const char head[] =
	"# bash completion of webspaces(8), made by 'webspaces completion bash'.\n"
	"_webspaces()\n"
	"{\n"
	"	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}\n"
	"	local verb='' words='' names='' files='' i\n"
	"	local -a config=()\n"
	"\n"
	"	for ((i = 1; i < COMP_CWORD; i++)); do\n"
	"		case ${COMP_WORDS[i]} in\n"
	"		--config) config=(--config \"${COMP_WORDS[++i]}\") ;;\n"
	"		-*) ;;\n"
	"		*) verb=${COMP_WORDS[i]} && break ;;\n"
	"		esac\n"
	"	done\n"
	"	case $verb in\n";
static const char tail[] = "	esac\n"
			   "	[[ $before == --config ]] && words='' names='' files=yes\n"
			   "	[[ $names && $word != -* ]] &&\n"
			   "		words+=\" $(\"${COMP_WORDS[0]}\" \"${config[@]}\" "
			   "completion names 2>/dev/null)\"\n"
			   "	mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n"
			   "	[[ $files ]] && mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < "
			   "<(compgen -f -- \"$word\")\n"
			   "	return 0\n"
			   "}\n"
			   "complete -o filenames -F _webspaces webspaces\n";

static bool is_listed(const struct buf *words, const char *word, size_t len)
{
	for (const char *at = buf_text(words); *at; at += strcspn(at + 1, " ") + 1)
		if (strncmp(at + 1, word, len) == 0 && (at[1 + len] == ' ' || !at[1 + len]))
			return true;
	return false;
}

static bool is(const char *word, size_t len, const char *what)
{
	return strlen(what) == len && strncmp(word, what, len) == 0;
}

static void take_word(struct usage *u, const char *verb, const char *word, size_t len)
{
	if (is(word, len, "NAME"))
		u->names = true;
	else if (is(word, len, "PATH"))
		u->files = true;
	else if ((*word >= 'A' && *word <= 'Z') || is(word, len, "webspaces") ||
		 is(word, len, "Usage") || is(word, len, "--config") || is(word, len, verb) ||
		 is_listed(&u->words, word, len))
		return;
	else
		buf_printf(&u->words, " %.*s", (int)len, word);
}

/* The lines up to the first empty one. */
static void read_usage(const struct verb *v, struct usage *ret)
{
	static const char letters[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-";
	const char *end = strstr(v->page, "\n\n");

	for (const char *at = v->page; at && at < end;) {
		size_t len = strspn(at, letters);

		if (len > 0)
			take_word(ret, v->name, at, len);
		at += len > 0 ? len : 1;
	}
}

static void print_verb(const struct verb *v)
{
	struct usage u = { 0 };

	read_usage(v, &u);
	printf("	%s) words='--help%s'%s%s ;;\n", v->name, buf_text(&u.words),
	       u.names ? " names=yes" : "", u.files ? " files=yes" : "");
	buf_clear(&u.words);
}

static int print_bash(void)
{
	size_t n;
	const struct verb *const *all = verb_all(&n);

	fputs(head, stdout);
	fputs("	'') words='--config --help --version", stdout);
	for (size_t i = 0; i < n; i++)
		if (!all[i]->is_internal)
			printf(" %s", all[i]->name);
	puts("' ;;");
	for (size_t i = 0; i < n; i++)
		if (!all[i]->is_internal)
			print_verb(all[i]);
	fputs(tail, stdout);
	return fflush(stdout) == 0 ? EXIT_OK : EXIT_FAILED;
}

/* What the script asks for: of files, without reading any. */
static int print_names(const struct invocation *in)
{
	struct host *host = verb_host(in);
	autodir DIR *d = host ? opendir(host->config_dir) : NULL;
	char name[NAME_FILE_MAX + 1];

	for (struct dirent *it; d && (it = readdir(d)) != NULL;)
		if (name_of_file(it->d_name, name) && name_check_webspace(name, NULL) == 0)
			puts(name);
	host_free(host);
	return EXIT_OK;
}

static int run(const struct invocation *in)
{
	if (in->argc == 1 && strcmp(in->argv[0], "bash") == 0)
		return print_bash();
	if (in->argc == 1 && strcmp(in->argv[0], "names") == 0)
		return print_names(in);
	return verb_usage(in, "bash, or names");
}

const struct verb completion_verb = {
	.name = "completion",
	.option = "",
	.summary = "what makes bash complete commands, options and names",
	.page = "Usage: webspaces [--config FILE] completion bash|names\n"
		"\n"
		"bash: a script for bash-completion(7), which the package installs:\n"
		"\n"
		"    webspaces completion bash > /usr/share/bash-completion/completions/webspaces\n"
		"\n"
		"It completes commands, their options and words, and names of webspaces.\n"
		"names: those of which there are files, a line each.\n"
		"\n"
		"Exit: 0, 64 usage.\n",
	.run = run,
};
