/*
 * bus.h - address -> device, for ports (PIO) and memory-mapped registers (MMIO) alike.
 *
 * Devices are mapped while no vCPU runs, or later by a device that moves itself (PCI BARs);
 * accesses come from vCPU threads at any time. Whatever address, size or count a guest uses, each
 * access is answered: what nobody claims reads as all-ones and swallows writes.
 */
#ifndef VMM_BUS_BUS_H
#define VMM_BUS_BUS_H
#include <stddef.h>
#include <stdint.h>
#include <vmm/base/err.h>

struct bus;

/*
 * size is 1, 2, 4 or 8, and at most max_size; the address is a multiple of it, and the access never
 * reaches beyond the device's range: the bus splits what would. off is from the device's base.
 * Values are in the low `size` bytes; what read returns above them is ignored. Called on a vCPU
 * thread with no lock held; the device takes its own. NULL read: all-ones. NULL write: dropped.
 */
struct bus_ops {
	const char *name; /* whose range this is, for error messages */
	unsigned int
		max_size; /* 1, 2, 4; 0: 8. Chips with 8-bit registers say 1, as on an ISA bus */
	uint64_t (*read)(void *dev, uint64_t off, unsigned int size);
	void (*write)(void *dev, uint64_t off, unsigned int size, uint64_t val);
};

/* name is for error messages ("port"); last is the highest address (0xffff for ports). */
int bus_create(struct bus **out, const char *name, uint64_t last, struct err *e);
void bus_destroy(struct bus *b); /* NULL is fine */

/*
 * Sees to it that n more bus_map() beyond what is mapped need no memory, nor as many again after
 * bus_unmap(): for those of a vCPU's thread, which cannot get any once the guest runs. -ENOMEM.
 */
int bus_reserve(struct bus *b, unsigned int n, struct err *e);

/*
 * Claims [base, base+len). ops and dev outlive the mapping. Errors: -EBUSY taken (and by whom),
 * -EINVAL empty or beyond the last address, -ENOMEM.
 */
int bus_map(struct bus *b, uint64_t base, uint64_t len, const struct bus_ops *ops, void *dev,
	    struct err *e);

/*
 * Gives back what was mapped at base. On return no other thread is inside the range's ops, and none
 * will enter. So: call it without a lock that those ops take, or it waits for ever.
 *
 * A device may unmap itself from inside its own ops. Its own call is then not waited for: dev has
 * to live until that call has returned. Two devices must not unmap each other at the same time,
 * each from inside its own ops.
 */
void bus_unmap(struct bus *b, uint64_t base);

/* One access of any length and alignment, in the guest's byte order (little-endian). Any thread. */
void bus_read(struct bus *b, uint64_t at, void *data, size_t len);
void bus_write(struct bus *b, uint64_t at, const void *data, size_t len);

/* Who answers there, by its ops' name; NULL: nobody. For people who watch. Any thread. */
const char *bus_who(struct bus *b, uint64_t at);

#endif
