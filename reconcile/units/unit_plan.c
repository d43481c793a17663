/*
 * What publishing would change, for `webspaces plan`: each webspace's own part,
 * so that one can be asked about, and the files that all parts end up in.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "reconcile/units/unit.h"

static void plan_file(struct unit *u, const struct unit_file *file)
{
	size_t len;
	autofree char *old = generation_read(u->dir, u->in_force, file->name, &len);

	if (old && len == file->text.len && memcmp(old, buf_text(&file->text), len) == 0)
		return;
	unit_report(u, &(struct report){ .kind = REPORT_PLANNED,
					 .item = file->name,
					 .old_value = old ? "another text" : NULL,
					 .new_value = "the composed text",
					 .old_text = old ? old : "",
					 .new_text = buf_text(&file->text),
					 .generation = u->in_force });
}

static char *text_of(const struct fragment *f)
{
	size_t total = 0;

	for (size_t s = 0; f && s < FRAGMENT_SECTIONS; s++)
		total += f->len[s];
	return memory_printf("%.*s", (int)total, f ? f->text : "");
}

static void plan_member(struct unit *u, const struct member *m)
{
	autofree char *old = text_of(m->good), *new = text_of(m->want);

	unit_report(u, &(struct report){ .kind = REPORT_PLANNED,
					 .item = m->name,
					 .old_value = m->good ? "another part" : NULL,
					 .new_value = m->want ? "its part" : NULL,
					 .old_text = old,
					 .new_text = new,
					 .generation = u->in_force });
}

void unit_plan(struct unit *u)
{
	struct unit_file files[UNIT_FILES];
	struct table_entry *it;

	if (u->config.need_members && !unit_is_wanted(u))
		return;
	suspects_gather(u);
	table_each (&u->members, it) {
		const struct member *m = it->value;

		if (m->trial || m->leaving)
			plan_member(u, m);
	}
	unit_compose(u, u->in_force, u->flight.bisect.count, files);
	for (size_t i = 0; i < UNIT_FILES - 1; i++)
		if (files[i].name)
			plan_file(u, &files[i]);
	unit_files_clear(files);
	suspects_clear(u);
}
