/*
 * fake_chardev.h - a double of host/chardev.c without any file behind it: the test is the host.
 *
 * Keeps the contract of vmm/host/chardev.h towards the device. The calls below stand for the loop
 * thread: each from one thread at a time.
 */
#ifndef TESTS_FAKE_CHARDEV_H
#define TESTS_FAKE_CHARDEV_H
#include <stddef.h>
#include <stdint.h>
#include <vmm/host/chardev.h>

#define FAKE_CHARDEV_BYTES 65536

/* room: how many bytes of output are taken before it says "full". Attached, without a size. */
struct chardev *fake_chardev_create(size_t room);
void fake_chardev_destroy(struct chardev *c);

/* The host types: `len` more bytes of input; then the device is told. */
void fake_chardev_type(struct chardev *c, const void *data, size_t len);
size_t fake_chardev_untaken(struct chardev *c); /* typed, and not yet fetched by the device */

/* The host reads: takes all output and makes room; then the device is told, if it was refused. */
size_t fake_chardev_take(struct chardev *c, void *data, size_t max);

/* A client comes or goes; the window gets another size (0: it has none). The device is told. */
void fake_chardev_attach(struct chardev *c, bool attached);
void fake_chardev_resize(struct chardev *c, uint16_t cols, uint16_t rows);

/* What the device said last. */
bool fake_chardev_is_flow_controlled(struct chardev *c);

bool fake_chardev_is_listened_to(struct chardev *c);

#endif
