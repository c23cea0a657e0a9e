/*
 * lifecycle.c - running, pausing, resetting and ending a machine.
 *
 * Life of a VM: machine_run() is where the main thread spends it. Whatever can end a VM (the guest,
 * a signal, the time limit, the user) arrives here as a callback of the loop, and the first one
 * decides.
 */
#include "machine.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <vmm/base/util.h>
#include <vmm/dev/acpi_pm.h>
#include <vmm/host/chardev.h>
#include <vmm/kvm/kvm_irq.h>

#define DRAIN_NS (2 * NS_PER_S) /* beyond --timeout */

static void ask_all(struct machine *m, enum vcpu_state want)
{
	for (unsigned int i = 0; i < m->n_vcpus; i++)
		vcpu_ask(&m->vcpus[i], want);
}

/* All are asked before any is waited for: one that spins on another's lock must not hold that one
 * up. */
static void park_all(struct machine *m)
{
	ask_all(m, VCPU_PARKED);
	for (unsigned int i = 0; i < m->n_vcpus; i++)
		vcpu_wait(&m->vcpus[i]);
}

static void stop_all(struct machine *m)
{
	ask_all(m, VCPU_STOPPED);
	for (unsigned int i = 0; i < m->n_vcpus; i++)
		vcpu_join(&m->vcpus[i]);
}

static void go_on(struct machine *m)
{
	if (!m->paused)
		ask_all(m, VCPU_RUNNING);
}

static void on_worker(void *arg)
{
	struct machine *m = arg;
	struct err e; /* if it matters, jail->failed says so, too */

	jail_close(m->jail, JAIL_WORKER, "worker", &e);
}

static void on_worker_end(void *arg)
{
	jail_leave_thread(((struct machine *)arg)->jail);
}

/*
 * All threads that there will ever be, those of devices first. Each has closed its jail when this
 * returns. vCPUs are parked, so that none of the guest's instructions has been executed.
 */
static int start_threads(struct machine *m, struct err *e)
{
	evloop_on_thread(m->loop, on_worker, on_worker_end, m);
	for (unsigned int i = 0; i < m->n_devices; i++) {
		struct device *d = m->devices[i];

		if (d->ops->start && d->ops->start(d, e) < 0)
			return e->code;
	}
	for (unsigned int i = 0; i < m->n_vcpus; i++) {
		if (vcpu_start(&m->vcpus[i], m, i, e) < 0)
			return e->code;
	}
	for (unsigned int i = 0; i < m->n_vcpus; i++)
		vcpu_wait(&m->vcpus[i]);
	return 0;
}

void machine_end(struct machine *m, enum vm_end end, unsigned int value)
{
	if (m->result.end != END_NONE)
		return;
	m->result.end = end;
	m->result.value = value;
	evloop_stop(m->loop);
}

/* On return none of them has anything to do any more, nor writes to RAM. */
static void reset_devices(struct machine *m)
{
	for (unsigned int i = 0; i < m->n_devices; i++) {
		if (m->devices[i]->ops->reset)
			m->devices[i]->ops->reset(m->devices[i]);
	}
}

/*
 * KVM's half, then RAM. Not the other way round: until its vCPUs are put back, KVM may write down
 * there what the guest of before has asked for.
 */
static int put_back(struct machine *m, struct err *e)
{
	if (kvm_irq_reset(&m->vm, e) < 0 || kvm_state_restore_vm(m->at_start, &m->vm, e) < 0)
		return e->code;
	for (unsigned int i = 0; i < m->n_vcpus; i++) {
		struct vcpu *v = &m->vcpus[i];

		if (kvm_state_restore_vcpu(v->at_start, &v->kvm, e) < 0)
			return err_wrap(e, "vCPU %u", i);
	}
	if (gmem_clear(m->mem, e) < 0 || arch_load(&m->boot, m->mem, e) < 0)
		return e->code;
	return arch_vcpu_enter(&m->vcpus[0].kvm, &m->boot, e);
}

static bool has_crashed(struct machine *m)
{
	bool crashed;

	pthread_mutex_lock(&m->event_lock);
	crashed = m->crashed;
	pthread_mutex_unlock(&m->event_lock);
	return crashed;
}

