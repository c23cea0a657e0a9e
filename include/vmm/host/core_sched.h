/*
 * core_sched.h - no thread of another process beside one of ours on the same core.
 *
 * Two hardware threads of a core share caches and buffers; what one leaves there the other may find
 * out (L1TF, MDS and their kind). Core scheduling lets threads with the same cookie alone meet.
 */
#ifndef VMM_HOST_CORE_SCHED_H
#define VMM_HOST_CORE_SCHED_H
#include <vmm/base/err.h>

#define CORE_SCHED_SMT "/sys/devices/system/cpu/smt/active" /* "1": cores have several threads */

/*
 * Gives this process a cookie of its own: all threads that it has, and all threads and processes
 * that these make from now on. A host whose cores have one hardware thread each has nothing to keep
 * apart, which is told at LOG_INFO and no error. -EINVAL: the kernel cannot. smt: CORE_SCHED_SMT,
 * or a test's file. Main thread, before there are others. prctl(2), PR_SCHED_CORE.
 */
int core_sched_enable(const char *smt, struct err *e);

#endif
