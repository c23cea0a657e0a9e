/*
 * virtio_mmio.c - a virtio device as a page of registers and an interrupt line.
 *
 * Life of a VM: made while the board is built; the guest learns of it from ACPI (LNRO0005) or from
 * its command line. vCPU threads read and write the registers; the device interrupts on any thread.
 *
 * Source: VIRTIO 1.2, 4.2 "Virtio Over MMIO": 4.2.2 the registers, 4.2.3 initialisation and
 * operation. Version 2 only.
 *
 * The line is edge-triggered: each interrupt is a pulse, whether or not the driver has acknowledged
 * the one before, so that none can get lost between its look at the status and its acknowledgement.
 *
 * Locks: as in virtio_pci.c, this transport's own is taken inside the device's, never outside.
 */
#include "virtio_notify.h"
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <stdlib.h>
#include <vmm/base/bug.h>
#include <vmm/base/bytes.h>
#include <vmm/base/util.h>
#include <vmm/bus/bus.h>
#include <vmm/dev/board.h>
#include <vmm/kvm/kvm_irq.h>
#include <vmm/virtio/virtio_mmio.h>

#define MAGIC 0x74726976u /* "virt" */
#define VERSION 2u
#define VENDOR 0x1af4u /* as over PCI; drivers may show it, and do nothing with it */

struct virtio_mmio {
	struct device dev;
	struct virtio_dev *v; /* owned */
	struct bus *mmio;
	uint64_t base;
	struct virtio_notify notify;

	pthread_mutex_t lock; /* guards what follows */
	struct kvm_irq_pin pin;
	uint32_t device_feature_select, driver_feature_select, queue_select;
	uint32_t interrupt_status; /* VIRTIO_MMIO_INT_* */
	bool direct; /* queues interrupt by the pin's eventfd, so that we do not hear of it */
};

static void lock(struct virtio_mmio *m)
{
	pthread_mutex_lock(&m->lock);
}

static void unlock(struct virtio_mmio *m)
{
	pthread_mutex_unlock(&m->lock);
}

/* Interrupts ------------------------------------------------------------------------------- */

static void interrupt(struct virtio_mmio *m, uint32_t why)
{
	lock(m);
	m->interrupt_status |= why;
	kvm_irq_pin_pulse(&m->pin);
	unlock(m);
}

static void queue_interrupt(void *arg, unsigned int qi)
{
	(void)qi;
	interrupt(arg, VIRTIO_MMIO_INT_VRING);
}

static void config_interrupt(void *arg)
{
	interrupt(arg, VIRTIO_MMIO_INT_CONFIG);
}

/* Who writes to it does not write the status: from now on that always says that a queue might have
 * interrupted, which a driver may hear too often (4.2.2.1, "Used Buffer Notification"). */
static int queue_interrupt_fd(void *arg, unsigned int qi)
{
	struct virtio_mmio *m = arg;
	int fd = -1;

	(void)qi;
	lock(m);
	if (m->pin.has_irqfd) {
		m->direct = true;
		fd = m->pin.fd;
	}
	unlock(m);
	return fd;
}

static const struct virtio_transport_ops transport_ops = {
	.queue_interrupt = queue_interrupt,
	.config_interrupt = config_interrupt,
	.queue_interrupt_fd = queue_interrupt_fd,
};

/* The transport's part of a reset of the device (2.4). */
static void forget_driver(struct virtio_mmio *m)
{
	lock(m);
	m->device_feature_select = m->driver_feature_select = m->queue_select = 0;
	m->interrupt_status = 0;
	m->direct = false;
	kvm_irq_pin_disconnect(&m->pin);
	unlock(m);
}

/* Registers (4.2.2) ------------------------------------------------------------------------ */

