/*
 * virtio_net.h - a network interface for the guest.
 *
 * Source: VIRTIO 1.2, 5.1 "Network Device". Loop thread, but for what a transport calls.
 */
#ifndef VMM_VIRTIO_VIRTIO_NET_H
#define VMM_VIRTIO_VIRTIO_NET_H
#include <stdbool.h>
#include <stdint.h>
#include <vmm/base/err.h>
#include <vmm/dev/device.h>
#include <vmm/host/rate.h>
#include <vmm/net/net_spec.h>
#include <vmm/virtio/virtio_dev.h>

struct netif;

/*
 * Opens what the spec names (an interface, a socket, a passt process) and makes the device in front
 * of it; spec->kind is not NET_NONE. name ("net0") outlives the device, the spec need not. Uses
 * env->mem and env->loop. Errors begin with "NAME: ". virtio_dev_destroy() undoes it all.
 */
int virtio_net_create(struct virtio_dev **out, const struct net_spec *spec, const char *name,
		      const struct device_env *env, struct err *e);

/* The same in front of an interface that is open already, and becomes the device's own if this
 * succeeds. */
struct virtio_net_params {
	const char *name;
	struct netif *netif;
	uint8_t mac[6];
	uint16_t mtu; /* 0: not told to the guest */
	struct rate_spec rate; /* none with vhost */
	bool vhost; /* the host's kernel moves the frames; netif has fd() */
};
int virtio_net_create_on(struct virtio_dev **out, const struct virtio_net_params *p,
			 const struct device_env *env, struct err *e);

#endif
