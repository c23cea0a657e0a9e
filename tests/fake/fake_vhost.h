/*
 * fake_vhost.h - a double of src/host/vhost.c: a kernel that has rings and does nothing with them.
 */
#ifndef TESTS_FAKE_VHOST_H
#define TESTS_FAKE_VHOST_H
#include <stdbool.h>
#include <vmm/host/vhost.h>
#include <vmm/net/net_spec.h>

struct fake_vhost_ring {
	bool runs;
	struct vhost_ring ring; /* as given last; call_fd: as set last */
	int tap_fd;
	unsigned int n_starts, n_stops;
};

struct fake_vhost { /* a descriptor; in the order of opening */
	int fd;
	bool owned;
	uint64_t features; /* as set last */
	struct vhost_region regions[VHOST_MAX_REGIONS];
	unsigned int n_regions;
	struct fake_vhost_ring ring[VHOST_RINGS];
};

extern struct fake_vhosts {
	/* The test's: set before use. */
	uint64_t offers; /* what the kernel can do */
	int open_error, start_error; /* errno; 0: it works */
	unsigned int fail_start_at; /* with start_error: the n-th start from now */
	uint16_t stops_at; /* what a stopped ring answers */

	struct fake_vhost of[NET_MAX_PAIRS];
	unsigned int n; /* opened, ever */
	unsigned int n_mistakes; /* what a kernel refuses because it makes no sense */
} fake_vhosts;

void fake_vhost_init(void); /* a kernel that can do everything */
unsigned int fake_vhost_n_running(void);

#endif
