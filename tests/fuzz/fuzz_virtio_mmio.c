/*
 * fuzz_virtio_mmio.c - the registers of src/virtio/virtio_mmio.c, at every width.
 */
#include "registers.h"
#include <linux/virtio_mmio.h>
#include <vmm/virtio/virtio_mmio.h>

#define SLOT 2u

static uint64_t base(void)
{
	return board_mmio_slot(&f.board, SLOT);
}

static void put(unsigned int off, uint32_t val)
{
	fake_write(&f, base() + off, 4, val);
}

static int t_create(struct virtio_dev *v, struct err *e)
{
	return virtio_mmio_create(&dev, &f.env, v, SLOT, e);
}

static void t_find(void)
{
	FUZZ_CHECK(fake_read(&f, base(), 4) == 0x74726976);
}

/* Nearly always at a multiple of 4. */
static uint64_t t_somewhere(struct input *in)
{
	uint8_t how = next_u8(in);

	return base() + (how < 0xe0 ? 4ul * (how % 80) : next_u16(in) % 4112);
}

static void t_special(struct input *in)
{
	/* A queue's registers, one after the other. */
	put(VIRTIO_MMIO_QUEUE_SEL, (uint32_t)next_number(in, 4));
	put(VIRTIO_MMIO_QUEUE_NUM, (uint32_t)next_number(in, 4));
	t_set_rings(next_number(in, 8), next_number(in, 8), next_number(in, 8));
	put(VIRTIO_MMIO_QUEUE_READY, next_u8(in));
	put(VIRTIO_MMIO_INTERRUPT_ACK, next_u8(in));
}

static void t_set_status(uint8_t status)
{
	put(VIRTIO_MMIO_STATUS, status);
}

static uint8_t t_status(void)
{
	return (uint8_t)fake_read(&f, base() + VIRTIO_MMIO_STATUS, 4);
}

static void t_set_features(uint32_t word, uint32_t bits)
{
	put(VIRTIO_MMIO_DEVICE_FEATURES_SEL, word);
	bits &= (uint32_t)fake_read(&f, base() + VIRTIO_MMIO_DEVICE_FEATURES, 4);
	put(VIRTIO_MMIO_DRIVER_FEATURES_SEL, word);
	put(VIRTIO_MMIO_DRIVER_FEATURES, bits);
}

static void t_select(uint32_t qi)
{
	put(VIRTIO_MMIO_QUEUE_SEL, qi);
}

static void t_set_rings(uint64_t desc, uint64_t avail, uint64_t used)
{
	put(VIRTIO_MMIO_QUEUE_DESC_LOW, (uint32_t)desc);
	put(VIRTIO_MMIO_QUEUE_DESC_HIGH, (uint32_t)(desc >> 32));
	put(VIRTIO_MMIO_QUEUE_AVAIL_LOW, (uint32_t)avail);
	put(VIRTIO_MMIO_QUEUE_AVAIL_HIGH, (uint32_t)(avail >> 32));
	put(VIRTIO_MMIO_QUEUE_USED_LOW, (uint32_t)used);
	put(VIRTIO_MMIO_QUEUE_USED_HIGH, (uint32_t)(used >> 32));
}

static void t_enable(void)
{
	put(VIRTIO_MMIO_QUEUE_READY, 1);
}

static uint64_t t_notify_at(unsigned int qi)
{
	(void)qi;
	return base() + VIRTIO_MMIO_QUEUE_NOTIFY;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, data + size };

	play(&in);
	return 0;
}
