/*
 * machine_guest.h - a machine whose guest is a function of the test, and what such guests do.
 */
#ifndef TESTS_MACHINE_GUEST_H
#define TESTS_MACHINE_GUEST_H
#include "fake_vm.h"
#include "unit.h"
#include <vmm/dev/acpi_pm.h>

static struct fake_vm vm;

#define SLEEP_S5 (ACPI_PM_SLP_TYP_S5 << 2 | 1 << 5)

static inline int power_off(struct kvm_run *run)
{
	return guest_out(run, ACPI_PM_BASE + ACPI_PM_SLEEP_CONTROL, SLEEP_S5);
}

static inline int reset(struct kvm_run *run)
{
	return guest_out(run, ACPI_PM_BASE + ACPI_PM_RESET, ACPI_PM_RESET_VALUE);
}

#define GUEST(name)                                                                                \
	static int name(unsigned int id, unsigned int boot, unsigned int step, struct kvm_run *run)

/* What a guest does after it has ended itself; it must never come to this. */
static bool ran_on;

static inline int never(void)
{
	ran_on = true;
	return FAKE_GUEST_HALTS;
}

#endif
