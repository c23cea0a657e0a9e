/*
 * check.h - what a check is, and which there are.
 *
 * A check does one thing with a device, as a driver would, and says what is wrong, or nothing.
 */
#ifndef VMM_FIRMWARE_SELFTEST_CHECK_H
#define VMM_FIRMWARE_SELFTEST_CHECK_H
#include "guest.h"

struct virtio;

struct check {
	const char *name; /* NULL ends a list */
	const char *(*run)(
		struct virtio *v); /* NULL: all is well; v: NULL for what is no virtio device */
};

/* Ends a check that wants `ok` and does not find it. */
#define WANT(ok, why)                                                                              \
	do {                                                                                       \
		if (!(ok))                                                                         \
			return why;                                                                \
	} while (0)

/* The lists, in the order in which they run. */
extern const struct check cpu_checks[], chip_checks[], bus_checks[], pci_checks[];
extern const struct check blk_checks[], net_checks[], console_checks[], rng_checks[];
extern const struct check last_checks[];

/* With verbose=1 on the command line: one more line, "  NAME: VALUE". */
void tell(const char *name, uint64_t value);

#endif
