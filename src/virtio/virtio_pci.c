/*
 * virtio_pci.c - a virtio device as a PCI function.
 *
 * Life of a VM: made while the board is built, after the host bridge. The guest's driver finds the
 * function, its capabilities and through them the registers, which are in BAR 0; vCPU threads read
 * and write those. The device sends interrupts on any thread.
 *
 * Source: VIRTIO 1.2, 4.1 "Virtio Over PCI Bus": 4.1.2 ids, 4.1.3.1 widths of accesses, 4.1.4 the
 * capabilities and what they lead to, 4.1.5 initialisation and operation.
 *
 * Locks: the device's (virtio_dev) is taken by the functions of virtio_dev.h, never with this
 * transport's own held; the transport's own is taken inside the device's when the device
 * interrupts. The registers never take the PCI host's lock: see pci_host.h.
 */
#include "virtio_notify.h"
#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/virtio_pci.h>
#include <stdlib.h>
#include <vmm/base/bug.h>
#include <vmm/base/bytes.h>
#include <vmm/base/util.h>
#include <vmm/pci/pci_func.h>
#include <vmm/pci/pci_msix.h>
#include <vmm/virtio/virtio_pci.h>

#define VENDOR 0x1af4 /* 4.1.2 */
#define DEVICE_BASE 0x1040
#define REVISION 1 /* 4.1.2.1: 1 or higher when the device is not transitional */

#define REGS_BAR 0
#define MSIX_BAR 2

/* BAR 0: a page for each area, so that a driver or a user space can map each alone. */
#define AREA_LEN UINT64_C(4096)
enum area { AREA_COMMON, AREA_ISR, AREA_DEVICE, AREA_NOTIFY, N_AREAS };
#define COMMON_LEN                                                                                 \
	56u /* 4.1.4.3 up to queue_device: what follows belongs to features not offered */
#define NOTIFY_MULTIPLIER 4u

#define ISR_QUEUE 1u /* 4.1.4.5 */
#define ISR_CONFIG 2u

struct virtio_pci {
	struct device dev;
	struct virtio_dev *v; /* owned */
	struct pci_func func;
	struct pci_msix msix;
	struct virtio_notify notify;
	uint8_t cfg_cap; /* offset of VIRTIO_PCI_CAP_PCI_CFG */

	pthread_mutex_t lock; /* guards what follows */
	uint32_t device_feature_select, driver_feature_select;
	uint16_t queue_select;
	uint16_t config_vector;
	uint16_t queue_vector[VIRTIO_DEV_MAX_QUEUES];
	uint8_t isr;
};

static void lock(struct virtio_pci *p)
{
	pthread_mutex_lock(&p->lock);
}

static void unlock(struct virtio_pci *p)
{
	pthread_mutex_unlock(&p->lock);
}

/* Interrupts ------------------------------------------------------------------------------- */

/* 4.1.4.5.1: the queue bit is for drivers without MSI-X. */
static void queue_interrupt(void *arg, unsigned int qi)
{
	struct virtio_pci *p = arg;
	bool msix = pci_msix_enabled(&p->msix);
	uint16_t vector;

	lock(p);
	vector = p->queue_vector[qi];
	if (!msix)
		p->isr |= ISR_QUEUE;
	unlock(p);
	if (vector != VIRTIO_MSI_NO_VECTOR)
		pci_msix_fire(&p->msix, vector);
}

static void config_interrupt(void *arg)
{
	struct virtio_pci *p = arg;
	uint16_t vector;

	lock(p);
	vector = p->config_vector;
	p->isr |= ISR_CONFIG;
	unlock(p);
	if (vector != VIRTIO_MSI_NO_VECTOR)
		pci_msix_fire(&p->msix, vector);
}

/* Without MSI-X, or a vector, the ISR has to be written, too. */
static int queue_interrupt_fd(void *arg, unsigned int qi)
{
	struct virtio_pci *p = arg;
	uint16_t vector;

	lock(p);
	vector = p->queue_vector[qi];
	unlock(p);
	return vector == VIRTIO_MSI_NO_VECTOR ? -1 : pci_msix_fd(&p->msix, vector);
}

