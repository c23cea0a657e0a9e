/*
 * build.c - the recipe of a machine, and its undoing.
 *
 * Life of a VM: machine_build() after the options have been checked, machine_destroy() at the very
 * end. Main thread; there is no other one before machine_run() begins.
 *
 * A machine has two halves: the board (RAM, buses, devices, console), and the kernel's (the KVM VM
 * and its vCPUs), which is made when the board is complete. Both are made once. A reset, which is
 * in lifecycle.c, needs nothing of what is here: no file is opened for it, and /dev/kvm has been
 * closed.
 */
#include "machine.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include <vmm/base/util.h>
#include <vmm/host/chardev.h>
#include <vmm/host/core_sched.h>
#include <vmm/host/eager.h>
#include <vmm/host/emergency.h>
#include <vmm/host/inherited.h>

static int open_images(struct machine *m, struct err *e)
{
	const struct vm_config *cfg = m->cfg;

	if (cfg->outside) {
		m->kernel = cfg->outside->kernel;
	} else {
		m->owns_kernel = true;
		if (arch_kernel_open(&m->kernel, cfg->kernel, cfg->boot, e) < 0)
			return e->code;
	}
	if (cfg->initrd && image_open(&m->initrd, cfg->initrd, e) < 0)
		return err_wrap(e, "--initrd");
	m->boot = (struct arch_boot){
		.kernel = m->kernel,
		.initrd = cfg->initrd ? &m->initrd : NULL,
		.topology = cfg->cpus,
	};
	arch_board(cfg->ram_bytes, &m->boot.board);
	return 0;
}

/* From here on what strangers have made is looked at. */
static int read_images(struct machine *m, struct err *e)
{
	char hardware[BOARD_MAX_MMIO_SLOTS * 48];

	if (arch_kernel_read(m->kernel, e) < 0)
		return e->code;
	peripherals_cmdline(m->cfg, &m->boot.board, hardware, sizeof(hardware));
	if (config_cmdline(m->cfg, hardware, arch_kernel_cmdline_max(m->kernel), &m->cmdline, e) <
	    0)
		return e->code;
	m->boot.cmdline = m->cmdline;
	return 0;
}

/* What comes by it may be meant for somebody else, who started us with it by chance. */
static void give_up_stdin(const struct machine *m)
{
	const struct vm_config *cfg = m->cfg;
	bool used = cfg->serial.kind == CHARDEV_STDIO;
	int fd;

	for (unsigned int i = 0; i < console_spec_n_ports(&cfg->console); i++)
		used |= console_spec_chardev(&cfg->console, i).kind == CHARDEV_STDIO;
	if (used || m->jail->mode == JAIL_OFF)
		return;
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		dup2(fd, STDIN_FILENO);
		close(fd);
	}
}

/* Everything that has a name is open now. */
static int enter_jail(struct machine *m, struct err *e)
{
	give_up_stdin(m);
	emergency_seal();
	inherited_close();
	if (jail_enter(m->jail, e) < 0)
		return e->code;
	return 0;
}

static int create_console(struct machine *m, struct err *e)
{
	const struct chardev_watch watch = { watch_output, machine_on_command,
					     &m->watch[WATCH_COM1] };

	watch_init(m);
	if (chardev_create(&m->chardevs[0], m->loop, &m->cfg->serial, &watch, e) < 0)
		return e->code;
	m->n_chardevs = 1;
	return 0;
}

/* The machine's interrupt wires end in KVM; while it is built and taken down, nowhere. */
static void irq_set_kvm(void *arg, unsigned int gsi, bool level)
{
	const struct machine *m = arg;

	if (m->vm.fd >= 0)
		kvm_vm_irq_line(&m->vm, gsi, level);
}

