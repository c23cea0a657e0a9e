/*
 * fuzz_virtio_rng.c - src/virtio/virtio_rng.c, with and without a limit.
 */
#include "guest.h"
#include "loop.h"
#include <vmm/virtio/virtio_rng.h>

static void works(struct guest *g)
{
	struct fake_seg s = { guest_put(g, NULL, 64), 64, true };

	loop_advance(NS_PER_S);
	FUZZ_CHECK(guest_ask(g, 0, &s, 1) > 0);
}

static void request(struct guest *g)
{
	uint32_t len = guest_len(g);
	struct fake_seg s = { guest_put(g, NULL, 16384), len, true };

	guest_send(g, 0, &s, 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct guest_ops ops = { .request = request, .works = works };
	static const uint64_t rates[] = { 0, 1024, 65536, UINT64_C(1) << 40 };
	struct input in = { data, data + size };
	struct rng_spec spec = { .enabled = true };
	struct virtio_dev *v;
	struct guest g;
	struct err e;

	spec.rate.bytes_per_s = rates[next_below(&in, ARRAY_SIZE(rates))];
	spec.rate.bytes_burst = spec.rate.bytes_per_s;
	guest_init(&g, &ops, &in, NULL);
	VMM_BUG_ON(virtio_rng_create(&v, &spec, "rng0", &g.f.env, &e) < 0);
	fake_driver_attach(&g.f, v);
	guest_play(&g);
	guest_fini(&g);
	return 0;
}