/* false: the register is none that virtio_dev keeps for each queue, or cannot be accessed so. */
static bool is_queue_reg(uint64_t off, bool write, enum virtio_queue_reg *reg)
{
	static const struct {
		uint16_t off;
		bool readable, writable;
		enum virtio_queue_reg reg;
	} regs[] = {
		{ VIRTIO_MMIO_QUEUE_NUM_MAX, true, false, VIRTIO_QUEUE_MAX_SIZE },
		{ VIRTIO_MMIO_QUEUE_NUM, false, true, VIRTIO_QUEUE_SIZE },
		{ VIRTIO_MMIO_QUEUE_READY, true, true, VIRTIO_QUEUE_ENABLE },
		{ VIRTIO_MMIO_QUEUE_DESC_LOW, false, true, VIRTIO_QUEUE_DESC_LOW },
		{ VIRTIO_MMIO_QUEUE_DESC_HIGH, false, true, VIRTIO_QUEUE_DESC_HIGH },
		{ VIRTIO_MMIO_QUEUE_AVAIL_LOW, false, true, VIRTIO_QUEUE_AVAIL_LOW },
		{ VIRTIO_MMIO_QUEUE_AVAIL_HIGH, false, true, VIRTIO_QUEUE_AVAIL_HIGH },
		{ VIRTIO_MMIO_QUEUE_USED_LOW, false, true, VIRTIO_QUEUE_USED_LOW },
		{ VIRTIO_MMIO_QUEUE_USED_HIGH, false, true, VIRTIO_QUEUE_USED_HIGH },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(regs); i++) {
		if (regs[i].off == off && (write ? regs[i].writable : regs[i].readable)) {
			*reg = regs[i].reg;
			return true;
		}
	}
	return false;
}

static uint32_t own(struct virtio_mmio *m, const uint32_t *what)
{
	uint32_t val;

	lock(m);
	val = *what;
	unlock(m);
	return val;
}

static uint32_t interrupt_status(struct virtio_mmio *m)
{
	uint32_t val;

	lock(m);
	val = m->interrupt_status | (m->direct ? VIRTIO_MMIO_INT_VRING : 0);
	unlock(m);
	return val;
}

/*
 * What can only be written, and what is not there, reads as all-ones. So do the registers of shared
 * memory regions, which 4.2.2 wants so where there is none.
 */
static uint32_t control_read(struct virtio_mmio *m, uint64_t off)
{
	enum virtio_queue_reg reg;

	if (is_queue_reg(off, false, &reg))
		return virtio_dev_queue_get(m->v, own(m, &m->queue_select), reg);
	switch (off) {
	case VIRTIO_MMIO_MAGIC_VALUE:
		return MAGIC;
	case VIRTIO_MMIO_VERSION:
		return VERSION;
	case VIRTIO_MMIO_DEVICE_ID:
		return m->v->ops->id;
	case VIRTIO_MMIO_VENDOR_ID:
		return VENDOR;
	case VIRTIO_MMIO_DEVICE_FEATURES:
		return virtio_dev_offered_features(m->v, own(m, &m->device_feature_select));
	case VIRTIO_MMIO_INTERRUPT_STATUS:
		return interrupt_status(m);
	case VIRTIO_MMIO_STATUS:
		return virtio_dev_status(m->v);
	case VIRTIO_MMIO_CONFIG_GENERATION:
		return virtio_dev_config_generation(m->v);
	default:
		return UINT32_MAX;
	}
}

static void write_status(struct virtio_mmio *m, uint32_t status)
{
	virtio_dev_set_status(m->v, (uint8_t)status);
	if ((uint8_t)status == 0)
		forget_driver(m);
	virtio_notify_status(&m->notify);
	if (!(virtio_dev_status(m->v) & VIRTIO_CONFIG_S_DRIVER_OK))
		return;
	lock(m);
	kvm_irq_pin_connect(&m->pin);
	unlock(m);
	virtio_dev_interrupts_changed(m->v);
}

static void own_write(struct virtio_mmio *m, uint64_t off, uint32_t val)
{
	lock(m);
	switch (off) {
	case VIRTIO_MMIO_DEVICE_FEATURES_SEL:
		m->device_feature_select = val;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES_SEL:
		m->driver_feature_select = val;
		break;
	case VIRTIO_MMIO_QUEUE_SEL:
		m->queue_select = val;
		break;
	case VIRTIO_MMIO_INTERRUPT_ACK:
		m->interrupt_status &= ~val;
		break;
	default: /* read-only, or not there */
		break;
	}
	unlock(m);
}

static void control_write(struct virtio_mmio *m, uint64_t off, uint32_t val)
{
	enum virtio_queue_reg reg;

	if (is_queue_reg(off, true, &reg))
		virtio_dev_queue_set(m->v, own(m, &m->queue_select), reg, val);
	else if (off == VIRTIO_MMIO_DRIVER_FEATURES)
		virtio_dev_set_driver_features(m->v, own(m, &m->driver_feature_select), val);
	else if (off == VIRTIO_MMIO_QUEUE_NOTIFY)
		virtio_dev_kick(m->v, val);
	else if (off == VIRTIO_MMIO_STATUS)
		write_status(m, val);
	else
		own_write(m, off, val);
}

