/*
 * tap.h - a tap interface of the host, and its state.
 *
 * Each queue is a descriptor that gives and takes one frame a readv(2) or writev(2), behind a
 * header of TAP_HDR_LEN bytes, struct virtio_net_hdr_v1 in little-endian order. Loop thread only.
 *
 * Once it is opened and watched, nothing is opened or made any more, and no right is needed: the
 * process may give up its power and leave the interface's network namespace.
 */
#ifndef VMM_HOST_TAP_H
#define VMM_HOST_TAP_H
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <vmm/base/err.h>
#include <vmm/host/evloop.h>

#define TAP_HDR_LEN 12u
#define TAP_MAX_QUEUES 8u

struct tap { /* embedded */
	char name[IF_NAMESIZE];
	unsigned int index; /* of the interface */
	bool created; /* it was not there before, and goes away with the last descriptor */
	unsigned int n_queues;
	int fds[TAP_MAX_QUEUES]; /* all attached at first */
	int sock; /* to ask about the interface: netlink, in its network namespace */
	unsigned int offloads; /* TUN_F_* that it takes */
	uint16_t mtu;
};

/*
 * Opens n_queues queues of the interface `name`; NULL: of a new one, vmtap0 or the next free name.
 * One that does not exist is made, if we may, and brought up. mtu: to be set; 0: as it is. Errors
 * say what to do as root.
 */
int tap_open(struct tap *t, const char *name, unsigned int n_queues, uint16_t mtu, struct err *e);
void tap_close(struct tap *t);

/* What the reader can do for itself: TUN_F_*. None at first. */
void tap_set_offloads(struct tap *t, unsigned int offloads);
/* A detached queue gets no frames, and its descriptor fails. */
bool tap_attach_queue(struct tap *t, unsigned int queue, bool attach);

/* Is the interface up and running? Not, if it has been deleted. */
bool tap_is_up(const struct tap *t);

struct tap_watch { /* embedded; zeroed means "not watching" */
	struct ev_fd ev;
	ev_task_fn changed;
	void *arg;
};

/*
 * Calls changed(arg) when something about the interface has changed: ask tap_is_up(). Once for each
 * tap, which is closed after tap_watch_stop(). From then on the tap's socket gives away nothing
 * else about the host.
 */
int tap_watch_start(struct tap_watch *w, const struct tap *t, struct evloop *l, ev_task_fn changed,
		    void *arg, struct err *e);
void tap_watch_stop(struct tap_watch *w);

#endif
