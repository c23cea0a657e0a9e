/*
 * fuzz_platform.c - the plain chips of src/dev/: every port at every width, while the host types,
 * reads and presses the power button.
 */
#include "fake_chardev.h"
#include "fake_env.h"
#include "fuzz.h"
#include <vmm/bus/bus.h>
#include <vmm/dev/acpi_pm.h>
#include <vmm/dev/exitport.h>
#include <vmm/dev/i8042.h>
#include <vmm/dev/pvpanic.h>
#include <vmm/dev/rtc_cmos.h>
#include <vmm/dev/uart16550.h>

#define MAX_OPS 2000u

static struct fake_env f;
static struct chardev *console;

static int (*const create[])(struct device **out, const struct device_env *env, struct err *e) = {
	uart16550_create, rtc_cmos_create, i8042_create,
	acpi_pm_create,   pvpanic_create,  exitport_create,
};
#define N_DEVICES ARRAY_SIZE(create)
static struct device *devs[N_DEVICES];

static uint16_t next_port(struct input *in)
{
	static const uint16_t ports[] = { UART_COM1_BASE, RTC_CMOS_BASE, 0x60,         0x64,
					  ACPI_PM_BASE,   PVPANIC_BASE,  EXITPORT_BASE };
	uint8_t how = next_u8(in);

	if (how < 0x80)
		return (uint16_t)(UART_COM1_BASE + how % 8);
	if (how < 0xf8)
		return (uint16_t)(ports[how % ARRAY_SIZE(ports)] + (how >> 5) % 4);
	return next_u16(in);
}

static void access_port(struct input *in)
{
	uint16_t port = next_port(in);
	uint8_t how = next_u8(in), data[8] = { 0 };
	size_t len = how & 0x40 ? 1u + how % 8 : 1;

	if (how & 0x80) {
		bus_read(f.pio, port, data, len);
		return;
	}
	next_bytes(in, data, len);
	bus_write(f.pio, port, data, len);
}

static void type(struct input *in)
{
	static const uint8_t text[256] = "some text";
	uint8_t n = next_u8(in);

	if (fake_chardev_untaken(console) < FAKE_CHARDEV_BYTES - sizeof(text))
		fake_chardev_type(console, text, n);
}

static void host(struct input *in)
{
	static uint8_t got[256];
	uint8_t how = next_u8(in);

	switch (how % 5) {
	case 0:
	case 1:
		type(in);
		break;
	case 2:
		fake_chardev_take(console, got, next_u8(in));
		break;
	case 3:
		acpi_pm_press_power_button(devs[3]);
		break;
	case 4:
		fake_chardev_attach(console, how & 0x80);
		break;
	}
}

static void on_counter(void *arg, const char *name, uint64_t value)
{
	(void)arg, (void)value;
	FUZZ_CHECK(name && *name);
}

static void reset(unsigned int i)
{
	if (devs[i]->ops->counters)
		devs[i]->ops->counters(devs[i], on_counter, NULL);
	if (devs[i]->ops->reset)
		devs[i]->ops->reset(devs[i]);
}

/* A byte out of a port that has been reset reaches the host. */
static void works(void)
{
	static char got[FAKE_CHARDEV_BYTES];
	size_t n;

	fake_chardev_attach(console, true);
	while (fake_chardev_take(console, got, sizeof(got)) > 0)
		;
	for (unsigned int i = 0; i < N_DEVICES; i++)
		reset(i);
	fake_out8(&f, UART_COM1_BASE, 'x');
	n = fake_chardev_take(console, got, sizeof(got));
	FUZZ_CHECK(n == 1 && got[0] == 'x');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, data + size };
	struct err e;

	fake_env_init(&f);
	console = fake_chardev_create(64);
	f.env.console = console;
	for (unsigned int i = 0; i < N_DEVICES; i++)
		VMM_BUG_ON(create[i](&devs[i], &f.env, &e) < 0);
	for (unsigned int n = 0; left(&in) > 0 && n < MAX_OPS; n++) {
		uint8_t how = next_u8(&in);

		if (how < 0xc0)
			access_port(&in);
		else if (how < 0xfc)
			host(&in);
		else
			reset(how % N_DEVICES);
	}
	works();
	for (unsigned int i = 0; i < N_DEVICES; i++)
		devs[i]->ops->destroy(devs[i]);
	FUZZ_CHECK(!fake_chardev_is_listened_to(console));
	fake_chardev_destroy(console);
	fake_env_fini(&f);
	return 0;
}
