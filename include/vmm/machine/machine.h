/*
 * machine.h - one VM, from its parts to its end.
 */
#ifndef VMM_MACHINE_MACHINE_H
#define VMM_MACHINE_MACHINE_H
#include <vmm/base/err.h>
#include <vmm/machine/config.h>

struct machine;

/* How a VM can end, and the exit status that main makes of it (README.md, "Exit status"). */
enum vm_end {
	END_NONE,
	END_POWEROFF,
	END_REBOOT, /* under --on-reboot exit */
	END_EXPECTED, /* --expect was satisfied */
	END_STATUS, /* value: the guest's own status, 0 to 119 */
	END_PANIC,
	END_CRASH,
	END_TIMEOUT,
	END_SIGNAL, /* value: the signal */
	END_USER, /* Ctrl-A x */
	END_HOST, /* the host failed us in mid-run (at a reset); already logged */
};

struct vm_result {
	enum vm_end end;
	unsigned int value;
	bool expected; /* --expect was given and its text has come */
};

/* Builds everything up to the point where only the vCPU threads are missing. cfg outlives the
 * machine. */
int machine_build(struct machine **out, const struct vm_config *cfg, struct err *e);
/* Runs it until it ends. The console has been drained when this returns. Main thread. */
int machine_run(struct machine *m, struct vm_result *result, struct err *e);
/* Undoes machine_build(); NULL and half-built machines are fine. */
void machine_destroy(struct machine *m);

#endif
