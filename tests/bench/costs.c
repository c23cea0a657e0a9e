/*
 * costs.c - what one exit costs, and one request: for tests/bench/exits.sh, where there is no KVM
 * that boots kernels.
 *
 * Each kind of access is made again and again from ring 0, which is interpreted on a software KVM,
 * but by few instructions. Then, with a driver of the selftest's (firmware/selftest), the first
 * disk is read: a sector at a time, each waited for in memory, without interrupts. That is at ring
 * 3, which runs at full speed: what is measured is the way of a notification to the VMM, and of the
 * answer back. Prints "costs: NAME TICKS COUNT", ticks of the TSC, then "costs: end".
 */
#include "guest.h"
#include "virtio.h"

#define COUNT 1000u
#define NOBODY_PORT 0x2f7u /* answered by no device of anybody's */
#define COM1_SCR (COM1 + 7) /* of the serial port, which each VMM emulates: a byte to keep */
#define NOBODY_MMIO 0xd0000000u /* neither RAM nor a device */

static uint64_t ticks(void)
{
	uint32_t lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return ((uint64_t)hi << 32) | lo;
}

static void nothing(void)
{
	__asm__ volatile("");
}

static void read_nobody(void)
{
	in8(NOBODY_PORT);
}

static void read_serial(void)
{
	in8(COM1_SCR);
}

static void write_serial(void)
{
	out8(COM1_SCR, 0);
}

static void read_mmio(void)
{
	(void)*(volatile uint32_t *)(uintptr_t)NOBODY_MMIO;
}

static void cost(const char *name, void (*access)(void))
{
	uint64_t begin;

	access();
	begin = ticks();
	for (unsigned int i = 0; i < COUNT; i++)
		access();
	begin = ticks() - begin;
	put("costs: ");
	put(name);
	put(" ");
	put_dec(begin);
	put(" ");
	put_dec(COUNT);
	put("\n");
}

/* The disk ----------------------------------------------------------------------------------- */

#define QEMU_MICROVM_MMIO 0xfeb00000u /* docs/system/i386/microvm.rst */
#define QEMU_MICROVM_STEP 0x200u
#define QEMU_MICROVM_SLOTS 24u

#define TYPE_IN 0u /* VIRTIO 1.2, 5.2.6 */
#define NEVER 0x4000u /* more requests ahead than a queue can hold */

static struct virtio found[MAX_DEVICES], *disk;

static void find_disk(void)
{
	unsigned int n = virtio_pci_scan(found, MAX_DEVICES);

	if (n == 0) {
		for (unsigned int i = 0; i < QEMU_MICROVM_SLOTS && n < MAX_DEVICES; i++)
			n += virtio_mmio_probe(&found[n], QEMU_MICROVM_MMIO + i * QEMU_MICROVM_STEP,
					       i);
	}
	for (unsigned int i = 0; i < n && !disk; i++) {
		if (found[i].id == VIRTIO_ID_BLOCK)
			disk = &found[i];
	}
}

static void read_disk(void)
{
	static struct {
		uint32_t type, reserved;
		uint64_t sector;
	} header = { TYPE_IN, 0, 0 };
	static uint8_t data[512];
	static volatile uint8_t status;
	const struct piece pieces[] = { { &header, sizeof(header), false },
					{ data, sizeof(data), true },
					{ (void *)&status, 1, true } };
	struct virtq *q = &disk->q[0];

	status = 0xff;
	virtq_want_interrupt(q, NEVER);
	virtq_add(q, pieces, 3);
	virtq_kick(disk, q);
	while (virtq_take(q, NULL) < 0)
		__asm__ volatile("pause" ::: "memory");
	check(status == 0, "a read fails");
}

static void at_ring3(void)
{
	if (disk)
		cost("disk-read", read_disk);
	put("costs: end\n");
	out8(PM_SLEEP_CONTROL, 0x34);
	out8(0x64, 0xfe);
	for (;;)
		;
}

void guest_main(void)
{
	const char *why;

	cost("nothing", nothing);
	cost("port-nobody-read", read_nobody);
	cost("port-serial-read", read_serial);
	cost("port-serial-write", write_serial);
	cost("memory-nobody-read", read_mmio);
	find_disk();
	why = disk ? virtio_start(disk, F_EVENT_IDX | F_INDIRECT_DESC, 1) : NULL;
	check(!why, why);
	ring3(at_ring3);
}
