/*
 * loop.h - what loop.c has beside vmm/host/evloop.h: its clock is the target's.
 */
#ifndef TESTS_FUZZ_LOOP_H
#define TESTS_FUZZ_LOOP_H
#include <vmm/host/evloop.h>

/* Time passes. Nothing runs before the next evloop_run(). */
void loop_advance(uint64_t ns);
/* One round: fds that are ready, tasks, timers that are due. false: there was nothing to do. */
bool loop_turn(struct evloop *l);

#endif
