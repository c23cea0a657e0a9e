/*
 * fault_main.c - the program `vmm-fault`: vmm, with the n-th call of the environment's choice
 * failing.
 *
 * FAULT_AT=N is that n (0: none); FAULT_FOREVER=1: the calls of that name go on failing.
 * FAULT_REPORT=FILE gets one line: "CALLS NAME REQUEST ERROR", NAME "-" if there was no n-th call;
 * ERROR is in words. FAULT_JAIL=1: with --jail on or strict, in which fewer calls fail.
 */
#include "fault.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int vmm_main(int argc, char **argv);

static void report(const struct fault_seen *seen)
{
	const char *path = getenv("FAULT_REPORT");
	FILE *f = path ? fopen(path, "w") : NULL;

	if (!f)
		return;
	fprintf(f, "%u %s %#lx %s\n", seen->n_calls, seen->failed ? seen->failed : "-",
		seen->request, strerror(seen->error));
	fclose(f);
}

int main(int argc, char **argv)
{
	const char *at = getenv("FAULT_AT");
	struct fault_seen seen;
	int rc;

	fault_arm(at ? (unsigned int)strtoul(at, NULL, 10) : 0, getenv("FAULT_FOREVER") != NULL);
	if (getenv("FAULT_JAIL"))
		fault_expect_jail();
	rc = vmm_main(argc, argv);
	seen = fault_disarm();
	if (!fault_is_child()) /* that one may be in a jail, where nothing is opened */
		report(&seen);
	return rc;
}