static void fds_changed(struct pci_msix *x)
{
	virtio_dev_interrupts_changed(container_of(x, struct virtio_pci, msix)->v);
}

static const struct virtio_transport_ops transport_ops = {
	.queue_interrupt = queue_interrupt,
	.config_interrupt = config_interrupt,
	.queue_interrupt_fd = queue_interrupt_fd,
};

/* 4.1.5.1.2: a vector that there is not reads back as NO_VECTOR. */
static uint16_t checked_vector(const struct virtio_pci *p, uint32_t vector)
{
	return vector < p->msix.n_vectors ? (uint16_t)vector : VIRTIO_MSI_NO_VECTOR;
}

/* The transport's part of a reset of the device (2.4); PCI's registers keep what they hold. */
static void forget_driver(struct virtio_pci *p)
{
	lock(p);
	p->device_feature_select = p->driver_feature_select = 0;
	p->queue_select = 0;
	p->config_vector = VIRTIO_MSI_NO_VECTOR;
	for (unsigned int i = 0; i < VIRTIO_DEV_MAX_QUEUES; i++)
		p->queue_vector[i] = VIRTIO_MSI_NO_VECTOR;
	p->isr = 0;
	unlock(p);
}

/* Common configuration (4.1.4.3) ----------------------------------------------------------- */

/* Bytes of the field at each offset; 0: none begins there. 64-bit fields are two of 32 (4.1.3.1).
 */
static const uint8_t common_width[COMMON_LEN] = {
	[VIRTIO_PCI_COMMON_DFSELECT] = 4,  [VIRTIO_PCI_COMMON_DF] = 4,
	[VIRTIO_PCI_COMMON_GFSELECT] = 4,  [VIRTIO_PCI_COMMON_GF] = 4,
	[VIRTIO_PCI_COMMON_MSIX] = 2,      [VIRTIO_PCI_COMMON_NUMQ] = 2,
	[VIRTIO_PCI_COMMON_STATUS] = 1,    [VIRTIO_PCI_COMMON_CFGGENERATION] = 1,
	[VIRTIO_PCI_COMMON_Q_SELECT] = 2,  [VIRTIO_PCI_COMMON_Q_SIZE] = 2,
	[VIRTIO_PCI_COMMON_Q_MSIX] = 2,    [VIRTIO_PCI_COMMON_Q_ENABLE] = 2,
	[VIRTIO_PCI_COMMON_Q_NOFF] = 2,    [VIRTIO_PCI_COMMON_Q_DESCLO] = 4,
	[VIRTIO_PCI_COMMON_Q_DESCHI] = 4,  [VIRTIO_PCI_COMMON_Q_AVAILLO] = 4,
	[VIRTIO_PCI_COMMON_Q_AVAILHI] = 4, [VIRTIO_PCI_COMMON_Q_USEDLO] = 4,
	[VIRTIO_PCI_COMMON_Q_USEDHI] = 4,
};

/* false: the register is none that virtio_dev keeps for each queue. */
static bool is_queue_reg(uint64_t off, enum virtio_queue_reg *reg)
{
	static const struct {
		uint8_t off;
		enum virtio_queue_reg reg;
	} regs[] = {
		{ VIRTIO_PCI_COMMON_Q_SIZE, VIRTIO_QUEUE_SIZE },
		{ VIRTIO_PCI_COMMON_Q_ENABLE, VIRTIO_QUEUE_ENABLE },
		{ VIRTIO_PCI_COMMON_Q_DESCLO, VIRTIO_QUEUE_DESC_LOW },
		{ VIRTIO_PCI_COMMON_Q_DESCHI, VIRTIO_QUEUE_DESC_HIGH },
		{ VIRTIO_PCI_COMMON_Q_AVAILLO, VIRTIO_QUEUE_AVAIL_LOW },
		{ VIRTIO_PCI_COMMON_Q_AVAILHI, VIRTIO_QUEUE_AVAIL_HIGH },
		{ VIRTIO_PCI_COMMON_Q_USEDLO, VIRTIO_QUEUE_USED_LOW },
		{ VIRTIO_PCI_COMMON_Q_USEDHI, VIRTIO_QUEUE_USED_HIGH },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(regs); i++) {
		if (regs[i].off == off) {
			*reg = regs[i].reg;
			return true;
		}
	}
	return false;
}

