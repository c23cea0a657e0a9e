/*
 * virtio_rng.h - a source of randomness for the guest: the host's own, at a limited rate.
 *
 * Source: VIRTIO 1.2, 5.4 "Entropy Device".
 */
#ifndef VMM_VIRTIO_VIRTIO_RNG_H
#define VMM_VIRTIO_VIRTIO_RNG_H
#include <stdbool.h>
#include <vmm/base/err.h>
#include <vmm/dev/device.h>
#include <vmm/host/rate.h>
#include <vmm/virtio/virtio_dev.h>

#define RNG_MAX_BYTES 4096u /* of one request, however large: it is answered with fewer */

struct rng_spec {
	bool enabled;
	struct rate_spec rate;
};

/* There is one, with 1 MiB a second. */
void rng_spec_init(struct rng_spec *s);
/* "none", or "rate=SIZE": bytes a second, 1K or more. -EINVAL, -ERANGE. */
int rng_spec_parse(struct rng_spec *s, const char *text, struct err *e);

/* spec->enabled. name outlives the device. Main thread. */
int virtio_rng_create(struct virtio_dev **out, const struct rng_spec *spec, const char *name,
		      const struct device_env *env, struct err *e);

#endif
