/*
 * registers.h - the program that both targets of virtio transports play: a driver at registers.
 *
 * fuzz_virtio_pci.c and fuzz_virtio_mmio.c define the functions declared first. The device is
 * fake_echo; the input decides what this KVM can do, too.
 */
#ifndef TESTS_FUZZ_REGISTERS_H
#define TESTS_FUZZ_REGISTERS_H
#include "fake_board.h"
#include "fake_echo.h"
#include "fuzz.h"
#include "loop.h"
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <unistd.h>
#include <vmm/kvm/kvm_irq.h>

#define MAX_OPS 400u
#define RINGS UINT64_C(0x10000) /* of queue 0; of the others 16 KiB further each */
#define DATA UINT64_C(0x8000)

static struct fake_board f;
static struct fake_echo *echo;
static struct device *dev;
static uint16_t avail_idx; /* of queue 0 */

static int t_create(struct virtio_dev *v, struct err *e);
static void t_find(void); /* after power-on */
/* An address at which there is something of this transport, or nearly so. */
static uint64_t t_somewhere(struct input *in);
/* Something that only this transport has. */
static void t_special(struct input *in);
static void t_set_status(uint8_t status);
static uint8_t t_status(void);
static void t_set_features(uint32_t word, uint32_t bits);
static void t_select(uint32_t qi);
static void t_set_rings(uint64_t desc, uint64_t avail, uint64_t used);
static void t_enable(void);
static uint64_t t_notify_at(unsigned int qi);

static inline uint64_t rings(unsigned int qi)
{
	return RINGS + qi * UINT64_C(0x4000);
}

/* As far as the device goes along: whoever wants to know asks for the status. */
static inline void drive(uint64_t features, unsigned int queues)
{
	t_set_status(0);
	t_set_status(1);
	t_set_status(3);
	t_set_features(0, (uint32_t)features);
	t_set_features(1, (uint32_t)(features >> 32) | 1);
	t_set_status(11);
	for (unsigned int qi = 0; qi < FAKE_ECHO_QUEUES; qi++) {
		if (!(queues >> qi & 1))
			continue;
		t_select(qi);
		t_set_rings(rings(qi), rings(qi) + 0x1000, rings(qi) + 0x2000);
		t_enable();
	}
	t_set_status(15);
}

/* As the CPU would: KVM's, if it has that address, else an exit. */
static inline void notify(unsigned int qi)
{
	const uint64_t one = 1;
	int fd = fake_kvm_find_ioeventfd(t_notify_at(qi), 2, qi);

	if (fd < 0)
		fd = fake_kvm_find_ioeventfd(t_notify_at(qi), 4, qi);
	if (fd >= 0)
		FUZZ_CHECK(write(fd, &one, sizeof(one)) == sizeof(one));
	else
		fake_write(&f, t_notify_at(qi), 2, qi);
}

/* "hello" for queue 0, and a place for the answer. */
static inline void publish(void)
{
	const struct vring_desc d[2] = {
		{ .addr = DATA, .len = 5, .flags = VRING_DESC_F_NEXT, .next = 1 },
		{ .addr = DATA + 16, .len = 16, .flags = VRING_DESC_F_WRITE },
	};
	uint64_t at = rings(0);

	gmem_write(f.mem, DATA, "hello", 5);
	gmem_write(f.mem, at, d, sizeof(d));
	gmem_store_le16(f.mem, at + 0x1004 + 2ul * (avail_idx % FAKE_ECHO_QUEUE_SIZE), 0);
	gmem_store_le16(f.mem, at + 0x1002, ++avail_idx);
}

static inline void access_register(struct input *in)
{
	uint64_t at = t_somewhere(in);
	unsigned int size = 1u << next_below(in, 4);
	uint8_t how = next_u8(in);

	if (how & 1)
		fake_write(&f, at, size, next_number(in, size));
	else
		(void)fake_read(&f, at, size);
}

static inline void power_cycle(void)
{
	struct err e;

	if (f.vm.fd < 0)
		fake_board_power_on(&f);
	dev->ops->reset(dev);
	f.bridge->ops->reset(f.bridge);
	fake_kvm.routing_error = 0; /* a host that refuses this ends the VM */
	VMM_BUG_ON(kvm_irq_reset(&f.vm, &e) < 0);
	fake_kvm_check_irqs_are_reset();
	VMM_BUG_ON(fake_kvm_irqs().n_mistakes > 0);
	VMM_BUG_ON(gmem_clear(f.mem, &e) < 0);
	avail_idx = 0;
	t_find();
}

static inline void op(struct input *in)
{
	struct kvm_msi last;

	switch (next_below(in, 14)) {
	case 0:
		drive(next_bool(in) ? UINT64_MAX : 0, next_u8(in));
		break;
	case 1:
		drive(1 << 3, 1);
		publish();
		notify(0);
		break;
	case 2:
		publish();
		break;
	case 3:
		notify(next_below(in, 5));
		break;
	case 4:
		loop_turn(f.loop);
		break;
	case 5:
		power_cycle();
		break;
	case 6:
		(void)fake_kvm_take_msis(&last);
		break;
	case 7:
		t_special(in);
		break;
	case 8: /* a host that has run out of something */
		fake_kvm.routing_error = next_bool(in) ? EINVAL : 0;
		fake_kvm.ioeventfd_error = next_bool(in) ? ENOSPC : 0;
		fake_kvm.irqfd_error = next_bool(in) ? ENOMEM : 0;
		break;
	case 9:
		t_set_status((uint8_t)next_number(in, 1));
		break;
	case 10: /* an index that jumps breaks the queue: an interrupt for the configuration */
		drive(0, 1);
		gmem_store_le16(f.mem, rings(0) + 0x1002, next_u16(in));
		notify(0);
		loop_turn(f.loop);
		break;
	default:
		access_register(in);
		break;
	}
}

static inline void works(void)
{
	char got[6] = "";

	fake_kvm.routing_error = fake_kvm.ioeventfd_error = fake_kvm.irqfd_error = 0;
	power_cycle();
	FUZZ_CHECK(t_status() == 0);
	drive(0, 1);
	FUZZ_CHECK(t_status() == 15);
	publish();
	notify(0);
	fake_idle(&f);
	FUZZ_CHECK(gmem_read(f.mem, DATA + 16, got, 5) && strcmp(got, "hello") == 0);
}

static inline void play(struct input *in)
{
	uint8_t how = next_u8(in);
	struct err e;

	fake_kvm_init();
	fake_kvm.no_irqfd = how & 1;
	fake_kvm.no_ioeventfd = how & 2;
	fake_kvm.no_any_length = how & 4;
	fake_kvm.no_signal_msi = how & 8;
	fake_kvm.no_routing = how & 16;
	fake_kvm.refused_msi = how & 32 ? 1 : 0;
	fake_board_init(&f, true);
	echo = fake_echo_create(&f.env);
	VMM_BUG_ON(t_create(&echo->v, &e) < 0);
	avail_idx = 0;
	t_find();
	for (unsigned int n = 0; left(in) > 0 && n < MAX_OPS; n++)
		op(in);
	works();
	dev->ops->destroy(dev);
	fake_board_fini(&f);
	fake_kvm_fini();
	FUZZ_CHECK(fake_echo_n_alive == 0);
}

#endif
