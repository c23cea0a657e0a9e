/*
 * fake_echo.h - a virtio device type for tests of transports: it sends back what it gets.
 *
 * Queue 0 copies the readable part of each chain into the writable one. Queues 1 and 2 do nothing.
 * The configuration space has FAKE_ECHO_CONFIG bytes that can be written.
 */
#ifndef TESTS_FAKE_ECHO_H
#define TESTS_FAKE_ECHO_H
#include <vmm/dev/device.h>
#include <vmm/virtio/virtio_dev.h>

#define FAKE_ECHO_ID 0x2a
#define FAKE_ECHO_QUEUES 3u
#define FAKE_ECHO_QUEUE_SIZE 64u
#define FAKE_ECHO_CONFIG 10u
#define FAKE_ECHO_FEATURES (UINT64_C(1) << 3 | UINT64_C(1) << 35)

struct fake_echo {
	struct virtio_dev v; /* freed by the device's destroy() */
	uint8_t config[FAKE_ECHO_CONFIG];
	unsigned int n_activations, n_resets, n_ready[FAKE_ECHO_QUEUES]; /* guarded by v.lock */
};

struct fake_echo *fake_echo_create(const struct device_env *env);
extern unsigned int fake_echo_n_alive;

#endif
