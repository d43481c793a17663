/*
 * See survey.h. nginx -T prints each file once, in the order in which they were
 * read first; they are put together again by following `include`, since what
 * counts is the order of servers: the first one of an address is its default
 * server where none says so.
 */
#include "reconcile/services/nginx/survey.h"

#include <ctype.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/text.h"

#define HEADING   "# configuration file "
#define WORDS_MAX 64 /* of a directive, that are looked at */
#define DEPTH_MAX 32 /* of blocks, and of includes */

struct file {
	char *name;
	const char *text;
	size_t len;
};

/* An address of ours, as others have it. */
struct address {
	const char *after; /* the file of the first server that has it, if that comes after ours */
	bool before;       /* … if it comes before */
	bool is_explicit;  /* one of them says default_server */
};

struct walk {
	const struct host *host;
	struct survey *ret;
	struct file *files;
	size_t n_files;
	struct address http[NGINX_ADDRESSES_MAX], https[NGINX_ADDRESSES_MAX];
	char *blocks[DEPTH_MAX];
	size_t depth, includes;
	bool include_read; /* ours */
	bool listens;      /* the server at hand has said where */
};

static void set_problem(struct walk *w, char *problem)
{
	if (w->ret->problem)
		free(problem); /* one at a time */
	else
		w->ret->problem = problem;
}

static bool is_in(const struct walk *w, const char *block)
{
	return w->depth > 0 && strcmp(w->blocks[w->depth - 1], block) == 0;
}

/* Addresses ------------------------------------------------------------ */

/* As we write them: "80" and "*:80" are "0.0.0.0:80", "10.0.0.1" is "10.0.0.1:80". */
static char *address_of(const char *text)
{
	size_t digits = strspn(text, "0123456789");
	const char *colon = strrchr(text, ':'), *bracket = strrchr(text, ']');

	if (digits > 0 && text[digits] == '\0')
		return memory_printf("0.0.0.0:%s", text);
	if (strncmp(text, "*:", 2) == 0)
		return memory_printf("0.0.0.0%s", text + 1);
	if (!colon || (bracket && bracket > colon))
		return memory_printf("%s:80", text);
	return memory_dup(text);
}

static uint64_t note_address(struct walk *w, const struct text_list *ours, struct address *all,
			     const char *address, bool is_default, const char *file)
{
	for (size_t i = 0; i < ours->count && i < NGINX_ADDRESSES_MAX; i++) {
		struct address *a = &all[i];

		if (strcmp(ours->items[i], address) != 0)
			continue;
		a->is_explicit |= is_default;
		if (!w->include_read)
			a->before = true;
		else if (!a->after)
			a->after = file;
		return UINT64_C(1) << i;
	}
	return 0;
}

static void note_listen(struct walk *w, const char *const *words, size_t n, const char *file)
{
	autofree char *address = address_of(words[1]);
	bool is_default = false;

	w->listens = true;
	for (size_t i = 2; i < n; i++)
		is_default |=
			strcmp(words[i], "default_server") == 0 || strcmp(words[i], "default") == 0;
	w->ret->around.http_shared |=
		note_address(w, &w->host->nginx.http, w->http, address, is_default, file);
	w->ret->around.https_shared |=
		note_address(w, &w->host->nginx.https, w->https, address, is_default, file);
}

static void judge_addresses(struct walk *w, const struct text_list *ours, const struct address *all)
{
	for (size_t i = 0; i < ours->count && i < NGINX_ADDRESSES_MAX; i++)
		if (all[i].after && !all[i].before && !all[i].is_explicit)
			set_problem(w,
				    memory_printf(
					    "a server in %s answers at %s to unknown names only "
					    "because it comes first, and %s comes before it: "
					    "write default_server there, or set nginx.include "
					    "to a file that nginx reads later",
					    all[i].after, ours->items[i], w->host->nginx.include));
}

