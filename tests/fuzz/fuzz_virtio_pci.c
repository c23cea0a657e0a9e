/*
 * fuzz_virtio_pci.c - the registers of src/virtio/virtio_pci.c: four areas of a BAR, the way to
 * them by configuration space, vectors, and BARs that move while queues run.
 */
#include "registers.h"
#include <linux/pci_regs.h>
#include <linux/virtio_pci.h>
#include <vmm/pci/pci_msix.h>
#include <vmm/virtio/virtio_pci.h>

#define SLOT 1u
#define REGS_BAR 0u
#define MSIX_BAR 2u
#define REGS_LEN 0x4000u

static uint64_t common, notifications, isr, vectors;
static unsigned int window; /* the capability that is a way to the BAR */
static uint32_t multiplier;

static int t_create(struct virtio_dev *v, struct err *e)
{
	return virtio_pci_create(&dev, &f.env, v, e);
}

static uint32_t cfg(unsigned int off, unsigned int size)
{
	return fake_config_read(&f, SLOT, off, size);
}

static void t_find(void)
{
	unsigned int cap;

	for (unsigned int n = 0; (cap = fake_find_cap(&f, SLOT, PCI_CAP_ID_VNDR, n)) != 0; n++) {
		uint64_t at = fake_bar(&f, SLOT, cfg(cap + VIRTIO_PCI_CAP_BAR, 1)) +
			      cfg(cap + VIRTIO_PCI_CAP_OFFSET, 4);
		uint32_t type = cfg(cap + VIRTIO_PCI_CAP_CFG_TYPE, 1);

		if (type == VIRTIO_PCI_CAP_COMMON_CFG) {
			common = at;
		} else if (type == VIRTIO_PCI_CAP_NOTIFY_CFG) {
			notifications = at;
			multiplier = cfg(cap + VIRTIO_PCI_NOTIFY_CAP_MULT, 4);
		} else if (type == VIRTIO_PCI_CAP_ISR_CFG) {
			isr = at;
		} else if (type == VIRTIO_PCI_CAP_PCI_CFG) {
			window = cap;
		}
	}
	vectors = fake_bar(&f, SLOT, MSIX_BAR);
	FUZZ_CHECK(common && notifications && window);
	fake_command(&f, SLOT, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

static uint64_t t_somewhere(struct input *in)
{
	uint8_t how = next_u8(in);

	if (how < 0x80)
		return common + how % 64;
	if (how < 0xa0)
		return vectors + 4ul * (how & 0x1f);
	if (how < 0xa4)
		return isr;
	if (how < 0xb0)
		return FAKE_BOARD_ECAM + SLOT * 0x8000ul + next_u8(in);
	if (how < 0xc0)
		return vectors + next_u16(in) % 4112;
	return fake_bar(&f, SLOT, REGS_BAR) + next_u16(in) % (REGS_LEN + 16);
}

/* VIRTIO 1.2, 4.1.4.9: any bar, offset and length, then the data. */
static void through_window(struct input *in)
{
	unsigned int size = 1u << next_below(in, 4);

	fake_config_write(&f, SLOT, window + VIRTIO_PCI_CAP_BAR, 1, next_u8(in) % 8);
	fake_config_write(&f, SLOT, window + VIRTIO_PCI_CAP_OFFSET, 4,
			  (uint32_t)next_number(in, 4));
	fake_config_write(&f, SLOT, window + VIRTIO_PCI_CAP_LENGTH, 4,
			  (uint32_t)next_number(in, 4));
	if (next_bool(in))
		fake_config_write(&f, SLOT, window + sizeof(struct virtio_pci_cap), size,
				  (uint32_t)next_number(in, 4));
	else
		(void)cfg(window + sizeof(struct virtio_pci_cap), size);
}

static void set_vector(struct input *in)
{
	unsigned int n = next_below(in, 5);
	uint64_t at = vectors + PCI_MSIX_TABLE_AT + PCI_MSIX_ENTRY_SIZE * n;

	fake_write(&f, at, 4, 0xfee00000);
	fake_write(&f, at + 4, 4, next_bool(in));
	fake_write(&f, at + 8, 4, 0x4000 + n);
	fake_write(&f, at + 12, 4, next_bool(in));
	fake_write(&f, common + VIRTIO_PCI_COMMON_Q_SELECT, 2, n);
	fake_write(&f, common + VIRTIO_PCI_COMMON_Q_MSIX, 2, n);
	fake_write(&f, common + VIRTIO_PCI_COMMON_MSIX, 2, next_number(in, 2));
}

static void t_special(struct input *in)
{
	unsigned int msix;

	switch (next_below(in, 5)) {
	case 0:
		through_window(in);
		break;
	case 1:
		set_vector(in);
		break;
	case 2:
		msix = fake_find_cap(&f, SLOT, PCI_CAP_ID_MSIX, 0);
		fake_config_write(&f, SLOT, msix + PCI_MSIX_FLAGS, 2,
				  next_u16(in) | (uint32_t)next_bool(in) << 15);
		break;
	case 3:
		fake_command(&f, SLOT, (uint16_t)next_number(in, 2));
		break;
	case 4:
		fake_move_bar(&f, SLOT, next_bool(in) ? REGS_BAR : MSIX_BAR,
			      next_bool(in) ? FAKE_BOARD_PCI32 + 0x1000ul * next_u8(in)
					    : FAKE_BOARD_PCI64 + 0x1000ul * next_u8(in));
		break;
	}
}

static void put(unsigned int off, unsigned int size, uint32_t val)
{
	fake_write(&f, common + off, size, val);
}

static void t_set_status(uint8_t status)
{
	put(VIRTIO_PCI_COMMON_STATUS, 1, status);
}

static uint8_t t_status(void)
{
	return (uint8_t)fake_read(&f, common + VIRTIO_PCI_COMMON_STATUS, 1);
}

static void t_set_features(uint32_t word, uint32_t bits)
{
	put(VIRTIO_PCI_COMMON_DFSELECT, 4, word);
	bits &= (uint32_t)fake_read(&f, common + VIRTIO_PCI_COMMON_DF, 4);
	put(VIRTIO_PCI_COMMON_GFSELECT, 4, word);
	put(VIRTIO_PCI_COMMON_GF, 4, bits);
}

static void t_select(uint32_t qi)
{
	put(VIRTIO_PCI_COMMON_Q_SELECT, 2, qi);
}

static void t_set_rings(uint64_t desc, uint64_t avail, uint64_t used)
{
	fake_write(&f, common + VIRTIO_PCI_COMMON_Q_DESCLO, 8, desc);
	fake_write(&f, common + VIRTIO_PCI_COMMON_Q_AVAILLO, 8, avail);
	fake_write(&f, common + VIRTIO_PCI_COMMON_Q_USEDLO, 8, used);
}

static void t_enable(void)
{
	put(VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
}

static uint64_t t_notify_at(unsigned int qi)
{
	return notifications + (uint64_t)qi * multiplier;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, data + size };

	play(&in);
	return 0;
}
