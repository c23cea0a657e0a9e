/*
 * version.c - which build this is; the Makefile says it.
 */
#include "cli.h"

const char vmm_version[] = VMM_VERSION;

int cmd_version(int argc, char *const *argv, struct err *e)
{
	static const struct opt none[] = { { 0 } };

	if (opts_parse(none, argc, argv, NULL, e) < 0)
		return e->code;
	printf("vmm %s\n", vmm_version);
	return 0;
}