/* 4.2.2.2: control registers are accessed by 32 bits; the configuration space by any width. */
static uint64_t regs_read(void *arg, uint64_t off, unsigned int size)
{
	struct virtio_mmio *m = arg;
	uint8_t bytes[4];

	if (off < VIRTIO_MMIO_CONFIG)
		return size == 4 ? control_read(m, off) : UINT32_MAX;
	virtio_dev_config_read(m->v, off - VIRTIO_MMIO_CONFIG, bytes, size);
	return size == 4 ? load_le32(bytes) : size == 2 ? load_le16(bytes) : bytes[0];
}

static void regs_write(void *arg, uint64_t off, unsigned int size, uint64_t val)
{
	struct virtio_mmio *m = arg;
	uint8_t bytes[4];

	if (off >= VIRTIO_MMIO_CONFIG) {
		store_le32(bytes, (uint32_t)val);
		virtio_dev_config_write(m->v, off - VIRTIO_MMIO_CONFIG, bytes, size);
	} else if (size == 4) {
		control_write(m, off, (uint32_t)val);
	}
}

static const struct bus_ops regs_ops = {
	.name = "virtio-mmio",
	.max_size = 4,
	.read = regs_read,
	.write = regs_write,
};

/* The device ------------------------------------------------------------------------------- */

static int virtio_mmio_start(struct device *d, struct err *e)
{
	return virtio_dev_start(container_of(d, struct virtio_mmio, dev)->v, e);
}

static void virtio_mmio_reset(struct device *d)
{
	struct virtio_mmio *m = container_of(d, struct virtio_mmio, dev);

	virtio_dev_reset(m->v);
	virtio_notify_stop(&m->notify);
	forget_driver(m);
}

static void virtio_mmio_counters(struct device *d, metric_fn fn, void *arg)
{
	virtio_dev_counters(container_of(d, struct virtio_mmio, dev)->v, fn, arg);
}

static void virtio_mmio_destroy(struct device *d)
{
	struct virtio_mmio *m = container_of(d, struct virtio_mmio, dev);

	virtio_notify_stop(&m->notify);
	bus_unmap(m->mmio, m->base);
	virtio_dev_attach(m->v, NULL, NULL); /* what still ends tells nobody */
	virtio_dev_destroy(m->v);
	virtio_notify_fini(&m->notify);
	kvm_irq_pin_fini(&m->pin);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

static const struct device_ops virtio_mmio_ops = {
	.type = "virtio-mmio",
	.start = virtio_mmio_start,
	.reset = virtio_mmio_reset,
	.counters = virtio_mmio_counters,
	.destroy = virtio_mmio_destroy,
};

int virtio_mmio_create(struct device **out, const struct device_env *env, struct virtio_dev *v,
		       unsigned int slot, struct err *e)
{
	const struct board *b = env->board;
	struct virtio_mmio *m = calloc(1, sizeof(*m));

	VMM_BUG_ON(slot >= b->n_mmio_slots || slot >= BOARD_MAX_MMIO_SLOTS);
	VMM_BUG_ON(v->config_len > b->mmio_stride - VIRTIO_MMIO_CONFIG);
	if (!m)
		return err_set(e, -ENOMEM, "%s: out of memory", v->name);
	m->dev = (struct device){ .ops = &virtio_mmio_ops, .name = v->name, .type = v->ops->type };
	m->v = v;
	m->mmio = env->mmio;
	m->base = board_mmio_slot(b, slot);
	pthread_mutex_init(&m->lock, NULL);
	virtio_notify_init(&m->notify, v, env->vm, 0);
	if (kvm_irq_pin_init(&m->pin, env->vm, b->mmio_gsi[slot], e) < 0 ||
	    bus_map(m->mmio, m->base, b->mmio_stride, &regs_ops, m, e) < 0) {
		kvm_irq_pin_fini(&m->pin);
		virtio_notify_fini(&m->notify);
		pthread_mutex_destroy(&m->lock);
		free(m);
		return err_wrap(e, "%s", v->name);
	}
	virtio_notify_move(&m->notify, m->base + VIRTIO_MMIO_QUEUE_NOTIFY);
	virtio_dev_attach(v, &transport_ops, m);
	*out = &m->dev;
	return 0;
}
