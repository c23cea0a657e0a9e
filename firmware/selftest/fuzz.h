/*
 * fuzz.h - random accesses from ring 3 to whatever a guest can reach.
 */
#ifndef VMM_FIRMWARE_SELFTEST_FUZZ_H
#define VMM_FIRMWARE_SELFTEST_FUZZ_H
#include <stdint.h>

/*
 * Runs `count` accesses that follow from the seed. On the boot CPU, at ring 3 with interrupts on,
 * all CPUs started; main.c ends the machine afterwards. Ring 0 is reached by cpu.h, "The gate".
 */
void fuzz_run(uint64_t seed, uint64_t count);

#endif