static int create_devices(struct machine *m, struct err *e)
{
	struct device_env env = {
		.pio = m->pio,
		.mmio = m->mmio,
		.loop = m->loop,
		.mem = m->mem,
		.vm = &m->vm,
		.board = &m->boot.board,
		.console = m->chardevs[0],
		.irq_set = irq_set_kvm,
		.irq_arg = m,
		.on_event = machine_on_event,
		.event_arg = m,
	};

	if (catalog_create(m, &env, e) < 0)
		return e->code;
	return peripherals_create(m, &env, e);
}

static int add_slot(void *arg, unsigned int index, gpa_t base, uint64_t len, void *host)
{
	struct {
		struct kvm_vm *vm;
		struct err *e;
	} *a = arg;

	return kvm_vm_add_memory(a->vm, index, base, len, host, a->e);
}

static int map_ram(struct machine *m, struct err *e)
{
	struct {
		struct kvm_vm *vm;
		struct err *e;
	} arg = { &m->vm, e };

	return gmem_each_region(m->mem, add_slot, &arg);
}

static int create_vcpus(struct machine *m, struct err *e)
{
	unsigned int n = cpu_topology_total(&m->cfg->cpus);

	m->vcpus = calloc(n, sizeof(*m->vcpus));
	if (!m->vcpus)
		return err_set(e, -ENOMEM, "%u vCPUs: out of memory", n);
	for (; m->n_vcpus < n; m->n_vcpus++) {
		struct vcpu *v = &m->vcpus[m->n_vcpus];
		unsigned int id = arch_vcpu_id(&m->cfg->cpus, m->n_vcpus);

		if (kvm_vcpu_create(&v->kvm, &m->vm, id, e) < 0)
			return e->code;
		if (arch_vcpu_init(&v->kvm, m->n_vcpus, &m->boot, &m->sys, e) < 0) {
			m->n_vcpus++; /* so that it is destroyed with the others */
			return err_wrap(e, "vCPU %u", id);
		}
	}
	return 0;
}

/* No vCPU has run. */
static int save_state(struct machine *m, struct err *e)
{
	if (kvm_state_save_vm(&m->at_start, &m->vm, &m->sys, e) < 0)
		return e->code;
	for (unsigned int i = 0; i < m->n_vcpus; i++) {
		struct vcpu *v = &m->vcpus[i];

		if (kvm_state_save_vcpu(&v->at_start, m->at_start, &v->kvm, e) < 0)
			return err_wrap(e, "vCPU %u", i);
	}
	return 0;
}

/* Nothing of it is asked of /dev/kvm again. */
static int create_kernels_half(struct machine *m, struct err *e)
{
	struct timeline *t = m->cfg->timeline;

	timeline_phase(t, "KVM_CREATE_VM");
	if (kvm_vm_create(&m->vm, &m->sys, e) < 0)
		return e->code;
	timeline_phase(t, "give KVM the RAM, make interrupt controllers");
	if (map_ram(m, e) < 0 || arch_vm_init(&m->vm, &m->cfg->cpus, e) < 0)
		return e->code;
	timeline_phase(t, "load the kernel, the initrd and tables into RAM");
	if (arch_load(&m->boot, m->mem, e) < 0)
		return e->code;
	timeline_phase(t, "make the vCPUs");
	if (create_vcpus(m, e) < 0)
		return e->code;
	timeline_phase(t, "save the state that a reset brings back");
	if (save_state(m, e) < 0)
		return e->code;
	kvm_sys_close(&m->sys);
	return 0;
}

static void destroy_kernels_half(struct machine *m)
{
	for (unsigned int i = 0; i < m->n_vcpus; i++) {
		kvm_state_free_vcpu(m->vcpus[i].at_start);
		kvm_vcpu_destroy(&m->vcpus[i].kvm);
	}
	free(m->vcpus);
	kvm_state_free_vm(m->at_start);
	kvm_vm_destroy(&m->vm);
}

