/*
 * fuzz_pci.c - configuration space, BARs and MSI-X: src/pci/ and the buses below it, with three
 * functions that a guest moves onto each other, onto RAM and out of the windows.
 */
#include "fake_board.h"
#include "fuzz.h"
#include "loop.h"
#include <linux/pci_regs.h>
#include <vmm/pci/pci_func.h>
#include <vmm/pci/pci_msix.h>

#define N_FUNCS 3u
#define N_VECTORS 5u
#define CAP_LEN 12u
#define MAX_OPS 300u

static struct fake_board f;
static struct func {
	struct pci_func func;
	struct pci_msix msix;
	uint64_t len; /* of BAR 0 */
	uint64_t at; /* where it is, as we were told */
} funcs[N_FUNCS];

/* The bus may ask for nothing that is not in the BAR. */
static void check_access(const struct func *d, uint64_t off, unsigned int size)
{
	FUZZ_CHECK(size == 1 || size == 2 || size == 4);
	FUZZ_CHECK(off % size == 0 && off < d->len && size <= d->len - off);
}

static uint64_t bar_read(void *p, uint64_t off, unsigned int size)
{
	check_access(p, off, size);
	return ((struct func *)p)->func.slot;
}

static void bar_write(void *p, uint64_t off, unsigned int size, uint64_t val)
{
	(void)val;
	check_access(p, off, size);
}

static const struct bus_ops bar_ops = {
	.name = "test BAR",
	.max_size = 4,
	.read = bar_read,
	.write = bar_write,
};

/* Only ever inside a window, and aligned. */
static void bar_moved(struct pci_func *func, unsigned int bar, uint64_t at)
{
	struct func *d = container_of(func, struct func, func);
	uint64_t size = func->bars[bar].size;

	FUZZ_CHECK(at == PCI_NOWHERE || at % size == 0);
	if (at != PCI_NOWHERE)
		FUZZ_CHECK((at >= FAKE_BOARD_PCI32 && at + size <= FAKE_BOARD_PCI32 + 16 * MIB) ||
			   (at >= FAKE_BOARD_PCI64 && at + size <= FAKE_BOARD_PCI64 + GIB));
	if (bar == 0)
		d->at = at;
}

static void create(struct func *d, unsigned int i)
{
	static const struct pci_ids ids = { .vendor = 0x1234,
					    .device = 1,
					    .class_code = { 1, 2, 3 } };
	uint8_t cap;
	struct err e;

	*d = (struct func){ .len = UINT64_C(256) << (4 * i), .at = PCI_NOWHERE };
	pci_func_init(&d->func, "test", &ids);
	VMM_BUG_ON(pci_msix_init(&d->msix, &d->func, 2, N_VECTORS, &f.vm, &e) < 0);
	pci_func_add_bar(&d->func, 0, d->len, &bar_ops, d);
	cap = pci_func_add_cap(&d->func, PCI_CAP_ID_VNDR, CAP_LEN);
	pci_func_add_reg(
		&d->func,
		&(struct pci_reg){ .off = (uint8_t)(cap + 4), .len = 4, .writable = 0x00ff00f0 });
	d->func.bar_moved = bar_moved;
	VMM_BUG_ON(pci_func_attach(&d->func, f.env.pci, &e) < 0);
}

static uint64_t next_address(struct input *in)
{
	static const uint64_t bases[] = { FAKE_BOARD_PCI32,
					  FAKE_BOARD_PCI64,
					  FAKE_BOARD_PCI32 + 16 * MIB - 4096,
					  FAKE_BOARD_PCI64 + GIB - 4096,
					  0,
					  FAKE_BOARD_ECAM,
					  FAKE_BOARD_MMIO,
					  UINT64_MAX - 4095 };

	return bases[next_u8(in) % ARRAY_SIZE(bases)] + 16ul * next_u16(in);
}