/* Directives ----------------------------------------------------------- */

static void walk_file(struct walk *w, const struct file *f);

static void include(struct walk *w, const char *pattern)
{
	const char *main = w->host->nginx.main;
	autofree char *whole =
		*pattern == '/'
			? memory_dup(pattern)
			: memory_printf("%.*s/%s", (int)(strrchr(main, '/') - main), main, pattern);

	if (w->includes >= DEPTH_MAX)
		return;
	w->includes++;
	for (size_t i = 0; i < w->n_files; i++) {
		const struct file *f = &w->files[i];

		if (strcmp(whole, f->name) != 0 &&
		    fnmatch(whole, f->name, FNM_PATHNAME | FNM_PERIOD) != 0)
			continue;
		if (strcmp(f->name, w->host->nginx.include) == 0)
			w->include_read |= is_in(w, "http");
		walk_file(w, f);
	}
	w->includes--;
}

static void note_user(struct walk *w, const char *user)
{
	if (strcmp(user, w->host->web_user) != 0)
		set_problem(w, memory_printf("%s has `user %s`, but web_user is %s",
					     w->host->nginx.main, user, w->host->web_user));
}

static void directive(struct walk *w, const char *const *words, size_t n, const char *file)
{
	if (n < 2)
		return;
	if (strcmp(words[0], "include") == 0)
		include(w, words[1]);
	else if (strcmp(words[0], "listen") == 0 && w->depth == 2 && is_in(w, "server") &&
		 strcmp(w->blocks[0], "http") == 0)
		note_listen(w, words, n, file);
	else if (strcmp(words[0], "user") == 0 && w->depth == 0)
		note_user(w, words[1]);
	else if (strcmp(words[0], "pid") == 0 && w->depth == 0 && words[1][0] == '/' &&
		 !w->ret->pid_file)
		w->ret->pid_file = memory_dup(words[1]);
	for (size_t i = 0; i < NGINX_SIZES; i++)
		if (w->depth == 1 && is_in(w, "http") && strcmp(words[0], nginx_size_names[i]) == 0)
			w->ret->around.sizes |= 1u << i;
}

static void block_begin(struct walk *w, const char *const *words, size_t n)
{
	if (w->depth < DEPTH_MAX)
		w->blocks[w->depth++] = memory_dup(n > 0 ? words[0] : "");
	if (w->depth == 2 && is_in(w, "server"))
		w->listens = false;
}

/* A server that does not say where listens at port 80. */
static void block_end(struct walk *w, const char *file)
{
	static const char *const preset[] = { "listen", "80" };

	if (w->depth == 2 && is_in(w, "server") && strcmp(w->blocks[0], "http") == 0 && !w->listens)
		note_listen(w, preset, 2, file);
	if (w->depth > 0)
		free(w->blocks[--w->depth]);
}

/* Words ---------------------------------------------------------------- */

/* Behind the word at p, which is added to ret. */
static const char *word_read(const char *p, const char *end, struct buf *ret)
{
	char quote = *p == '"' || *p == '\'' ? *p++ : '\0';

	for (; p < end; p++) {
		if (quote ? *p == quote : isspace((unsigned char)*p) || strchr(";{}", *p))
			break;
		if (!quote && *p == '$' && p + 1 < end && p[1] == '{')
			buf_addc(ret, *p++); /* a variable, no block */
		else if (*p == '\\' && p + 1 < end)
			p++;
		buf_addc(ret, *p);
		if (!quote && *p == '{')
			while (p + 1 < end && *p != '}')
				buf_addc(ret, *++p);
	}
	return quote && p < end ? p + 1 : p;
}

/* Behind the block of another language that begins at p, which is behind its brace. */
static const char *skip_foreign(const char *p, const char *end)
{
	for (size_t open = 1; p < end && open > 0; p++)
		open += (*p == '{') - (*p == '}');
	return p;
}

