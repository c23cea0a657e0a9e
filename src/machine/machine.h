/*
 * machine.h - private to src/machine: what a VM consists of.
 */
#ifndef VMM_SRC_MACHINE_MACHINE_H
#define VMM_SRC_MACHINE_MACHINE_H
#include <pthread.h>
#include <vmm/arch/arch.h>
#include <vmm/base/log.h>
#include <vmm/base/match.h>
#include <vmm/boot/image.h>
#include <vmm/bus/bus.h>
#include <vmm/dev/board.h>
#include <vmm/dev/device.h>
#include <vmm/host/evloop.h>
#include <vmm/host/signals.h>
#include <vmm/kvm/kvm_state.h>
#include <vmm/kvm/kvm_vm.h>
#include <vmm/machine/config.h>
#include <vmm/machine/machine.h>
#include <vmm/machine/outside.h>
#include <vmm/machine/timeline.h>
#include <vmm/machine/vcpu.h>
#include <vmm/mem/gmem.h>

#define MACHINE_MAX_DEVICES 64
#define MACHINE_DEVICE_NAME 16

struct trace;

/* What one console's output says about the guest: see watch.c. Loop thread. */
enum { WATCH_COM1, WATCH_HVC0, N_WATCHES };
struct watch {
	struct machine *machine;
	struct match expect, panic, panic_end, restarting, powering_down;
	bool has_expect, expected;
	bool panicking; /* a panic message has come, and no orderly end after it */
	bool settling; /* its last line has come: quiet from now on means that it is true */
	struct ev_timer settled;
};

struct machine {
	const struct vm_config *cfg;

	/* The board. */
	struct evloop *loop;
	struct kvm_sys sys; /* closed once the kernel's half is complete */
	struct jail *jail;
	struct jail no_jail; /* where there is nobody outside */
	struct kernel *kernel;
	bool owns_kernel;
	struct image initrd;
	char *cmdline;
	struct arch_boot boot;
	struct gmem *mem;
	struct bus *pio, *mmio;
	/* COM1's, then those of the virtio console's ports. */
	struct chardev *chardevs[1 + CONSOLE_MAX_PORTS];
	unsigned int n_chardevs;
	struct virtio_dev *virtio_console; /* NULL: none; one of devices owns it */
	struct virtio_dev *virtio[MACHINE_MAX_DEVICES]; /* each owned by one of devices */
	unsigned int n_virtio;
	char device_names[MACHINE_MAX_DEVICES][MACHINE_DEVICE_NAME];
	struct device *devices[MACHINE_MAX_DEVICES];
	unsigned int n_devices;
	struct device *acpi_pm; /* one of devices: the power button is on it */
	struct trace *trace; /* NULL: off */

	/* The kernel's half. */
	struct kvm_vm vm;
	struct kvm_vm_state *at_start; /* what a reset brings back */
	struct vcpu *vcpus;
	unsigned int n_vcpus;
	bool paused; /* by the user */
	/* For each vCPU, CPU time of its threads that have ended; guarded by the lock of that
	 * vCPU, while it has a thread. */
	uint64_t *vcpu_ns;

	/* Loop thread */
	struct signals signals;
	struct ev_timer timeout;
	struct watch watch[N_WATCHES];
	struct vm_result result;

	pthread_mutex_t event_lock; /* guards what follows; taken with a device's lock held */
	bool has_event; /* also read without the lock, atomically */
	enum guest_event
		event; /* the first since power-on; later ones are of a guest that is ending */
	unsigned int event_value;
	bool crashed; /* a vCPU has stopped by itself */
	struct ev_task event_task;
};

/* catalog.c: every plain chip, in the order of the table. */
int catalog_create(struct machine *m, const struct device_env *env, struct err *e);

/* peripherals.c. Sets env->pci. */
int peripherals_create(struct machine *m, struct device_env *env, struct err *e);
/* The words by which a kernel without ACPI finds them, each with a space in front; or "". */
void peripherals_cmdline(const struct vm_config *cfg, const struct board *b, char *buf,
			 size_t size);

/* At the end: says which devices no driver has used, where that may be why it ended so. */
void peripherals_tell_unused(const struct machine *m);

/* exits.c. rc: what kvm_vcpu_run() returned. vCPU thread. */
enum vcpu_next vcpu_handle_exit(struct vcpu *v, int rc);

/* lifecycle.c. The callbacks that parts of the machine are given. */
void machine_on_event(void *arg, enum guest_event ev, unsigned int value); /* any thread */
void machine_on_crash(struct machine *m); /* vCPU thread */
void machine_on_command(void *watch, char key);
void machine_end(struct machine *m, enum vm_end end,
		 unsigned int value); /* loop; the first one counts */
static inline bool machine_has_event(struct machine *m)
{
	return __atomic_load_n(&m->has_event, __ATOMIC_ACQUIRE);
}

/* watch.c */
void watch_init(struct machine *m);
void watch_output(void *watch, const uint8_t *data, size_t len);
bool watch_is_panicking(const struct machine *m);
bool watch_has_expected(const struct machine *m);
void watch_stop(struct machine *m); /* no verdict any more */

/*
 * usage.c: what the VM costs its host, from the start of the process on. KiB, milliseconds of CPU
 * time, numbers; getrusage(2). Nothing is opened for it.
 */
struct usage {
	uint64_t loop_ms; /* the main thread, from the process's start on */
	uint64_t worker_ms; /* all threads but that and the vCPUs' */
	uint64_t user_ms, system_ms; /* of the whole process */
	uint64_t max_rss_kib;
	uint64_t minor_faults, major_faults;
	uint64_t blocks_read, blocks_written; /* of 512 bytes, that devices had to be asked for */
	uint64_t voluntary_switches, involuntary_switches;
};
int usage_create(struct machine *m, struct err *e); /* machine_destroy() undoes it */
/* The last thing that a vCPU's thread does; v->lock held, together with the change to STOPPED. */
void usage_close_vcpu(struct vcpu *v);
/* Loop thread, vCPUs may run. */
void usage_get(const struct machine *m, struct usage *u);
uint64_t usage_vcpu_ms(const struct machine *m, unsigned int index);

/*
 * stats.c: what every device has counted, as JSON. path NULL or "-": one line on stderr. A regular
 * file is replaced as a whole; a pipe or device that takes nothing is not waited for. -errno: for a
 * log line. Loop thread, vCPUs may run.
 */
int stats_write(const struct machine *m, const char *path, struct err *e);
/* The last step of it, which needs nothing of the machine: any process may make it. */
int stats_save(const char *path, const char *text, struct err *e);
/* While the machine is built, so that nothing is opened for it later. */
void stats_init(void);
/* Can such a file be written? So that it is found out before the guest runs. Nothing is made yet.
 */
int stats_check(const char *path, struct err *e);

/* trace.c */
int trace_open(struct trace **out, const char *path, uint64_t start_ns, struct err *e);
void trace_close(struct trace *t); /* NULL is fine */
void trace_exit(struct trace *t, const struct vcpu *v); /* vCPU thread */
/*
 * Tells cfg->on_exit, and for that completes the access. true: this has led to the next exit, which
 * is in v->kvm.run. vCPU thread.
 */
bool trace_watch(struct vcpu *v);

#endif
