/*
 * vcpu.c - the thread that is a virtual CPU.
 *
 * Life of a VM: started PARKED once, before the guest's first instruction; RUNNING until the VM
 * ends, but for a pause or a reset, which find it PARKED. This thread spends its life in KVM_RUN;
 * each return from there is an exit, answered by the table in exits.c.
 *
 * Parking exactly: an exit for a port or for device memory is half an instruction. KVM finishes it
 * at the next KVM_RUN, and with immediate_exit set that call does this and nothing else. So a vCPU
 * always goes through KVM_RUN once more before it parks (api.rst 5, "immediate_exit").
 */
#include "machine.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <vmm/base/bug.h>
#include <vmm/base/log.h>
#include <vmm/base/util.h>
#include <vmm/host/signals.h>
#include <vmm/machine/vcpu.h>

#define STACK_BYTES                                                                                \
	(256 * KIB) /* deeper than any device; a machine may have thousands of vCPUs               \
		     */

static bool asked_to_leave(struct vcpu *v)
{
	return __atomic_load_n(&v->want, __ATOMIC_ACQUIRE) != VCPU_RUNNING;
}

static void set_want_locked(struct vcpu *v, enum vcpu_state want)
{
	__atomic_store_n(&v->want, want, __ATOMIC_RELEASE);
	kvm_vcpu_set_immediate_exit(&v->kvm, want != VCPU_RUNNING);
}

/* Parks itself on its next way through KVM_RUN; the loop may have asked for more already. */
static void park_self(struct vcpu *v)
{
	pthread_mutex_lock(&v->lock);
	if (v->want == VCPU_RUNNING)
		set_want_locked(v, VCPU_PARKED);
	pthread_mutex_unlock(&v->lock);
}

static void stop_self(struct vcpu *v)
{
	pthread_mutex_lock(&v->lock);
	set_want_locked(v, VCPU_STOPPED);
	pthread_mutex_unlock(&v->lock);
}

int vcpu_complete_exit(struct vcpu *v)
{
	int rc;

	pthread_mutex_lock(&v->lock);
	kvm_vcpu_set_immediate_exit(&v->kvm, true);
	pthread_mutex_unlock(&v->lock);
	rc = kvm_vcpu_run(&v->kvm);
	pthread_mutex_lock(&v->lock);
	kvm_vcpu_set_immediate_exit(&v->kvm, v->want != VCPU_RUNNING);
	pthread_mutex_unlock(&v->lock);
	return rc;
}

/* Until the loop, or an exit, wants something else. */
static void run(struct vcpu *v)
{
	for (;;) {
		int rc = kvm_vcpu_run(&v->kvm);

		if (rc == -EINTR || rc == -EAGAIN) {
			if (asked_to_leave(v))
				return;
			continue;
		}
		switch (vcpu_handle_exit(v, rc)) {
		case NEXT_RUN:
			break;
		case NEXT_PARK:
			park_self(v);
			break;
		case NEXT_STOP:
			stop_self(v);
			return;
		}
	}
}

static void *vcpu_main(void *arg)
{
	struct vcpu *v = arg;
	struct err e; /* if it matters, j->failed says so, too */
	char name[16];

	/* By itself: to name another thread takes a file in /proc, which may be out of reach. */
	snprintf(name, sizeof(name), "vcpu%u", v->index);
	pthread_setname_np(pthread_self(), name);
	v->pid = getpid();
	v->tid = gettid();
	jail_close(v->machine->jail, JAIL_VCPU, name, &e);
	pthread_mutex_lock(&v->lock);
	while (v->want != VCPU_STOPPED) {
		v->state = v->want;
		pthread_cond_broadcast(&v->changed);
		if (v->want == VCPU_PARKED) {
			pthread_cond_wait(&v->changed, &v->lock);
			continue;
		}
		pthread_mutex_unlock(&v->lock);
		if (v->index == 0)
			timeline_guest_starts(v->machine->cfg->timeline);
		run(v);
		pthread_mutex_lock(&v->lock);
	}
	v->state = VCPU_STOPPED;
	usage_close_vcpu(v);
	pthread_cond_broadcast(&v->changed);
	pthread_mutex_unlock(&v->lock);
	jail_leave_thread(v->machine->jail);
	return NULL;
}

int vcpu_start(struct vcpu *v, struct machine *m, unsigned int index, struct err *e)
{
	pthread_attr_t attr;
	int rc;

	v->machine = m;
	v->index = index;
	v->state = VCPU_STARTING;
	v->want = VCPU_PARKED;
	pthread_mutex_init(&v->lock, NULL);
	pthread_cond_init(&v->changed, NULL);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	rc = pthread_create(&v->thread, &attr, vcpu_main, v);
	pthread_attr_destroy(&attr);
	if (rc != 0)
		return err_set(e, -rc, "the thread of vCPU %u: %s", index, strerror(rc));
	v->has_thread = true;
	return 0;
}

/* Not pthread_kill(), which makes four system calls of it. STARTING: it has not begun, and will see
 * v->want. */
static void kick(const struct vcpu *v)
{
	if (v->state != VCPU_STARTING)
		VMM_BUG_ON(syscall(SYS_tgkill, v->pid, v->tid, SIGNALS_KICK) < 0);
}

void vcpu_ask(struct vcpu *v, enum vcpu_state want)
{
	if (!v->has_thread)
		return;
	pthread_mutex_lock(&v->lock);
	if (v->want != VCPU_STOPPED) {
		set_want_locked(v, want);
		pthread_cond_broadcast(&v->changed);
		if (want != VCPU_RUNNING)
			kick(v);
	}
	pthread_mutex_unlock(&v->lock);
}

void vcpu_wait(struct vcpu *v)
{
	if (!v->has_thread)
		return;
	pthread_mutex_lock(&v->lock);
	while (v->state == VCPU_RUNNING || v->state == VCPU_STARTING)
		pthread_cond_wait(&v->changed, &v->lock);
	pthread_mutex_unlock(&v->lock);
}

void vcpu_join(struct vcpu *v)
{
	if (!v->has_thread)
		return;
	VMM_BUG_ON(pthread_join(v->thread, NULL) != 0);
	v->has_thread = false;
	pthread_cond_destroy(&v->changed);
	pthread_mutex_destroy(&v->lock);
}
