/*
 * i8042.c - as much of a keyboard controller as it takes to reset a PC.
 *
 * Life of a VM: built while the machine is assembled; written, by a vCPU thread, when a guest
 * without ACPI, or one that trusts no other way, wants to start over. The FADT says that there is
 * no keyboard controller, so drivers stay away; but resetting a PC through one is older than any
 * table.
 *
 * Specification: Intel 8242 data sheet, "Commands"; the reset line on output port bit 0 is IBM's
 * (PC AT Technical Reference, "Keyboard Controller").
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <vmm/base/util.h>
#include <vmm/bus/bus.h>
#include <vmm/dev/i8042.h>

#define DATA_PORT 0x60
#define COMMAND_PORT 0x64 /* status when read */

#define COMMAND_WRITE_OUTPUT_PORT 0xd1
#define COMMAND_PULSE 0xf0 /* bits 0-3: the output lines that stay as they are */
#define OUTPUT_RESET_LINE (1u << 0) /* active low */

struct i8042 {
	struct device dev;
	struct bus *pio;
	guest_event_fn on_event;
	void *event_arg;
	atomic_bool output_port_next; /* the next data byte is for the output port; no lock */
};

/*
 * Status: no byte waits for the guest (bit 0), none of the guest's waits for us (bit 1). Whoever
 * empties the buffer, or waits until a command can be given, is through at once.
 * Data: there is none.
 */
static uint64_t i8042_read(void *p, uint64_t off, unsigned int size)
{
	(void)p, (void)off, (void)size;
	return 0;
}

static void i8042_write_data(void *p, uint64_t off, unsigned int size, uint64_t val)
{
	struct i8042 *kbd = p;

	(void)off, (void)size;
	if (atomic_exchange(&kbd->output_port_next, false) && !(val & OUTPUT_RESET_LINE))
		kbd->on_event(kbd->event_arg, GUEST_RESET, 0);
}

static void i8042_write_command(void *p, uint64_t off, unsigned int size, uint64_t val)
{
	struct i8042 *kbd = p;

	(void)off, (void)size;
	atomic_store(&kbd->output_port_next, val == COMMAND_WRITE_OUTPUT_PORT);
	/* 0xfe is what everybody writes: pulse line 0, leave the others alone. */
	if ((val & COMMAND_PULSE) == COMMAND_PULSE && !(val & OUTPUT_RESET_LINE))
		kbd->on_event(kbd->event_arg, GUEST_RESET, 0);
}

static const struct bus_ops data_ops = {
	.name = "i8042",
	.max_size = 1,
	.read = i8042_read,
	.write = i8042_write_data,
};

static const struct bus_ops command_ops = {
	.name = "i8042",
	.max_size = 1,
	.read = i8042_read,
	.write = i8042_write_command,
};

static void i8042_reset(struct device *d)
{
	atomic_store(&container_of(d, struct i8042, dev)->output_port_next, false);
}

static void i8042_destroy(struct device *d)
{
	struct i8042 *kbd = container_of(d, struct i8042, dev);

	bus_unmap(kbd->pio, DATA_PORT);
	bus_unmap(kbd->pio, COMMAND_PORT);
	free(kbd);
}

static const struct device_ops i8042_ops = {
	.type = "i8042",
	.reset = i8042_reset,
	.destroy = i8042_destroy,
};

/* Port 0x61 between the two is not ours: it is the PC speaker's and timer's, in KVM. */
static int map_ports(struct i8042 *kbd, struct err *e)
{
	if (bus_map(kbd->pio, DATA_PORT, 1, &data_ops, kbd, e) < 0)
		return e->code;
	if (bus_map(kbd->pio, COMMAND_PORT, 1, &command_ops, kbd, e) < 0) {
		bus_unmap(kbd->pio, DATA_PORT);
		return e->code;
	}
	return 0;
}

int i8042_create(struct device **out, const struct device_env *env, struct err *e)
{
	struct i8042 *kbd = calloc(1, sizeof(*kbd));

	if (!kbd)
		return err_set(e, -ENOMEM, "i8042: out of memory");
	kbd->dev.ops = &i8042_ops;
	kbd->pio = env->pio;
	kbd->on_event = env->on_event;
	kbd->event_arg = env->event_arg;
	if (map_ports(kbd, e) < 0) {
		free(kbd);
		return err_wrap(e, "i8042");
	}
	*out = &kbd->dev;
	return 0;
}