static void crash(struct machine *m)
{
	machine_end(m, watch_is_panicking(m) ? END_PANIC : END_CRASH, 0);
}

/* A power cycle: everything that the guest could have changed is as it was. */
static void reset(struct machine *m)
{
	struct err e;

	park_all(m);
	if (has_crashed(m)) { /* meanwhile: that vCPU has no thread any more */
		crash(m);
		return;
	}
	reset_devices(m);
	evloop_unpost(m->loop, &m->event_task);
	m->has_event = false;
	watch_init(m);
	if (put_back(m, &e) < 0) {
		log_error("reset: %s", e.text);
		machine_end(m, END_HOST, 0);
		return;
	}
	go_on(m);
}

/* What the guest has asked for
 * ---------------------------------------------------------------------- */

void machine_on_event(void *arg, enum guest_event ev, unsigned int value)
{
	struct machine *m = arg;

	pthread_mutex_lock(&m->event_lock);
	if (!m->has_event) {
		m->event = ev;
		m->event_value = value;
		__atomic_store_n(&m->has_event, true, __ATOMIC_RELEASE);
	}
	pthread_mutex_unlock(&m->event_lock);
	evloop_post(m->loop, &m->event_task);
}

void machine_on_crash(struct machine *m)
{
	pthread_mutex_lock(&m->event_lock);
	m->crashed = true;
	pthread_mutex_unlock(&m->event_lock);
	evloop_post(m->loop, &m->event_task);
}

/* A kernel that has just said that it panicks and resets has not rebooted. */
static void guest_wants_reset(struct machine *m)
{
	if (watch_is_panicking(m))
		machine_end(m, END_PANIC, 0);
	else if (m->cfg->exit_on_reboot)
		machine_end(m, END_REBOOT, 0);
	else
		reset(m);
}

static void on_event(void *arg)
{
	struct machine *m = arg;
	enum guest_event ev;
	unsigned int value;
	bool has;

	/* What the guest said before it did this decides what it meant. */
	for (unsigned int i = 0; i < m->n_chardevs; i++)
		chardev_flush(m->chardevs[i]);
	pthread_mutex_lock(&m->event_lock);
	has = m->has_event;
	ev = m->event;
	value = m->event_value;
	pthread_mutex_unlock(&m->event_lock);
	if (has_crashed(m)) {
		crash(m);
		return;
	}
	if (!has || m->result.end != END_NONE)
		return;
	switch (ev) {
	case GUEST_POWEROFF:
		machine_end(m, END_POWEROFF, 0);
		break;
	case GUEST_RESET:
		guest_wants_reset(m);
		break;
	case GUEST_STATUS:
		machine_end(m, END_STATUS, value);
		break;
	case GUEST_PANICKED:
		machine_end(m, END_PANIC, 0);
		break;
	}
}

/* What the user and the host want
 * ------------------------------------------------------------------- */

static void toggle_pause(struct machine *m)
{
	m->paused = !m->paused;
	if (m->paused)
		park_all(m);
	else
		ask_all(m, VCPU_RUNNING);
	log_say("%s", m->paused ? "paused; Ctrl-A s again to go on" : "running");
}

void machine_on_command(void *watch, char key)
{
	struct machine *m = ((const struct watch *)watch)->machine;

	if (key == 'x')
		machine_end(m, END_USER, 0);
	else if (key == 'p')
		acpi_pm_press_power_button(m->acpi_pm);
	else if (key == 's')
		toggle_pause(m);
}

static void write_stats(struct machine *m)
{
	struct err e;

	if (stats_write(m, m->cfg->stats_path, &e) < 0)
		log_warn("--stats: %s", e.text);
}

static void write_timeline(struct machine *m)
{
	struct timeline *t = m->cfg->timeline;
	char text[64];
	struct err e;

	for (unsigned int i = 0; i < m->n_virtio && t; i++) {
		const struct virtio_dev *v = m->virtio[i];

		snprintf(text, sizeof(text), "(%s has a driver)", v->name);
		if (v->driven_ns != 0)
			timeline_event(t, text, v->driven_ns);
	}
	if (timeline_write(t, &e) < 0)
		log_warn("--timeline %s: %s", m->cfg->timeline_path, e.text);
}

