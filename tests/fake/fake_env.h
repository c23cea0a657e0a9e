/*
 * fake_env.h - a machine around one device: a port bus, interrupt lines and an ear for guest
 * events.
 *
 * What the device does is recorded for the test to look at.
 */
#ifndef TESTS_FAKE_ENV_H
#define TESTS_FAKE_ENV_H
#include <stdbool.h>
#include <stdint.h>
#include <vmm/dev/device.h>

#define FAKE_ENV_LINES 16

struct fake_env {
	struct device_env env; /* what create functions want */
	struct bus *pio;
	struct { /* by interrupt line; written under the device's lock, as irq_set() is called */
		bool level;
		unsigned int n_rises, n_calls;
	} irq[FAKE_ENV_LINES];
	unsigned int n_events;
	enum guest_event event; /* the last one */
	unsigned int value;
};

void fake_env_init(struct fake_env *f);
void fake_env_fini(struct fake_env *f);

uint8_t fake_in8(struct fake_env *f, uint16_t port);
void fake_out8(struct fake_env *f, uint16_t port, uint8_t val);

#endif