/* The registers that this transport keeps itself. */
static uint32_t own_read(struct virtio_pci *p, uint64_t off)
{
	uint32_t val = UINT32_MAX;

	lock(p);
	switch (off) {
	case VIRTIO_PCI_COMMON_DFSELECT:
		val = p->device_feature_select;
		break;
	case VIRTIO_PCI_COMMON_GFSELECT:
		val = p->driver_feature_select;
		break;
	case VIRTIO_PCI_COMMON_MSIX:
		val = p->config_vector;
		break;
	case VIRTIO_PCI_COMMON_Q_SELECT:
		val = p->queue_select;
		break;
	case VIRTIO_PCI_COMMON_Q_MSIX:
		val = p->queue_select < p->v->n_queues ? p->queue_vector[p->queue_select]
						       : VIRTIO_MSI_NO_VECTOR;
		break;
	case VIRTIO_PCI_COMMON_Q_NOFF: /* 4.1.4.3: a queue that is not there has size 0 */
		val = p->queue_select < p->v->n_queues ? p->queue_select : 0;
		break;
	default:
		break;
	}
	unlock(p);
	return val;
}

static uint64_t common_read(struct virtio_pci *p, uint64_t off, unsigned int size)
{
	enum virtio_queue_reg reg;

	if (off >= COMMON_LEN || common_width[off] != size)
		return UINT64_MAX;
	if (is_queue_reg(off, &reg))
		return virtio_dev_queue_get(p->v, own_read(p, VIRTIO_PCI_COMMON_Q_SELECT), reg);
	switch (off) {
	case VIRTIO_PCI_COMMON_DF:
		return virtio_dev_offered_features(p->v, own_read(p, VIRTIO_PCI_COMMON_DFSELECT));
	case VIRTIO_PCI_COMMON_GF:
		return virtio_dev_driver_features(p->v, own_read(p, VIRTIO_PCI_COMMON_GFSELECT));
	case VIRTIO_PCI_COMMON_NUMQ:
		return p->v->n_queues;
	case VIRTIO_PCI_COMMON_STATUS:
		return virtio_dev_status(p->v);
	case VIRTIO_PCI_COMMON_CFGGENERATION:
		return virtio_dev_config_generation(p->v);
	default:
		return own_read(p, off);
	}
}

static void own_write(struct virtio_pci *p, uint64_t off, uint32_t val)
{
	lock(p);
	switch (off) {
	case VIRTIO_PCI_COMMON_DFSELECT:
		p->device_feature_select = val;
		break;
	case VIRTIO_PCI_COMMON_GFSELECT:
		p->driver_feature_select = val;
		break;
	case VIRTIO_PCI_COMMON_MSIX:
		p->config_vector = checked_vector(p, val);
		break;
	case VIRTIO_PCI_COMMON_Q_SELECT:
		p->queue_select = (uint16_t)val;
		break;
	case VIRTIO_PCI_COMMON_Q_MSIX:
		if (p->queue_select < p->v->n_queues)
			p->queue_vector[p->queue_select] = checked_vector(p, val);
		break;
	default: /* read-only */
		break;
	}
	unlock(p);
	if (off == VIRTIO_PCI_COMMON_Q_MSIX)
		virtio_dev_interrupts_changed(p->v);
}

static void write_status(struct virtio_pci *p, uint8_t status)
{
	virtio_dev_set_status(p->v, status);
	if (status == 0)
		forget_driver(p);
	virtio_notify_status(&p->notify);
}

static void common_write(struct virtio_pci *p, uint64_t off, unsigned int size, uint32_t val)
{
	enum virtio_queue_reg reg;

	if (off >= COMMON_LEN || common_width[off] != size)
		return;
	if (is_queue_reg(off, &reg))
		virtio_dev_queue_set(p->v, own_read(p, VIRTIO_PCI_COMMON_Q_SELECT), reg, val);
	else if (off == VIRTIO_PCI_COMMON_GF)
		virtio_dev_set_driver_features(p->v, own_read(p, VIRTIO_PCI_COMMON_GFSELECT), val);
	else if (off == VIRTIO_PCI_COMMON_STATUS)
		write_status(p, (uint8_t)val);
	else
		own_write(p, off, val);
}

