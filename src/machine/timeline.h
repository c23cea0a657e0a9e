/*
 * timeline.h - private to timeline.c and timeline_svg.c: what has been noted.
 */
#ifndef VMM_SRC_MACHINE_TIMELINE_H
#define VMM_SRC_MACHINE_TIMELINE_H
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <vmm/machine/timeline.h>

#define TIMELINE_PHASES 32u
#define TIMELINE_NOTES 2048u /* lines and events of the guest; what comes later is counted */
#define TIMELINE_TEXT 64u

/* One row of the picture. */
struct timeline_note {
	uint64_t at_ns, ns;
	bool is_event; /* ns is 0 */
	char text[TIMELINE_TEXT]; /* printable ASCII: of a line, its beginning */
};

/* The VMM's rows, then the guest's, in order of time; spans have been closed. */
struct timeline_view {
	uint64_t start_ns; /* of the process */
	uint64_t guest_ns; /* the guest's first instruction */
	uint64_t end_ns;
	const struct timeline_note *vmm, *guest;
	unsigned int n_vmm, n_guest;
	unsigned int n_lost; /* of the guest's: there was no room */
};

void timeline_svg(const struct timeline_view *v, FILE *f);

#endif
