/*
 * clocks.h - what clocks.c, inside of a VMM, tells watch.c: CLOCK_MONOTONIC in nanoseconds, 0 for
 * what has not happened. The page that they share is the file that the variable names.
 */
#ifndef VMM_TESTS_BENCH_CLOCKS_H
#define VMM_TESTS_BENCH_CLOCKS_H
#include <stdint.h>

#define CLOCKS_VARIABLE "BENCH_CLOCKS"

struct clocks {
	uint64_t create_vm, create_vm_end; /* around the first KVM_CREATE_VM */
	uint64_t first_run; /* when the first KVM_RUN was called */
};

#endif
