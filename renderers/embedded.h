/* The templates as build/gen/templates.c holds them; written by the Makefile from templates/. */
#pragma once

struct embedded {
	const char *name; /* of the file, without ".in"; NULL ends the list */
	const char *text;
};

extern const struct embedded embedded_templates[];
