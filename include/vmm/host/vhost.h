/*
 * vhost.h - the host's kernel moves frames between a tap and the rings of a network device.
 *
 * Source: Linux, <linux/vhost.h>, drivers/vhost/net.c and vhost.c. One descriptor of VHOST_DEVICE
 * serves one pair of queues: ring 0 receives, ring 1 sends. The kernel believes the addresses that
 * it gets from us, and works with the rights of the process that owns the descriptor, in a thread
 * of its own (since Linux 6.4, one of that process).
 *
 * None of these blocks for longer than the kernel needs to finish what it is at.
 */
#ifndef VMM_HOST_VHOST_H
#define VMM_HOST_VHOST_H
#include <stdint.h>
#include <vmm/base/err.h>

#define VHOST_DEVICE "/dev/vhost-net"
enum { VHOST_RECEIVE, VHOST_SEND, VHOST_RINGS };

/* One piece of guest RAM: [gpa, gpa+len) is the memory at host, for as long as the descriptor is
 * open. */
struct vhost_region {
	uint64_t gpa, len;
	void *host;
};
#define VHOST_MAX_REGIONS 8u

/* A ring that the caller has proved to lie inside guest RAM. */
struct vhost_ring {
	uint16_t size; /* a power of two */
	uint16_t base; /* of the next available chain */
	void *desc, *avail, *used;
	int kick_fd, call_fd, err_fd; /* eventfds */
};

/*
 * A descriptor, owned by the caller, and what this kernel can do (VIRTIO_* feature bits). By name,
 * so before the process gives up its power. Errors say what to do: main thread.
 */
int vhost_open(int *fd, uint64_t *features, struct err *e);

/* The descriptor is this process's now, and knows its RAM; a thread begins. Once, main thread. */
int vhost_own(int fd, const struct vhost_region *regions, unsigned int n, struct err *e);

/*
 * Loop thread; all return 0 or -errno. features: what the driver has chosen, as far as it is the
 * kernel's. start: nothing is left running if it fails. call_fd: from now on the ring's interrupts
 * go there.
 */
int vhost_set_features(int fd, uint64_t features);
int vhost_start_ring(int fd, unsigned int ring, const struct vhost_ring *r, int tap_fd);
int vhost_set_call(int fd, unsigned int ring, int call_fd);

/*
 * On return the kernel neither reads nor writes the ring, nor what it leads to. Returns where it
 * has stopped: what `base` would be to go on there. Any thread.
 */
uint16_t vhost_stop_ring(int fd, unsigned int ring);

#endif