static bool is_foreign(const char *const *words, size_t n)
{
	size_t len = n > 0 ? strlen(words[0]) : 0;

	return len > 13 && strcmp(words[0] + len - 13, "_by_lua_block") == 0;
}

static const char *skip_blank(const char *p, const char *end)
{
	while (p < end && (isspace((unsigned char)*p) || *p == '#')) {
		const char *line = *p == '#' ? memchr(p, '\n', (size_t)(end - p)) : p;

		p = line ? line + 1 : end;
	}
	return p;
}

/* Does what its end says, and returns behind that. */
static const char *directive_end(struct walk *w, const char *p, const char *end,
				 const char *const *words, size_t n, const char *file)
{
	if (*p == ';')
		directive(w, words, n, file);
	else if (*p == '}')
		block_end(w, file);
	else if (is_foreign(words, n))
		return skip_foreign(p + 1, end);
	else
		block_begin(w, words, n);
	return p + 1;
}

static void walk_file(struct walk *w, const struct file *f)
{
	autoarena struct arena a = { 0 };
	autobuf struct buf word = { 0 };
	const char *words[WORDS_MAX], *end = f->text + f->len;
	size_t n = 0;

	for (const char *p = skip_blank(f->text, end); p < end; p = skip_blank(p, end)) {
		if (strchr(";{}", *p)) {
			p = directive_end(w, p, end, words, n, f->name);
			n = 0;
			arena_clear(&a);
			continue;
		}
		buf_reset(&word);
		p = word_read(p, end, &word);
		if (n < WORDS_MAX)
			words[n++] = arena_dup(&a, buf_text(&word));
	}
}

/* Files ---------------------------------------------------------------- */

/* At p, or the next after it. */
static const char *heading(const char *p)
{
	while (p && strncmp(p, HEADING, strlen(HEADING)) != 0) {
		p = strchr(p, '\n');
		p = p ? p + 1 : NULL;
	}
	return p;
}

static void files_read(struct walk *w, const char *dump)
{
	const char *next;
	size_t room = 0;

	for (const char *p = heading(dump); p; p = next) {
		const char *name = p + strlen(HEADING), *line = strchr(name, '\n');
		struct file *f;

		if (!line || line == name)
			break;
		if (w->n_files == room) {
			room = room ? 2 * room : 32;
			w->files = memory_resize(w->files, room, sizeof(*w->files));
		}
		next = heading(line);
		f = &w->files[w->n_files++];
		f->name = memory_printf("%.*s", (int)(line - 1 - name), name);
		f->text = line + 1;
		f->len = next ? (size_t)(next - f->text) : strlen(f->text);
	}
}

static void walk_clear(struct walk *w)
{
	for (size_t i = 0; i < w->n_files; i++)
		free(w->files[i].name);
	free(w->files);
	while (w->depth > 0)
		free(w->blocks[--w->depth]);
}

void survey_read(const struct host *host, const char *dump, struct survey *ret)
{
	struct walk w = { .host = host, .ret = ret };

	*ret = (struct survey){ 0 };
	files_read(&w, dump);
	if (w.n_files > 0)
		walk_file(&w, &w.files[0]);
	if (!w.include_read)
		set_problem(&w, memory_printf("nothing in http {} of %s includes %s",
					      host->nginx.main, host->nginx.include));
	judge_addresses(&w, &host->nginx.http, w.http);
	judge_addresses(&w, &host->nginx.https, w.https);
	walk_clear(&w);
}

bool survey_same(const struct survey *a, const struct survey *b)
{
	return a->around.http_shared == b->around.http_shared &&
	       a->around.https_shared == b->around.https_shared &&
	       a->around.sizes == b->around.sizes && text_same(a->pid_file, b->pid_file) &&
	       text_same(a->problem, b->problem);
}

void survey_clear(struct survey *s)
{
	free(s->pid_file);
	free(s->problem);
	*s = (struct survey){ 0 };
}
