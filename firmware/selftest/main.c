/*
 * main.c - the guest of `vmm selftest`: starts everything that there is, checks it, and ends.
 *
 * guest_main() is entered by firmware/runtime/start.S in long mode, at ring 0, on the boot CPU.
 * What needs ring 0 is done there: the interrupt table, and little else. The rest runs at ring 3,
 * which is fast where KVM is software, too.
 *
 * One line for each check on the serial port, "ok NAME" or "FAIL NAME: why"; the last line is
 * "N passed, N failed". Words on the command line:
 *
 *	cpus=N		how many CPUs there are
 *	mmio=1		the virtio devices are not on the PCI bus
 *	verbose=1	tell numbers, too
 *	end=N		how it ends if all went well:
 *			0 by the exit port, 1 by power off, 2 by a reset
 *	fuzz=SEED	no checks, but fuzz_count=N random accesses
 */
#include "check.h"
#include "cpu.h"
#include "fuzz.h"
#include "virtio.h"

#define RESET_PORT 0x602u

static unsigned int n_passed, n_failed;

void tell(const char *name, uint64_t value)
{
	if (!option("verbose", 0))
		return;
	put("  ");
	put(name);
	put(": ");
	put_dec(value);
	put("\n");
}

static void report(const char *name, const char *why)
{
	put(why ? "FAIL " : "ok ");
	put(name);
	if (why) {
		put(": ");
		put(why);
	}
	put("\n");
	n_passed += !why;
	n_failed += !!why;
}

static void run(const struct check *c)
{
	for (; c->name; c++)
		report(c->name, c->run(NULL));
}

static void run_device(const struct check *c, unsigned int id)
{
	struct virtio *v = virtio_find(id);

	for (; c->name; c++)
		report(c->name, v ? c->run(v) : "there is no such device");
}

__attribute__((noreturn)) static void end(void)
{
	put_dec(n_passed);
	put(" passed, ");
	put_dec(n_failed);
	put(" failed\n");
	if (n_failed || option("end", 0) == 0)
		end_with(n_failed ? 1 : 0);
	if (option("end", 0) == 1)
		power_off();
	out8(RESET_PORT, 1);
	for (;;)
		;
}

static void body(void)
{
	if (option("fuzz", UINT64_MAX) != UINT64_MAX) {
		cpu_start_others();
		fuzz_run(option("fuzz", 0), option("fuzz_count", 20000));
		end_with(0);
	}
	run(cpu_checks);
	run(chip_checks);
	run(bus_checks);
	if (!option("mmio", 0))
		run_device(pci_checks, VIRTIO_ID_RNG);
	run_device(blk_checks, VIRTIO_ID_BLOCK);
	run_device(net_checks, VIRTIO_ID_NET);
	run_device(console_checks, VIRTIO_ID_CONSOLE);
	run_device(rng_checks, VIRTIO_ID_RNG);
	run(last_checks);
	end();
}

void guest_main(void)
{
	cpu_init();
	cpu_enter_ring3(body);
}
