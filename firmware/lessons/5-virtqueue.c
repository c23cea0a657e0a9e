/*
 * 5-virtqueue.c - lesson 5: a virtqueue by hand.
 *
 * A virtio device needs no exit for each byte: driver and device share memory. The driver describes
 * buffers in a table, and puts the number of a description into a ring, "avail"; the device fills
 * the buffer and puts the number into another ring, "used". This guest asks the entropy device for
 * random bytes. Left out for brevity: VERSION, the largest QUEUE_NUM, waiting for the end of the
 * reset; firmware/selftest has them. VIRTIO 1.2: 2.7 "Split Virtqueues", 3.1 "Device
 * Initialization", 4.2 "Virtio Over MMIO", 5.4 "Entropy Device". For how it starts: lesson 3.
 */
#include <stdint.h>

__asm__(".section .note.PVH, \"a\", @note\n"
	"	.long 4, 4, 18\n"
	"	.asciz \"Xen\"\n"
	"	.long start\n"
	"	.text\n"
	"	.globl start\n"
	"start:	mov $stack + 4096, %esp\n"
	"	jmp lesson");

uint8_t stack[4096] __attribute__((aligned(16)));

#define EXIT_PORT 0xf4
#define COM1 0x3f8
#define OUT(port, value)                                                                           \
	__asm__ volatile("outb %0, %1" ::"a"((uint8_t)(value)), "Nd"((uint16_t)(port)))

/* A page of registers. Our board has the first one here; ACPI tells a kernel so. */
#define REG(offset) (*(volatile uint32_t *)(0xe1000000 + (offset)))
#define MAGIC 0x000 /* "virt" */
#define DEVICE_ID 0x008 /* 4: entropy */
#define DRIVER_FEATURES 0x020
#define DRIVER_FEATURES_SEL 0x024
#define QUEUE_SEL 0x030
#define QUEUE_NUM 0x038
#define QUEUE_READY 0x044
#define QUEUE_NOTIFY 0x050
#define STATUS 0x070 /* how far the driver is: one bit more at each step */
#define QUEUE_DESC 0x080
#define QUEUE_DRIVER 0x090
#define QUEUE_DEVICE 0x0a0

#define N 2 /* entries, a power of two */
static struct {
	uint64_t address;
	uint32_t length;
	uint16_t flags, next;
} descriptors[N] __attribute__((aligned(16)));
static volatile struct { /* written by the driver, read by the device */
	uint16_t flags, index, ring[N];
} avail __attribute__((aligned(2)));
static volatile struct { /* the other way round */
	uint16_t flags, index;
	struct {
		uint32_t id, length;
	} ring[N];
} used __attribute__((aligned(4)));
static volatile uint8_t random[8];

void lesson(void);
void lesson(void)
{
	if (REG(MAGIC) != 0x74726976 || REG(DEVICE_ID) != 4)
		OUT(EXIT_PORT, 1);
	REG(STATUS) = 0; /* reset */
	REG(STATUS) = 1 | 2; /* ACKNOWLEDGE, DRIVER: seen, and we can drive it */
	REG(DRIVER_FEATURES_SEL) = 1; /* bits 32 to 63 */
	REG(DRIVER_FEATURES) = 1; /* bit 32, VERSION_1: all that we want */
	REG(STATUS) = 1 | 2 | 8; /* FEATURES_OK */
	if (!(REG(STATUS) & 8)) /* the device may say no */
		OUT(EXIT_PORT, 1);

	REG(QUEUE_SEL) = 0;
	REG(QUEUE_NUM) = N;
	REG(QUEUE_DESC) = (uint32_t)descriptors; /* upper halves are 0 after a reset */
	REG(QUEUE_DRIVER) = (uint32_t)&avail;
	REG(QUEUE_DEVICE) = (uint32_t)&used;
	REG(QUEUE_READY) = 1;
	REG(STATUS) = 1 | 2 | 8 | 4; /* DRIVER_OK: from now on the device works */

	/* All of this is RAM: no exit. */
	descriptors[0].address = (uint32_t)random;
	descriptors[0].length = sizeof(random);
	descriptors[0].flags = 2; /* WRITE: the device may write here */
	avail.ring[avail.index % N] = 0; /* the number of the description */
	__sync_synchronize(); /* the entry first, the index behind it: 2.7.13.3 */
	avail.index = 1;

	REG(QUEUE_NOTIFY) = 0; /* no exit either: KVM itself turns this write into an event */
	while (used.index != 1)
		; /* the VMM's main thread has woken up, and works */
	for (unsigned int i = 0; i < used.ring[0].length; i++)
		OUT(COM1, 'a' + random[i] % 26);
	OUT(COM1, '\n');
	OUT(EXIT_PORT, 0);
	for (;;)
		;
}
