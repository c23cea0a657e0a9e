/*
 * acpi_pm.h - the ACPI registers of a hardware-reduced platform: sleep, reset, power button.
 */
#ifndef VMM_DEV_ACPI_PM_H
#define VMM_DEV_ACPI_PM_H
#include <vmm/dev/device.h>

/* The register block; FADT and DSDT name the same ports. */
#define ACPI_PM_BASE 0x600
#define ACPI_PM_SLEEP_CONTROL 0 /* ACPI 6.4, 4.8.3.7: SLP_TYP in bits 2-4, SLP_EN bit 5 */
#define ACPI_PM_SLEEP_STATUS 1 /* WAK_STS bit 7 */
#define ACPI_PM_RESET 2 /* write ACPI_PM_RESET_VALUE */
#define ACPI_PM_EVENTS 3 /* reads which events are pending and clears them: bit 0 power button */
#define ACPI_PM_LEN 4
#define ACPI_PM_RESET_VALUE 0x01
#define ACPI_PM_SLP_TYP_S5 5
#define ACPI_PM_IRQ 9 /* the Generic Event Device's interrupt: level, active high */

int acpi_pm_create(struct device **out, const struct device_env *env, struct err *e);

/* Presses the power button. Loop thread. */
void acpi_pm_press_power_button(struct device *d);

#endif
