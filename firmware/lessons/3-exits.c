/*
 * 3-exits.c - lesson 3: a port exit and a memory exit.
 *
 * A guest reaches its devices in two ways. Ports are numbers from 0 to 0xffff with instructions of
 * their own, IN and OUT. Device memory (MMIO) is an address like any other, except that there is no
 * RAM behind it. Both end in the VMM, which decides what the device answers; this guest does each
 * once for reading and once for writing.
 *
 * This is 32-bit C without anything below it: no library, and a stack that we bring along.
 */
#include <stdint.h>

__asm__(".section .note.PVH, \"a\", @note\n" /* how the loader finds the entry: see lesson 1 */
	"	.long 4, 4, 18\n"
	"	.asciz \"Xen\"\n"
	"	.long start\n"
	"	.text\n"
	"	.globl start\n"
	"start:	mov $stack + 4096, %esp\n"
	"	jmp lesson");

uint8_t stack[4096] __attribute__((aligned(16)));

#define EXIT_PORT 0xf4

/* The ports of a PC's clock: first the number of a register, then what is in it. */
#define RTC_INDEX 0x70
#define RTC_DATA 0x71
#define RTC_STATUS_D 0x0d /* bit 7: the battery is good */

/*
 * PCI's configuration space, as memory: 4 KiB for each device. Our board has it here, and tells a
 * kernel so in an ACPI table, MCFG. The first device, at the very start, is the bridge itself.
 */
#define ECAM 0xe0000000
#define PCI_ID 0x00 /* its maker and its model */
#define PCI_COMMAND 0x04 /* bit 1: the device answers to memory addresses */

/* Macros, and no functions, so that each exit is at the line that wanted it. */
#define OUT(port, value)                                                                           \
	__asm__ volatile("outb %0, %1" ::"a"((uint8_t)(value)), "Nd"((uint16_t)(port)))
#define IN(port, value) __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"((uint16_t)(port)))

void lesson(void);
void lesson(void)
{
	volatile uint32_t *pci_id = (uint32_t *)(ECAM + PCI_ID);
	volatile uint16_t *pci_command = (uint16_t *)(ECAM + PCI_COMMAND);
	uint8_t status;
	uint32_t id;

	/*
	 * Two ports. KVM hands the VMM all there is to know: port, direction, size, and the value
	 * of an OUT. For an IN, the VMM fills in the value; KVM puts it into the register when the
	 * guest goes on.
	 */
	OUT(RTC_INDEX, RTC_STATUS_D);
	IN(RTC_DATA, status);

	/*
	 * Device memory. The processor only says that an address was not in the guest's RAM. KVM
	 * has to read the instruction out of guest memory and decode it to know the rest: size,
	 * direction, value, and which register. So such an exit costs more than that of a port.
	 */
	id = *pci_id;
	*pci_command = 2;

	/* Nobody is at this address. On a real bus, what nobody answers reads as all ones. */
	if (*(volatile uint32_t *)0xd0000000 != 0xffffffff)
		OUT(EXIT_PORT, 1);

	/* And this is RAM: the processor does it by itself, and nobody sees it. */
	*(volatile uint32_t *)0x200000 = id;

	OUT(EXIT_PORT, status == 0x80 && id != 0xffffffff ? 0 : 1);
	for (;;)
		;
}
