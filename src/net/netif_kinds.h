/*
 * netif_kinds.h - private to net: the kinds of interface that netif_open() chooses from.
 */
#ifndef VMM_SRC_NET_NETIF_KINDS_H
#define VMM_SRC_NET_NETIF_KINDS_H
#include <vmm/net/netif.h>

/* As netif_open(), for one kind. */
int net_loop_open(struct netif **out, const struct net_spec *spec, const char *name,
		  struct evloop *loop, struct err *e);
int net_passt_open(struct netif **out, const struct net_spec *spec, const char *name,
		   struct evloop *l, struct err *e);
int net_tap_open(struct netif **out, const struct net_spec *spec, const char *name,
		 struct evloop *l, struct err *e);
int net_unix_open(struct netif **out, const struct net_spec *spec, const char *name,
		  struct evloop *l, struct err *e);

#endif
