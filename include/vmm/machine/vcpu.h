/*
 * vcpu.h - a vCPU's thread, which lives as long as the VM runs, and its three states.
 *
 *	STARTING -> PARKED <-> RUNNING -> STOPPED
 *
 * Each transition is asked for by the loop and made by the vCPU's own thread. A parked vCPU is
 *between two instructions: an access to a port or to memory that had left the guest is complete.
 */
#ifndef VMM_MACHINE_VCPU_H
#define VMM_MACHINE_VCPU_H
#include <pthread.h>
#include <stdbool.h>
#include <sys/types.h>
#include <vmm/base/err.h>
#include <vmm/kvm/kvm_state.h>
#include <vmm/kvm/kvm_vcpu.h>

struct machine;

enum vcpu_state { VCPU_STARTING, VCPU_PARKED, VCPU_RUNNING, VCPU_STOPPED };

struct vcpu {
	struct kvm_vcpu kvm; /* its thread's, unless that is parked */
	struct kvm_vcpu_state *at_start; /* what a reset brings back; main thread */
	struct machine *machine;
	unsigned int index;
	pthread_t thread;
	bool has_thread;
	pid_t pid, tid; /* as the thread itself sees them, once it has begun */

	pthread_mutex_t lock; /* guards what follows; taken with no other lock held */
	pthread_cond_t changed;
	enum vcpu_state want; /* also read without the lock, atomically */
	enum vcpu_state state;
};

/* What an exit handler decides. */
enum vcpu_next {
	NEXT_RUN,
	NEXT_PARK, /* the guest has asked for something that ends or resets the VM */
	NEXT_STOP, /* this vCPU cannot go on */
};

/* Starts the thread, which closes its jail and is PARKED then: see vcpu_wait(). v->kvm is ready;
 * signals that end the VMM are blocked. Loop thread. */
int vcpu_start(struct vcpu *v, struct machine *m, unsigned int index, struct err *e);
/* Asks, and returns at once. STOPPED vCPUs stay so. Loop thread. */
void vcpu_ask(struct vcpu *v, enum vcpu_state want);
/* Returns once a vCPU that was started, or asked to park or stop, has done so. Loop thread. */
void vcpu_wait(struct vcpu *v);
/*
 * An exit for a port or for device memory is half an instruction: does the other half, and nothing
 * else. 0: that has led to the next exit; else as kvm_vcpu_run(). The vCPU's own thread.
 */
int vcpu_complete_exit(struct vcpu *v);
/* After vcpu_ask(VCPU_STOPPED): joins the thread. One that never started is fine. */
void vcpu_join(struct vcpu *v);

#endif
