/*
 * fuzz_virtq.c - rings and chains: src/virtio/virtq.c and virtio_dev.c, over a device that echoes.
 */
#include "fake_echo.h"
#include "guest.h"

static void works(struct guest *g)
{
	gpa_t in = guest_put(g, "hello", 5), out = guest_put(g, "-----", 5);
	struct fake_seg segs[2] = { { in, 5, false }, { out, 5, true } };
	char got[6] = "";

	FUZZ_CHECK(guest_ask(g, 0, segs, 2) == 5);
	fake_driver_read(&g->f, out, got, 5);
	FUZZ_CHECK(strcmp(got, "hello") == 0);
}

/* Mostly the queue that answers. */
static void request(struct guest *g)
{
	struct fake_seg segs[12];

	guest_send(g, 0, segs, guest_segs(g, segs, 0, ARRAY_SIZE(segs)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct guest_ops ops = { .request = request, .works = works };
	struct input in = { data, data + size };
	struct guest g;

	guest_init(&g, &ops, &in, NULL);
	fake_driver_attach(&g.f, &fake_echo_create(&g.f.env)->v);
	guest_play(&g);
	guest_fini(&g);
	FUZZ_CHECK(fake_echo_n_alive == 0);
	return 0;
}
