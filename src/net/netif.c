/*
 * netif.c - opening the right kind of interface, and addresses that stay the same.
 *
 * Life of a VM: while devices are made. Main thread, which becomes the loop's.
 */
#include "netif_kinds.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <vmm/base/bug.h>
#include <vmm/net/netif.h>

int netif_open(struct netif **out, const struct net_spec *spec, const char *name, struct evloop *l,
	       struct err *e)
{
	switch (spec->kind) {
	case NET_USER:
		return net_passt_open(out, spec, name, l, e);
	case NET_TAP:
		return net_tap_open(out, spec, name, l, e);
	case NET_UNIX:
		return net_unix_open(out, spec, name, l, e);
	case NET_LOOP:
		return net_loop_open(out, spec, name, l, e);
	case NET_NONE:
		break;
	}
	VMM_BUG_ON(true);
	return -EINVAL;
}

void netif_destroy(struct netif *n)
{
	if (n)
		n->ops->destroy(n);
}

/* FNV-1a, and a finish that spreads each bit over all (as in splitmix64). */
static uint64_t mix(uint64_t h, const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		h = (h ^ (uint8_t)s[i]) * UINT64_C(0x100000001b3);
	return h;
}

static uint64_t finish(uint64_t h)
{
	h = (h ^ h >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	h = (h ^ h >> 27) * UINT64_C(0x94d049bb133111eb);
	return h ^ h >> 31;
}

void net_mac(uint8_t mac[6], const char *seed)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);
	char id[64]; /* of the host, so that tap0 on two hosts can be in one network */
	ssize_t n = 0;
	int fd = open("/etc/machine-id", O_RDONLY | O_CLOEXEC);

	if (fd >= 0) {
		n = read(fd, id, sizeof(id));
		close(fd);
	}
	h = mix(h, id, n > 0 ? (size_t)n : 0);
	h = finish(mix(h, seed, strlen(seed) + 1));
	for (unsigned int i = 0; i < 6; i++)
		mac[i] = (uint8_t)(h >> (8 * i));
	mac[0] = (mac[0] & 0xfc) | 2; /* locally administered, unicast (IEEE 802, 8.2) */
}
