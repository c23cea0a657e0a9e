/*
 * pvpanic.c - the port by which a guest kernel says that it has panicked.
 *
 * Life of a VM: built while the machine is assembled; read once by the guest's driver, and written,
 * by a vCPU thread, when the guest's kernel has nothing left to do.
 *
 * Specification: QEMU docs/specs/pvpanic: one byte; reading gives the events that are understood,
 * writing reports them. The DSDT describes the port as device QEMU0001.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <vmm/base/log.h>
#include <vmm/base/util.h>
#include <vmm/bus/bus.h>
#include <vmm/dev/pvpanic.h>

struct pvpanic {
	struct device dev;
	struct bus *pio;
	guest_event_fn on_event;
	void *event_arg;

	pthread_mutex_t lock; /* guards what follows */
	struct log_limit limit;
};

static uint64_t pvpanic_read(void *p, uint64_t off, unsigned int size)
{
	(void)p, (void)off, (void)size;
	/* A guest that has a crash kernel need not tell: what the crash kernel does tells enough.
	 */
	return PVPANIC_PANICKED;
}

static void pvpanic_write(void *p, uint64_t off, unsigned int size, uint64_t val)
{
	struct pvpanic *pv = p;

	(void)off, (void)size;
	if (val & PVPANIC_PANICKED) {
		pv->on_event(pv->event_arg, GUEST_PANICKED, (unsigned int)val);
	} else if (val & PVPANIC_CRASH_LOADED) {
		pthread_mutex_lock(&pv->lock);
		log_guest(&pv->limit, "kernel panic; its crash kernel takes over");
		pthread_mutex_unlock(&pv->lock);
	}
}

static const struct bus_ops pvpanic_bus_ops = {
	.name = "pvpanic",
	.max_size = 1,
	.read = pvpanic_read,
	.write = pvpanic_write,
};

static void pvpanic_destroy(struct device *d)
{
	struct pvpanic *pv = container_of(d, struct pvpanic, dev);

	bus_unmap(pv->pio, PVPANIC_BASE);
	pthread_mutex_destroy(&pv->lock);
	free(pv);
}

static const struct device_ops pvpanic_ops = {
	.type = "pvpanic",
	.destroy = pvpanic_destroy, /* no state that the guest sees, so nothing to reset */
};

int pvpanic_create(struct device **out, const struct device_env *env, struct err *e)
{
	struct pvpanic *pv = calloc(1, sizeof(*pv));

	if (!pv)
		return err_set(e, -ENOMEM, "pvpanic: out of memory");
	*pv = (struct pvpanic){
		.dev.ops = &pvpanic_ops,
		.pio = env->pio,
		.on_event = env->on_event,
		.event_arg = env->event_arg,
		.lock = PTHREAD_MUTEX_INITIALIZER,
	};
	if (bus_map(pv->pio, PVPANIC_BASE, 1, &pvpanic_bus_ops, pv, e) < 0) {
		free(pv);
		return err_wrap(e, "pvpanic");
	}
	*out = &pv->dev;
	return 0;
}
