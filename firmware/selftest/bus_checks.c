/*
 * bus_checks.c - what is on the PCI bus, or on the board, and can it be found as the specifications
 * say?
 *
 * Source: PCI Local Bus 3.0, chapter 6; PCI Express Base 5.0, 7.2.2; VIRTIO 1.2, 4.1.2 and 4.2.2.
 */
#include "check.h"
#include "cpu.h"
#include "pci.h"
#include "virtio.h"

#define CLASS_HOST_BRIDGE 0x060000u
#define VENDOR_VIRTIO 0x1af4u
#define BAR_STEP 0x1000000 /* to where nothing is, in the same window */

static bool is_virtio(unsigned int slot)
{
	return (pci_read(slot, PCI_ID) & 0xffff) == VENDOR_VIRTIO;
}

static const char *bridge_there(struct virtio *v)
{
	(void)v;
	WANT(pci_read(0, PCI_CLASS) >> 8 == CLASS_HOST_BRIDGE, "it is not in slot 0");
	return NULL;
}

/* Each of the first 64 bytes of every slot, in memory and by ports. */
static const char *two_ways(struct virtio *v)
{
	(void)v;
	for (unsigned int slot = 0; slot < PCI_SLOTS; slot++) {
		volatile uint32_t *ecam = (volatile uint32_t *)pci_ecam(slot);
		const unsigned int n = ecam[0] == PCI_NOTHING ? 1 : 16;

		for (unsigned int i = 0; i < n; i++)
			WANT(ecam[i] == pci_read(slot, 4 * i), "they do not agree");
	}
	return NULL;
}

static const char *empty_slots(struct virtio *v)
{
	unsigned int n = 0;

	(void)v;
	for (unsigned int slot = 0; slot < PCI_SLOTS; slot++) {
		if (pci_read(slot, PCI_ID) == PCI_NOTHING)
			continue;
		WANT(slot == 0 || is_virtio(slot), "there is a function that nobody knows");
		n++;
	}
	WANT(n == (option("mmio", 0) ? 1 : 5), "not as many functions as should be there");
	return NULL;
}

static const char *bars_sized(struct virtio *v)
{
	(void)v;
	for (unsigned int slot = 1; slot < PCI_SLOTS; slot++) {
		const uintptr_t at = (uintptr_t)pci_bar(slot, 0);
		uint64_t size;

		if (!is_virtio(slot))
			continue;
		size = pci_bar_size(slot, 0);
		WANT(size >= 4096 && (size & (size - 1)) == 0, "the size is no power of two");
		WANT(at != 0 && at % size == 0, "the address is not aligned");
		WANT((uintptr_t)pci_bar(slot, 0) == at, "it does not come back");
	}
	return NULL;
}

static const char *all_devices(struct virtio *v)
{
	(void)v;
	WANT(virtio_find(VIRTIO_ID_BLOCK), "no disk");
	WANT(virtio_find(VIRTIO_ID_NET), "no network interface");
	WANT(virtio_find(VIRTIO_ID_CONSOLE), "no console");
	WANT(virtio_find(VIRTIO_ID_RNG), "no entropy device");
	WANT(!virtio_find(0), "a device without a type");
	return NULL;
}

/* 2.1.2: what was not offered cannot be had, and the device then says so. */
static const char *status_machine(struct virtio *v)
{
	v = virtio_find(VIRTIO_ID_RNG);
	WANT(v, "no entropy device");
	WANT(!virtio_reset(v), "the reset does not end");
	v->transport->set_status(v, STATUS_ACKNOWLEDGE);
	v->transport->set_status(v, STATUS_ACKNOWLEDGE | STATUS_DRIVER);
	v->transport->set_features(v, ~UINT64_C(0));
	v->transport->set_status(v, STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK);
	WANT(!(v->transport->get_status(v) & STATUS_FEATURES_OK), "all features are accepted");
	WANT(!virtio_start(v, 0, 1), "it does not start afterwards");
	WANT(v->transport->get_status(v) ==
		     (STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_DRIVER_OK | STATUS_FEATURES_OK),
	     "it is not running then");
	return virtio_reset(v);
}

/* On PCI alone -----------------------------------------------------------------------------------
 */

static bool ask_rng(struct virtio *v, uint32_t *written)
{
	static uint8_t bytes[16];
	const struct piece p = { bytes, sizeof(bytes), true };

	return virtq_request(v, &v->q[0], &p, 1, written) && *written == sizeof(bytes);
}

/* PCI Local Bus 3.0, 6.2.5: the addresses are the system software's to choose. */
static const char *bar_moves(struct virtio *v)
{
	const uint32_t before = pci_read(v->slot, PCI_BARS),
		       command = pci_read(v->slot, PCI_COMMAND);
	const uintptr_t there = (before & ~15u) + BAR_STEP;
	volatile uint8_t *const regs = v->regs, *const notify = v->notify;
	const ptrdiff_t by = BAR_STEP;
	const char *why = virtio_start(v, 0, 1);
	uint32_t written;
	bool works;

	WANT(!why, why);
	pci_write(v->slot, PCI_COMMAND, command & ~PCI_COMMAND_MEMORY);
	WANT(regs[0] == 0xff, "with decoding off it answers all the same");
	pci_write(v->slot, PCI_BARS, (uint32_t)there);
	pci_write(v->slot, PCI_COMMAND, command);
	v->regs = regs + by;
	v->notify = notify + by;
	works = ask_rng(v, &written);
	v->regs = regs;
	v->notify = notify;
	pci_write(v->slot, PCI_BARS, before);
	WANT(works, "the device does not work at its new place");
	WANT(ask_rng(v, &written), "the device does not work when it is back");
	return NULL;
}

/* PCI Local Bus 3.0, 6.8.3.4: what a masked vector has to say is kept, once, until it may. */
static const char *mask_holds(struct virtio *v)
{
	volatile uint32_t *control =
		(volatile uint32_t *)(v->msix + 16 + 12); /* entry 1: queue 0 */
	const char *why = virtio_start(v, F_EVENT_IDX, 1);
	static uint8_t bytes[16];
	const struct piece p = { bytes, sizeof(bytes), true };
	struct virtq *q = &v->q[0];
	uint32_t before;

	WANT(!why, why);
	before = interrupts[q->vector];
	*control |= 1;
	for (unsigned int i = 0; i < 3; i++) {
		virtq_want_interrupt(q, 1);
		WANT(virtq_add(q, &p, 1) >= 0, "our own queue is too small");
		virtq_kick(v, q);
		WANT(virtq_wait(q, NULL) >= 0, "no answer");
	}
	WANT(interrupts[q->vector] == before, "it interrupts though it is masked");
	*control &= ~1u;
	WANT(wait_for_interrupt(q->vector, before), "the mask is off, and no interrupt comes");
	WANT(interrupts[q->vector] == before + 1, "more than one comes");
	return NULL;
}

const struct check pci_checks[] = {
	{ "pci: a device works wherever its BAR is", bar_moves },
	{ "msix: a masked vector is kept until it may come", mask_holds },
	{ 0 },
};

const struct check bus_checks[] = {
	{ "pci: there is a host bridge", bridge_there },
	{ "pci: ports and memory show the same", two_ways },
	{ "pci: only what was asked for is there", empty_slots },
	{ "pci: BARs tell their size and keep their place", bars_sized },
	{ "virtio: all four devices are found", all_devices },
	{ "virtio: features that are not offered are refused", status_machine },
	{ 0 },
};