static int create_ram(struct machine *m, struct err *e)
{
	const struct vm_config *cfg = m->cfg;

	if (gmem_create(&m->mem, e) < 0 || arch_add_ram(m->mem, cfg->ram_bytes, e) < 0)
		return e->code;
	if (cfg->mem_lock && gmem_lock(m->mem, e) < 0)
		return err_wrap(e, "--mem-lock");
	if (cfg->mem_merge && gmem_merge(m->mem, e) < 0)
		return err_wrap(e, "--mem-merge");
	return 0;
}

static int build(struct machine *m, struct err *e)
{
	const struct vm_config *cfg = m->cfg;

	timeline_phase(cfg->timeline, "open KVM and the initrd");
	/* Threads get the cookie of the one that makes them. */
	if (cfg->core_scheduling && core_sched_enable(CORE_SCHED_SMT, e) < 0)
		return err_wrap(e, "--core-scheduling");
	if (kvm_sys_open(&m->sys, e) < 0 || arch_check_topology(&cfg->cpus, &m->sys, e) < 0)
		return e->code;
	if (usage_create(m, e) < 0 || open_images(m, e) < 0)
		return e->code;
	if (evloop_create(&m->loop, e) < 0)
		return e->code;
	if (!cfg->limits.milli_cpu && eager_has_room(cpu_topology_total(&cfg->cpus)))
		evloop_may_poll(m->loop);
	timeline_phase(cfg->timeline, "reserve RAM");
	if (create_ram(m, e) < 0)
		return e->code;
	timeline_phase(cfg->timeline, "make the devices");
	if (bus_create(&m->pio, "port", UINT16_MAX, e) < 0 ||
	    bus_create(&m->mmio, "address", UINT64_MAX, e) < 0)
		return e->code;
	if (cfg->trace_exits && trace_open(&m->trace, cfg->trace_path, cfg->start_ns, e) < 0)
		return e->code;
	if (create_console(m, e) < 0 || create_devices(m, e) < 0)
		return e->code;
	stats_init();
	if (cfg->stats_path && stats_check(cfg->stats_path, e) < 0)
		return err_wrap(e, "--stats");
	timeline_phase(cfg->timeline, "enter the jail");
	if (enter_jail(m, e) < 0)
		return e->code;
	timeline_phase(cfg->timeline, "look at the kernel, unpack it if it has to be");
	if (read_images(m, e) < 0)
		return e->code;
	return create_kernels_half(m, e);
}

int machine_build(struct machine **out, const struct vm_config *cfg, struct err *e)
{
	struct machine *m = calloc(1, sizeof(*m));

	if (!m)
		return err_set(e, -ENOMEM, "machine: out of memory");
	m->cfg = cfg;
	m->sys.fd = m->vm.fd = m->initrd.fd = -1;
	jail_init(&m->no_jail, JAIL_OFF);
	m->jail = cfg->outside ? &cfg->outside->jail : &m->no_jail;
	pthread_mutex_init(&m->event_lock, NULL);
	if (build(m, e) < 0) {
		machine_destroy(m);
		return e->code;
	}
	*out = m;
	return 0;
}

void machine_destroy(struct machine *m)
{
	if (!m)
		return;
	destroy_kernels_half(m);
	while (m->n_devices > 0) {
		struct device *d = m->devices[--m->n_devices];

		d->ops->destroy(d);
	}
	while (m->n_chardevs > 0)
		chardev_destroy(m->chardevs[--m->n_chardevs]);
	trace_close(m->trace);
	bus_destroy(m->mmio);
	bus_destroy(m->pio);
	gmem_destroy(m->mem);
	evloop_destroy(m->loop);
	free(m->cmdline);
	free(m->vcpu_ns);
	image_close(&m->initrd);
	if (m->owns_kernel)
		arch_kernel_close(m->kernel);
	kvm_sys_close(&m->sys);
	jail_fini(&m->no_jail);
	pthread_mutex_destroy(&m->event_lock);
	free(m);
}