/* The other areas, and BAR 0 as a whole ---------------------------------------------------- */

static uint64_t isr_read(struct virtio_pci *p, uint64_t off, unsigned int size)
{
	uint8_t isr;

	if (off != 0 || size != 1)
		return UINT64_MAX;
	lock(p);
	isr = p->isr;
	p->isr = 0; /* 4.1.4.5.1 */
	unlock(p);
	return isr;
}

static uint64_t device_read(struct virtio_pci *p, uint64_t off, unsigned int size)
{
	uint8_t bytes[4];

	virtio_dev_config_read(p->v, off, bytes, size);
	return size == 4 ? load_le32(bytes) : size == 2 ? load_le16(bytes) : bytes[0];
}

static void device_write(struct virtio_pci *p, uint64_t off, unsigned int size, uint32_t val)
{
	uint8_t bytes[4];

	store_le32(bytes, val);
	virtio_dev_config_write(p->v, off, bytes, size);
}

/* 4.1.4.4: the address says which queue; what is written does not matter, as with an ioeventfd. */
static void notify_write(struct virtio_pci *p, uint64_t off)
{
	if (off % NOTIFY_MULTIPLIER == 0 && off / NOTIFY_MULTIPLIER < p->v->n_queues)
		virtio_dev_kick(p->v, (unsigned int)(off / NOTIFY_MULTIPLIER));
}

static uint64_t regs_read(void *arg, uint64_t off, unsigned int size)
{
	struct virtio_pci *p = arg;

	switch ((enum area)(off / AREA_LEN)) {
	case AREA_COMMON:
		return common_read(p, off, size);
	case AREA_ISR:
		return isr_read(p, off % AREA_LEN, size);
	case AREA_DEVICE:
		return device_read(p, off % AREA_LEN, size);
	case AREA_NOTIFY:
	case N_AREAS:
		break;
	}
	return UINT64_MAX;
}

static void regs_write(void *arg, uint64_t off, unsigned int size, uint64_t val)
{
	struct virtio_pci *p = arg;

	switch ((enum area)(off / AREA_LEN)) {
	case AREA_COMMON:
		common_write(p, off, size, (uint32_t)val);
		break;
	case AREA_DEVICE:
		device_write(p, off % AREA_LEN, size, (uint32_t)val);
		break;
	case AREA_NOTIFY:
		notify_write(p, off % AREA_LEN);
		break;
	case AREA_ISR:
	case N_AREAS:
		break;
	}
}

static const struct bus_ops regs_ops = {
	.name = "virtio-pci",
	.max_size = 4, /* 4.1.3.1: no access is wider */
	.read = regs_read,
	.write = regs_write,
};

static void bar_moved(struct pci_func *f, unsigned int bar, uint64_t at)
{
	struct virtio_pci *p = container_of(f, struct virtio_pci, func);

	if (bar != REGS_BAR)
		return;
	virtio_notify_move(&p->notify,
			   at == PCI_NOWHERE ? VIRTIO_NOTIFY_NOWHERE : at + AREA_NOTIFY * AREA_LEN);
}

/* PCI Express Base 5.0, 7.5.1.1.3: without it a function neither reads nor writes memory. */
static void master_set(struct pci_func *f, bool on)
{
	virtio_dev_allow_dma(container_of(f, struct virtio_pci, func)->v, on);
}

/* Configuration space (4.1.4) -------------------------------------------------------------- */

/*
 * 4.1.4.9: a window through which a driver that cannot map BARs reaches the registers: reading or
 * writing pci_cfg_data does the same with the register that bar, offset and length name.
 */
static bool cfg_window(const struct virtio_pci *p, uint32_t *off, unsigned int *size)
{
	const uint8_t *cap = p->func.config + p->cfg_cap;

	*off = load_le32(cap + offsetof(struct virtio_pci_cap, offset));
	*size = load_le32(cap + offsetof(struct virtio_pci_cap, length));
	return *size == 1 || *size == 2 || *size == 4;
}