static void on_signal(void *arg, int signo)
{
	struct machine *m = arg;

	if (signo == SIGPWR) {
		acpi_pm_press_power_button(m->acpi_pm);
	} else if (signo == SIGUSR1) {
		write_stats(m);
	} else if (signo == SIGWINCH) {
		for (unsigned int i = 0; i < m->n_chardevs; i++)
			chardev_resize(m->chardevs[i]);
	} else {
		machine_end(m, END_SIGNAL, (unsigned int)signo);
	}
}

static void on_timeout(void *arg)
{
	machine_end(arg, END_TIMEOUT, 0);
}

/* How long a reader of the console that does not read may hold us up, once the VM has ended. */
static uint64_t drain_deadline(const struct machine *m)
{
	if (m->result.end == END_SIGNAL)
		return evloop_now_ns(); /* what goes at once, as of any program that is killed */
	return m->cfg->timeout_ns ? evloop_now_ns() + DRAIN_NS : 0;
}

/* The guest is no more; what it has said goes out. */
static void drain(struct machine *m)
{
	uint64_t deadline = drain_deadline(m);

	if (m->virtio_console)
		virtio_console_flush(m->virtio_console);
	for (unsigned int i = 0; i < m->n_chardevs; i++)
		chardev_drain(m->chardevs[i], deadline);
}

static int tell_outside(int rc, struct err *e)
{
	if (rc == -EPIPE)
		return err_set(e, rc, "the process that waits for the VM is gone");
	return rc < 0 ? err_set(e, rc, "the process that waits for the VM: %s", strerror(-rc)) : 0;
}

/* The last door, and from here on nothing can be opened, made or started. */
static int close_jail(struct machine *m, struct err *e)
{
	const struct outside *o = m->cfg->outside;

	if (jail_limit(m->jail, e) < 0)
		return e->code;
	if (o && (tell_outside(outside_close_cache(o), e) < 0 ||
		  tell_outside(broker_give_logs(&o->broker, m->jail), e) < 0))
		return e->code;
	if (jail_close(m->jail, JAIL_LOOP, "loop", e) < 0)
		return e->code;
	if (o && tell_outside(broker_give_logs(&o->broker, m->jail), e) < 0)
		return e->code;
	jail_tell(m->jail);
	return 0;
}

int machine_run(struct machine *m, struct vm_result *result, struct err *e)
{
	const struct vm_config *cfg = m->cfg;
	int rc;

	m->event_task = (struct ev_task){ .fn = on_event, .arg = m };
	m->timeout = (struct ev_timer){ .fn = on_timeout, .arg = m };
	signals_kick_init();
	if (signals_watch(&m->signals, m->loop, on_signal, m, e) < 0)
		return e->code;
	if (cfg->timeout_ns)
		evloop_timer_set(m->loop, &m->timeout,
				 cfg->start_ns +
					 min_u64(cfg->timeout_ns, UINT64_MAX - cfg->start_ns));
	timeline_phase(cfg->timeline, "start the threads");
	rc = start_threads(m, e);
	timeline_phase(cfg->timeline, "close the jail");
	if (rc == 0)
		rc = close_jail(m, e);
	timeline_phase(cfg->timeline, "wake the vCPUs");
	for (unsigned int i = 0; i < m->n_chardevs && rc == 0; i++)
		chardev_start(m->chardevs[i]);
	if (rc == 0) {
		go_on(m);
		evloop_run(m->loop);
	}
	timeline_guest_ends(cfg->timeline);
	stop_all(m);
	evloop_timer_cancel(&m->timeout);
	watch_stop(m);
	/* From here on a signal ends us at once, however slow the reader of our output is. */
	signals_unwatch(&m->signals);
	drain(m);
	evloop_unpost(m->loop, &m->event_task);
	if (cfg->stats_path)
		write_stats(m);
	write_timeline(m);
	m->result.expected = watch_has_expected(m);
	peripherals_tell_unused(m);
	*result = m->result;
	return rc;
}
