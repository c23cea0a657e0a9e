/*
 * net_spec.h - what a user says about one network interface: the value of --net.
 *
 *	none
 *	user[,host][,publish=[udp:][ADDR:]HOSTPORT:GUESTPORT...]	the host's network, by passt
 *	tap[=NAME][,queues=N][,vhost=on|off]			an interface of the host
 *	unix=PATH						another VM, or a switch
 *	loop							back to the guest itself
 *
 * For each but none: mac=XX:XX:XX:XX:XX:XX, mtu=N, bps=SIZE, burst=SIZE, pps=N, pps-burst=N. A
 * comma that belongs to a path is written twice.
 */
#ifndef VMM_NET_NET_SPEC_H
#define VMM_NET_NET_SPEC_H
#include <stdbool.h>
#include <stdint.h>
#include <vmm/base/err.h>
#include <vmm/host/rate.h>

#define NET_MTU_MIN 68u /* VIRTIO 1.2, 5.1.4.1 */
#define NET_MTU_MAX 65535u
#define NET_MAX_PAIRS 8u /* queues=N */

enum net_kind { NET_NONE, NET_USER, NET_TAP, NET_UNIX, NET_LOOP };

struct net_publish { /* a port of the host that leads to one of the guest */
	struct net_publish *next;
	bool udp;
	char addr[48]; /* of the host, IPv4 or IPv6; "127.0.0.1" unless given */
	uint16_t host_port, guest_port;
};

struct net_spec {
	enum net_kind kind;
	char *target; /* TAP: the interface's name, NULL: a free one; UNIX: the path */
	struct net_publish *publish; /* USER: in the order given */
	bool host; /* USER: the gateway's address leads to what listens on the host's loopback */
	bool has_mac;
	uint8_t mac[6];
	uint16_t mtu; /* 0: what the backend has */
	unsigned int n_pairs; /* TAP: pairs of queues, at least 1 */
	bool vhost; /* TAP: the host's kernel moves the frames; then there is no rate */
	struct rate_spec rate; /* of each direction */
	/*
	 * UNIX, where the path cannot be reached once the guest runs: gives a socket that is
	 * connected to it, or -errno. NULL: it can.
	 */
	int (*connect)(void *arg, unsigned int index);
	void *connect_arg;
	unsigned int index;
};

/* Needs no host: nothing is opened. -EINVAL, -ERANGE, -ENOMEM; then *out is empty. */
int net_spec_parse(struct net_spec *out, const char *text, struct err *e);
void net_spec_fini(struct net_spec *s); /* zeroed is fine */

#endif
