/*
 * timeline.h - where each millisecond of a start goes, in the VMM and in the guest: --timeline.
 *
 * A phase lasts until the next one begins. What the guest does is told by its consoles: the time
 * until its next line is that of what it has been doing since this one. All functions accept NULL
 * for a timeline that nobody wants, and do nothing then.
 */
#ifndef VMM_MACHINE_TIMELINE_H
#define VMM_MACHINE_TIMELINE_H
#include <stddef.h>
#include <stdint.h>
#include <vmm/base/err.h>

struct timeline;

/*
 * path: "*.svg" for a picture, "*.json" for numbers (microseconds from the start of the process
 * on); the file is made here, while names can be opened. start_ns: CLOCK_MONOTONIC, when main
 * began; what the program had cost by then, which is loading it, is what is before. -EINVAL:
 * another kind of file.
 */
int timeline_open(struct timeline **out, const char *path, uint64_t start_ns, struct err *e);
void timeline_close(struct timeline *t);

/* name: static. Main thread. */
void timeline_phase(struct timeline *t, const char *name);
/* The first instruction of a guest is next. The thread of vCPU 0, once. */
void timeline_guest_starts(struct timeline *t);
/* Bytes of a console, as they come. Loop thread. */
void timeline_output(struct timeline *t, const uint8_t *data, size_t len);
/* Something that takes no time. name is copied; CLOCK_MONOTONIC. Loop thread. */
void timeline_event(struct timeline *t, const char *name, uint64_t at_ns);
/* The guest is at its end; a phase of the VMM follows. Loop thread, no vCPU runs. */
void timeline_guest_ends(struct timeline *t);

/* What there is so far becomes the file's content. Once; loop thread. -errno: for a log line. */
int timeline_write(struct timeline *t, struct err *e);

#endif
