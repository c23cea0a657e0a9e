/*
 * eager.h - does the loop look for work for a moment, before it waits to be woken?
 *
 * Loop thread only. To be woken takes longer than many a request: the guest has to leave for the
 * host to notify us, a processor has to be found and brought back from its sleep, and our thread
 * put on it. A loop that looks at the rings meanwhile finds the request at once, and the guest need
 * not notify it. That takes a processor of its own, and time of it: so it is done only where there
 * is one, and given up as soon as it does not pay. patience.h is the other half: for loops that
 * share a processor with the guest.
 *
 * Whether it pays is found out as for KVM's own halt polling: it is tried after waits that have
 * been short, again and again; a look that has been in vain ends it, and doubles what it takes to
 * try again, until one finds something.
 */
#ifndef VMM_HOST_EAGER_H
#define VMM_HOST_EAGER_H
#include <stdbool.h>
#include <stdint.h>

#define EAGER_LOOK_NS 32000u /* how long it looks before it waits after all; QEMU's, too */
#define EAGER_FDS_NS 10000u /* a look at the descriptors, too, so often */
#define EAGER_SHORT_NS 100000u /* waits up to this, the way back from sleep included, are short */
#define EAGER_FIRST 8u /* short waits in a row, before it is tried */
#define EAGER_MOST 4096u /* at most, after it has been in vain again and again */

struct eager {
	bool possible; /* false: it is never tried */
	bool on; /* look before the next wait */
	unsigned int n_short; /* in a row */
	unsigned int wait; /* so many until it is tried */
};

/* Has this thread more processors than n other busy ones of ours would take? */
bool eager_has_room(unsigned int n);

void eager_init(struct eager *e, bool possible);
/* The loop has been waiting for ns. */
void eager_waited(struct eager *e, uint64_t ns);
/* It has been looking, and has or has not found something. */
void eager_looked(struct eager *e, bool found);

#endif
