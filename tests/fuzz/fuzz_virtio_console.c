/*
 * fuzz_virtio_console.c - consoles and ports: src/virtio/virtio_console.c, with the control queues.
 */
#include "fake_chardev.h"
#include "guest.h"
#include "loop.h"
#include <linux/virtio_console.h>
#include <vmm/virtio/virtio_console.h>

#define N_PORTS 3u
#define CONTROL_RX 2u
#define CONTROL_TX 3u

struct ports {
	unsigned int first; /* 0, or 1: there is no console */
	struct chardev *chardev[N_PORTS];
};

static unsigned int rx_of(unsigned int id)
{
	return id == 0 ? 0 : 2 * id + 2;
}

static void tell(struct guest *g, uint32_t id, uint16_t event, uint16_t value, uint32_t len)
{
	uint8_t text[8];
	struct fake_seg s;

	store_le32(text, id);
	store_le16(text + 4, event);
	store_le16(text + 6, value);
	s = (struct fake_seg){ guest_put(g, text, sizeof(text)), len, false };
	guest_send(g, CONTROL_TX, &s, 1);
}

static void message(struct guest *g)
{
	uint8_t how = next_u8(g->in);
	uint32_t id = how & 0x80 ? next_u32(g->in) : how % 4;
	uint16_t event = how & 0x40 ? next_u16(g->in) : (uint16_t)(how >> 2) % 9;

	tell(g, id, event, next_u8(g->in), how & 0x20 ? guest_len(g) : 8);
}

static void request(struct guest *g)
{
	unsigned int id = next_below(g->in, N_PORTS);
	struct fake_seg segs[10];
	uint32_t len;

	switch (next_below(g->in, 5)) {
	case 0:
	case 1:
		message(g);
		break;
	case 2: /* output */
		len = guest_len(g);
		segs[0] = (struct fake_seg){ guest_put(g, NULL, 65536), len, false };
		guest_send(g, rx_of(id) + 1, segs, guest_segs(g, segs, 1, ARRAY_SIZE(segs)));
		break;
	case 3: /* a place for input */
		len = guest_len(g);
		segs[0] = (struct fake_seg){ guest_put(g, NULL, 65536), len, true };
		guest_send(g, rx_of(id), segs, guest_segs(g, segs, 1, ARRAY_SIZE(segs)));
		break;
	case 4: /* and for messages */
		segs[0] = (struct fake_seg){ guest_put(g, NULL, 256),
					     next_bool(g->in) ? 136 : guest_len(g), true };
		guest_send(g, CONTROL_RX, segs, 1);
		break;
	}
}

static void host(struct guest *g)
{
	static uint8_t text[FAKE_CHARDEV_BYTES];
	struct ports *p = g->arg;
	unsigned int id = p->first + next_below(g->in, N_PORTS - p->first);
	struct chardev *c = p->chardev[id];
	uint16_t n;

	switch (next_below(g->in, 5)) {
	case 0:
		n = (uint16_t)next_number(g->in, 2);
		fake_chardev_type(c, text,
				  min_size(n, FAKE_CHARDEV_BYTES - fake_chardev_untaken(c)));
		break;
	case 1:
		fake_chardev_take(c, text, (uint16_t)next_number(g->in, 2));
		break;
	case 2:
		fake_chardev_attach(c, next_bool(g->in));
		break;
	case 3:
		n = next_u8(g->in);
		fake_chardev_resize(c, n, next_u8(g->in));
		break;
	case 4:
		loop_turn(g->f.loop);
		break;
	}
}

/* Output of the last port. */
static void works(struct guest *g)
{
	struct ports *p = g->arg;
	struct fake_seg s = { guest_put(g, "hello", 5), 5, false };
	static char got[FAKE_CHARDEV_BYTES];

	fake_chardev_attach(p->chardev[N_PORTS - 1], true);
	fake_chardev_take(p->chardev[N_PORTS - 1], got, sizeof(got));
	tell(g, 0, VIRTIO_CONSOLE_DEVICE_READY, 1, 8);
	tell(g, N_PORTS - 1, VIRTIO_CONSOLE_PORT_READY, 1, 8);
	tell(g, N_PORTS - 1, VIRTIO_CONSOLE_PORT_OPEN, 1, 8);
	fake_driver_idle(&g->f);
	FUZZ_CHECK(guest_ask(g, rx_of(N_PORTS - 1) + 1, &s, 1) == 0);
	FUZZ_CHECK(fake_chardev_take(p->chardev[N_PORTS - 1], got, sizeof(got)) == 5);
	FUZZ_CHECK(memcmp(got, "hello", 5) == 0);
}

static void create(struct guest *g, struct ports *p)
{
	static const char *const names[N_PORTS] = { NULL, "one", "two" };
	struct console_port ports[N_PORTS];
	uint8_t how = next_u8(g->in);
	struct virtio_dev *v;
	struct err e;

	p->first = how & 1;
	for (unsigned int i = p->first; i < N_PORTS; i++) {
		p->chardev[i] = fake_chardev_create(how & 2 ? 16 : 4096);
		ports[i - p->first] = (struct console_port){ names[i], p->chardev[i], i == 0 };
	}
	VMM_BUG_ON(virtio_console_create(&v, ports, N_PORTS - p->first, "console0", &g->f.env, &e) <
		   0);
	fake_driver_attach(&g->f, v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct guest_ops ops = { .request = request, .host = host, .works = works };
	struct input in = { data, data + size };
	struct ports p = { 0 };
	struct guest g;

	guest_init(&g, &ops, &in, &p);
	create(&g, &p);
	guest_play(&g);
	virtio_console_flush(g.f.v);
	guest_fini(&g);
	for (unsigned int i = p.first; i < N_PORTS; i++) {
		FUZZ_CHECK(!fake_chardev_is_listened_to(p.chardev[i]));
		fake_chardev_destroy(p.chardev[i]);
	}
	return 0;
}