/* All four ways to a register, whatever the width and the place. */
static void config(struct input *in)
{
	unsigned int slot = next_below(in, 5), off = next_u8(in), size = 1u << next_below(in, 3);
	uint8_t how = next_u8(in);

	if (how & 4)
		off += 256; /* ECAM has 4096 bytes of each function */
	if (how & 8)
		fake_out(&f, PCI_CONFIG_ADDRESS, size, next_u32(in));
	else if ((how & 3) == 0)
		(void)fake_config_read(&f, slot, off, size);
	else if ((how & 3) == 1)
		fake_config_write(&f, slot, off, size, (uint32_t)next_number(in, 4));
	else if ((how & 3) == 2)
		(void)fake_cf8_read(&f, slot, off & 0xff, size);
	else
		fake_cf8_write(&f, slot, off & 0xff, size, (uint32_t)next_number(in, 4));
}

static void vector(struct input *in)
{
	unsigned int slot = 1 + next_below(in, N_FUNCS), n = next_below(in, N_VECTORS + 2);
	uint64_t at = fake_bar(&f, slot, 2) + PCI_MSIX_ENTRY_SIZE * n;

	fake_command(&f, slot, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	fake_write(&f, at, 4, next_number(in, 4));
	fake_write(&f, at + 4, 4, next_u8(in));
	fake_write(&f, at + 8, 4, next_number(in, 4));
	fake_write(&f, at + 12, 4, next_u8(in));
	fake_config_write(&f, slot, fake_find_cap(&f, slot, PCI_CAP_ID_MSIX, 0) + PCI_MSIX_FLAGS, 2,
			  (uint32_t)next_u8(in) << 8);
	pci_msix_fire(&funcs[slot - 1].msix, n % N_VECTORS);
	(void)fake_read(&f, at, 8);
	(void)fake_read(&f, at - PCI_MSIX_ENTRY_SIZE * n + PCI_MSIX_PBA_AT, 8);
}

/* Where a BAR is, there it answers. */
static void check_bar(const struct func *d)
{
	if (d->at != PCI_NOWHERE)
		FUZZ_CHECK(fake_read(&f, d->at, 4) == d->func.slot);
}

static void op(struct input *in)
{
	struct kvm_msi last;
	uint64_t at;

	switch (next_below(in, 9)) {
	case 0:
		at = next_address(in);
		fake_move_bar(&f, 1 + next_below(in, N_FUNCS), 2 * next_below(in, 3), at);
		break;
	case 1:
		fake_command(&f, next_below(in, N_FUNCS + 1), (uint16_t)next_number(in, 2));
		break;
	case 2:
		vector(in);
		break;
	case 3:
		pci_msix_fire(&funcs[next_below(in, N_FUNCS)].msix, next_below(in, N_VECTORS));
		break;
	case 4: /* of any length, wherever; across the edges of BARs */
		at = next_address(in) - 8 + next_u8(in) % 16;
		if (next_bool(in))
			fake_write(&f, at, 1 + next_u8(in) % 8, next_number(in, 8));
		else
			(void)fake_read(&f, at, 1 + next_u8(in) % 8);
		break;
	case 5:
		(void)fake_kvm_take_msis(&last);
		break;
	case 6:
		if (next_u8(in) < 0x20)
			pci_func_reset(&funcs[next_below(in, N_FUNCS)].func);
		break;
	default:
		config(in);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, data + size };
	uint8_t how = next_u8(&in);

	fake_kvm_init();
	fake_kvm.no_irqfd = how & 1;
	fake_kvm.no_signal_msi = how & 2;
	fake_kvm.no_routing = how & 4;
	fake_kvm.refused_msi = how & 8 ? 1 : 0;
	fake_board_init(&f, true);
	for (unsigned int i = 0; i < N_FUNCS; i++)
		create(&funcs[i], i);
	for (unsigned int n = 0; left(&in) > 0 && n < MAX_OPS; n++) {
		op(&in);
		for (unsigned int i = 0; i < N_FUNCS; i++)
			check_bar(&funcs[i]);
	}
	for (unsigned int i = 0; i < N_FUNCS; i++) {
		pci_func_detach(&funcs[i].func);
		pci_msix_fini(&funcs[i].msix);
	}
	fake_board_fini(&f);
	fake_kvm_fini();
	return 0;
}
