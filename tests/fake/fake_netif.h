/*
 * fake_netif.h - a network interface that is a list of frames in memory.
 *
 * The test puts frames on it and looks at those that were sent; readiness is told on the loop of
 * the fake driver, as long as somebody watches for it.
 */
#ifndef TESTS_FAKE_NETIF_H
#define TESTS_FAKE_NETIF_H
#include "fake_driver.h"
#include <vmm/net/netif.h>
#include <vmm/virtio/virtio_net.h>

#define FAKE_NETIF_FD 1000 /* what fd() says of pair 0; the others follow */
#define FAKE_NETIF_SENT 256 /* frames remembered, the first ones */

struct fake_frame {
	struct fake_frame *next;
	unsigned int pair;
	size_t len; /* of the frame, without header */
	uint8_t header[NETIF_HDR_LEN];
	uint8_t data[];
};

struct fake_netif {
	struct netif n;
	struct evloop *loop;
	struct ev_task told;
	struct fake_frame *queue, **last; /* to be received */
	unsigned int n_receives; /* calls of receive() */
	unsigned int n_told; /* readable() and writable() called */

	struct fake_frame *sent[FAKE_NETIF_SENT];
	unsigned int n_sent;
	enum netif_sent answer; /* of send(); AGAIN and DROPPED take nothing */
	unsigned int n_again; /* sends that were answered with AGAIN */

	uint32_t watched[NET_MAX_PAIRS];
	unsigned int active; /* by set_pairs(); 0: never called */
	unsigned int offloads_set;
	bool *destroyed; /* set to true by destroy(); may be NULL */
};

/* n_pairs, offloads: see struct netif. The device destroys it. */
struct fake_netif *fake_netif_create(struct evloop *l, unsigned int n_pairs, unsigned int offloads);

/* A driver, and a device in front of such an interface, attached but not started. */
struct fake_netif *fake_netif_setup(struct fake_driver *f, struct virtio_net_params *p,
				    unsigned int n_pairs, unsigned int offloads);

/* One frame for the guest: len bytes, counting up from `seed`. header NULL: zeros. */
void fake_netif_put(struct fake_netif *n, unsigned int pair, const void *header, size_t len,
		    uint8_t seed);
/* Frames not yet received. */
unsigned int fake_netif_left(const struct fake_netif *n);
/* From now on send() answers so, and whoever watches for EPOLLOUT is told. */
void fake_netif_answer(struct fake_netif *n, enum netif_sent answer);
void fake_netif_set_link(struct fake_netif *n, bool up);

/* Byte i of a frame made from `seed`. */
static inline uint8_t fake_netif_byte(uint8_t seed, size_t i)
{
	return (uint8_t)(seed + i + i / 256);
}
/* Are these the len bytes of such a frame? */
bool fake_netif_is(const uint8_t *data, size_t len, uint8_t seed);

/* The device's counter of that name. Of what fd() has moved, 1 to 6, in the order of struct
 * netif_count. */
uint64_t fake_netif_counter(struct fake_driver *f, const char *name);

#endif
