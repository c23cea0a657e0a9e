/*
 * console_driver.h - a virtio-console over fake chardevs, and a driver that talks to it as Linux
 * does. For the tests of src/virtio/virtio_console.c.
 */
#ifndef TESTS_UNIT_CONSOLE_DRIVER_H
#define TESTS_UNIT_CONSOLE_DRIVER_H
#include "fake_chardev.h"
#include "fake_driver.h"
#include "unit.h"
#include <linux/virtio_console.h>
#include <stdio.h>
#include <vmm/base/bytes.h>
#include <vmm/base/log.h>
#include <vmm/base/util.h>
#include <vmm/virtio/virtio_console.h>

#define CONTROL_RX 2
#define CONTROL_TX 3
#define ALL_FEATURES (~UINT64_C(0))
#define ROOM 4096u /* of each chardev */

struct message { /* to the driver */
	uint32_t id;
	uint16_t event, value;
	uint32_t len; /* with what follows */
	char rest[128];
};

static struct fake_driver f;
static struct chardev *chardevs[CONSOLE_MAX_PORTS]; /* by the number of the port */
static unsigned int n_ports;
static char names[CONSOLE_MAX_PORTS][16];

static inline unsigned int rx_of(unsigned int id)
{
	return id == 0 ? 0 : 2 * id + 2;
}

static inline unsigned int tx_of(unsigned int id)
{
	return rx_of(id) + 1;
}

/* Ports first to n-1: "p1", "p2"; 0 is the console. */
static inline void create(unsigned int first, unsigned int n)
{
	struct console_port ports[CONSOLE_MAX_PORTS];
	struct virtio_dev *v;
	struct err e;

	log_set_level(LOG_ERROR);
	fake_driver_init(&f);
	n_ports = n;
	for (unsigned int i = first; i < n; i++) {
		chardevs[i] = fake_chardev_create(ROOM);
		snprintf(names[i], sizeof(names[i]), "p%u", i);
		ports[i - first] =
			(struct console_port){ i ? names[i] : NULL, chardevs[i], i == 0 };
	}
	ck_ok(virtio_console_create(&v, ports, n - first, "console0", &f.env, &e));
	fake_driver_attach(&f, v);
}

static inline void stop(void)
{
	fake_driver_fini(&f);
	for (unsigned int i = 0; i < n_ports; i++) {
		if (!chardevs[i])
			continue;
		ck_assert(!fake_chardev_is_listened_to(chardevs[i]));
		fake_chardev_destroy(chardevs[i]);
		chardevs[i] = NULL;
	}
}

static inline void tell_raw(const void *text, uint32_t len)
{
	struct fake_seg s = { fake_driver_put(&f, text, len), len, false };
	uint32_t id, written;

	fake_driver_send(&f, CONTROL_TX, &s, 1);
	ck_assert(fake_driver_take_used(&f, CONTROL_TX, &id, &written)); /* R7 */
	ck_assert_uint_eq(written, 0);
}

static inline void tell(uint32_t id, uint16_t event, uint16_t value)
{
	uint8_t text[8];

	store_le32(text, id);
	store_le16(text + 4, event);
	store_le16(text + 6, value);
	tell_raw(text, sizeof(text));
}

/* One buffer for queue qi; nobody is told. */
static inline gpa_t give(unsigned int qi, uint32_t len)
{
	struct fake_seg s = { fake_driver_alloc(&f, len), len, true };

	fake_driver_publish(&f, qi, fake_driver_chain(&f, qi, &s, 1));
	return s.at;
}

/* The next message, by a buffer that is given for it; false: there is none, the buffer stays. */
static inline bool hear(struct message *m)
{
	static uint8_t raw[8 + 128];
	static gpa_t at;
	uint32_t id, len;

	if (f.q[CONTROL_RX].avail_idx == f.q[CONTROL_RX].used_idx)
		at = give(CONTROL_RX, sizeof(raw));
	fake_driver_kick(&f, CONTROL_RX);
	if (!fake_driver_take_used(&f, CONTROL_RX, &id, &len))
		return false;
	ck_assert_uint_ge(len, 8);
	ck_assert_uint_le(len, sizeof(raw));
	fake_driver_read(&f, at, raw, len);
	*m = (struct message){ load_le32(raw), load_le16(raw + 4), load_le16(raw + 6), len, "" };
	memcpy(m->rest, raw + 8, len - 8);
	return true;
}

static inline void expect(uint32_t id, uint16_t event, uint16_t value)
{
	struct message m;

	ck_assert_msg(hear(&m), "no message, but port %u, event %u was due", id, event);
	ck_assert_uint_eq(m.id, id);
	ck_assert_uint_eq(m.event, event);
	ck_assert_uint_eq(m.value, value);
}

static inline void expect_nothing(void)
{
	struct message m;

	ck_assert_msg(!hear(&m), "port %u, event %u", m.id, m.event);
}

static inline void hear_all(void)
{
	struct message m;

	while (hear(&m))
		;
}

/* Everything that Linux does before the ports can be used. */
static inline void start(unsigned int first, unsigned int n)
{
	create(first, n);
	fake_driver_start(&f, ALL_FEATURES);
	tell(0, VIRTIO_CONSOLE_DEVICE_READY, 1);
	hear_all();
	for (unsigned int i = first; i < n; i++) {
		tell(i, VIRTIO_CONSOLE_PORT_READY, 1);
		tell(i, VIRTIO_CONSOLE_PORT_OPEN, 1);
	}
	hear_all();
}

/* The guest writes; the head. */
static inline uint16_t write_port(unsigned int id, const void *data, uint32_t len)
{
	struct fake_seg s = { fake_driver_put(&f, data, len), len, false };

	return fake_driver_send(&f, tx_of(id), &s, 1);
}

/* The host has got exactly that. */
static inline void host_got(unsigned int id, const char *text)
{
	static char buf[FAKE_CHARDEV_BYTES + 1];
	size_t n = fake_chardev_take(chardevs[id], buf, FAKE_CHARDEV_BYTES);

	buf[n] = '\0';
	ck_assert_str_eq(buf, text);
}

#endif