static void cfg_data_reading(struct pci_func *f)
{
	struct virtio_pci *p = container_of(f, struct virtio_pci, func);
	uint8_t *cap = f->config + p->cfg_cap;
	unsigned int size;
	uint32_t off, val = UINT32_MAX;

	if (cfg_window(p, &off, &size))
		val = pci_func_bar_read(f, cap[offsetof(struct virtio_pci_cap, bar)], off, size);
	store_le32(cap + offsetof(struct virtio_pci_cfg_cap, pci_cfg_data), val);
}

static void cfg_data_written(struct pci_func *f)
{
	struct virtio_pci *p = container_of(f, struct virtio_pci, func);
	uint8_t *cap = f->config + p->cfg_cap;
	uint32_t val = load_le32(cap + offsetof(struct virtio_pci_cfg_cap, pci_cfg_data)), off;
	unsigned int size;

	if (!cfg_window(p, &off, &size))
		return;
	if (size < 4)
		val &= (1u << 8 * size) - 1;
	pci_func_bar_write(f, cap[offsetof(struct virtio_pci_cap, bar)], off, size, val);
}

/* 4.1.4.5.1: without MSI-X, Interrupt Status (PCI 3.0, 6.2.3) says whether anything is in the ISR.
 */
static void status_reading(struct pci_func *f)
{
	struct virtio_pci *p = container_of(f, struct virtio_pci, func);
	bool msix = pci_msix_enabled(&p->msix);

	lock(p);
	f->config[PCI_STATUS] &= (uint8_t)~PCI_STATUS_INTERRUPT;
	if (p->isr && !msix)
		f->config[PCI_STATUS] |= PCI_STATUS_INTERRUPT;
	unlock(p);
}

static uint8_t add_cap(struct virtio_pci *p, uint8_t type, uint8_t cap_len, enum area area,
		       uint32_t len)
{
	uint8_t cap = pci_func_add_cap(&p->func, PCI_CAP_ID_VNDR, cap_len);
	uint8_t *c = p->func.config + cap;

	c[offsetof(struct virtio_pci_cap, cap_len)] = cap_len;
	c[offsetof(struct virtio_pci_cap, cfg_type)] = type;
	if (len == 0)
		return cap;
	c[offsetof(struct virtio_pci_cap, bar)] = REGS_BAR;
	store_le32(c + offsetof(struct virtio_pci_cap, offset), (uint32_t)(area * AREA_LEN));
	store_le32(c + offsetof(struct virtio_pci_cap, length), len);
	return cap;
}

static void add_cfg_cap(struct virtio_pci *p)
{
	uint8_t cap = add_cap(p, VIRTIO_PCI_CAP_PCI_CFG, sizeof(struct virtio_pci_cfg_cap), 0, 0);
	const struct pci_reg regs[] = {
		{ .off = (uint8_t)(cap + offsetof(struct virtio_pci_cap, bar)),
		  .len = 1,
		  .writable = UINT8_MAX },
		{ .off = (uint8_t)(cap + offsetof(struct virtio_pci_cap, offset)),
		  .len = 4,
		  .writable = UINT32_MAX },
		{ .off = (uint8_t)(cap + offsetof(struct virtio_pci_cap, length)),
		  .len = 4,
		  .writable = UINT32_MAX },
		{ .off = (uint8_t)(cap + offsetof(struct virtio_pci_cfg_cap, pci_cfg_data)),
		  .len = 4,
		  .writable = UINT32_MAX,
		  .reading = cfg_data_reading,
		  .written = cfg_data_written },
	};

	p->cfg_cap = cap;
	for (unsigned int i = 0; i < ARRAY_SIZE(regs); i++)
		pci_func_add_reg(&p->func, &regs[i]);
}

