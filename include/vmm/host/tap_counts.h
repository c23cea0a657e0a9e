/*
 * tap_counts.h - what a tap interface of the host has counted, for when frames do not pass us.
 *
 * Of the interface as a whole, and from its own side: it receives what the guest sends.
 */
#ifndef VMM_HOST_TAP_COUNTS_H
#define VMM_HOST_TAP_COUNTS_H
#include <stdint.h>
#include <vmm/host/tap.h>

enum tap_count {
	TAP_RX_FRAMES,
	TAP_RX_BYTES,
	TAP_TX_FRAMES,
	TAP_TX_BYTES,
	TAP_RX_DROPPED,
	TAP_TX_DROPPED,
	TAP_COUNTS
};

struct tap_counts { /* embedded */
	int fds[TAP_COUNTS]; /* -1: not to be had */
	uint64_t before[TAP_COUNTS]; /* when they were opened */
};

/* None, so that it may be closed. */
void tap_counts_init(struct tap_counts *c);
/*
 * Opens them by name, before the process gives up its power. It cannot fail: where /sys is not to
 * be had, or is that of another network namespace, all counts stay 0.
 */
void tap_counts_open(struct tap_counts *c, const struct tap *t);
void tap_counts_close(struct tap_counts *c);
/* Since then. Any thread. */
uint64_t tap_count(const struct tap_counts *c, enum tap_count what);

#endif