static void fill_config_space(struct virtio_pci *p)
{
	uint8_t cap;

	pci_func_add_bar(&p->func, REGS_BAR, N_AREAS * AREA_LEN, &regs_ops, p);
	pci_func_add_reg(
		&p->func,
		&(struct pci_reg){ .off = PCI_STATUS, .len = 2, .reading = status_reading });
	add_cap(p, VIRTIO_PCI_CAP_COMMON_CFG, sizeof(struct virtio_pci_cap), AREA_COMMON,
		COMMON_LEN);
	add_cap(p, VIRTIO_PCI_CAP_ISR_CFG, sizeof(struct virtio_pci_cap), AREA_ISR, 1);
	if (p->v->config_len > 0) /* 4.1.4.6.1: only for device types that have one */
		add_cap(p, VIRTIO_PCI_CAP_DEVICE_CFG, sizeof(struct virtio_pci_cap), AREA_DEVICE,
			p->v->config_len);
	cap = add_cap(p, VIRTIO_PCI_CAP_NOTIFY_CFG, sizeof(struct virtio_pci_notify_cap),
		      AREA_NOTIFY, NOTIFY_MULTIPLIER * p->v->n_queues);
	store_le32(p->func.config + cap +
			   offsetof(struct virtio_pci_notify_cap, notify_off_multiplier),
		   NOTIFY_MULTIPLIER);
	add_cfg_cap(p);
	p->func.bar_moved = bar_moved;
	p->func.master_set = master_set;
	virtio_dev_allow_dma(p->v, false);
}

/* The device ------------------------------------------------------------------------------- */

static int virtio_pci_start(struct device *d, struct err *e)
{
	return virtio_dev_start(container_of(d, struct virtio_pci, dev)->v, e);
}

static void virtio_pci_reset(struct device *d)
{
	struct virtio_pci *p = container_of(d, struct virtio_pci, dev);

	virtio_dev_reset(p->v);
	virtio_notify_stop(&p->notify);
	pci_func_reset(&p->func);
	forget_driver(p);
}

static void virtio_pci_counters(struct device *d, metric_fn fn, void *arg)
{
	virtio_dev_counters(container_of(d, struct virtio_pci, dev)->v, fn, arg);
}

static void virtio_pci_destroy(struct device *d)
{
	struct virtio_pci *p = container_of(d, struct virtio_pci, dev);

	virtio_notify_stop(&p->notify);
	pci_func_detach(&p->func);
	virtio_dev_attach(p->v, NULL, NULL); /* what still ends tells nobody */
	virtio_dev_destroy(p->v);
	virtio_notify_fini(&p->notify);
	pci_msix_fini(&p->msix);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

static const struct device_ops virtio_pci_ops = {
	.type = "virtio-pci",
	.start = virtio_pci_start,
	.reset = virtio_pci_reset,
	.counters = virtio_pci_counters,
	.destroy = virtio_pci_destroy,
};

int virtio_pci_create(struct device **out, const struct device_env *env, struct virtio_dev *v,
		      struct err *e)
{
	const uint16_t device = (uint16_t)(DEVICE_BASE + v->ops->id);
	const struct pci_ids ids = {
		.vendor = VENDOR,
		.device = device,
		.subsystem_vendor = VENDOR,
		.subsystem = device, /* 4.1.2.1: 0x40 or higher */
		.revision = REVISION,
		.class_code = { v->ops->pci_class[0], v->ops->pci_class[1], v->ops->pci_class[2] },
	};
	struct virtio_pci *p = calloc(1, sizeof(*p));

	if (!p)
		return err_set(e, -ENOMEM, "%s: out of memory", v->name);
	VMM_BUG_ON(v->n_queues > VIRTIO_DEV_MAX_QUEUES || v->config_len > AREA_LEN);
	p->dev = (struct device){ .ops = &virtio_pci_ops, .name = v->name, .type = v->ops->type };
	p->v = v;
	pthread_mutex_init(&p->lock, NULL);
	virtio_notify_init(&p->notify, v, env->vm, NOTIFY_MULTIPLIER);
	forget_driver(p);
	pci_func_init(&p->func, v->name, &ids);
	/* 4.1.5.1.2: one vector for each queue, and one for configuration changes. */
	if (pci_msix_init(&p->msix, &p->func, MSIX_BAR, v->n_queues + 1, env->vm, e) < 0)
		goto free_p;
	p->msix.fds_changed = fds_changed;
	fill_config_space(p);
	if (pci_func_attach(&p->func, env->pci, e) < 0)
		goto fini_msix;
	virtio_dev_attach(v, &transport_ops, p);
	*out = &p->dev;
	return 0;

fini_msix:
	pci_msix_fini(&p->msix);
free_p:
	virtio_notify_fini(&p->notify);
	pthread_mutex_destroy(&p->lock);
	free(p);
	return e->code;
}
