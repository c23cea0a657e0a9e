/*
 * calls.h - which system calls each thread may make, and what for: the table that seccomp.c's
 * filters are made of.
 *
 * Read when vmm is built, by tools/seccomp-filters.c, and by the tests. A line more is a decision:
 * what could a stranger do with it?
 *
 * Source: seccomp(2); Linux, Documentation/userspace-api/seccomp_filter.rst.
 */
#ifndef VMM_SRC_JAIL_CALLS_H
#define VMM_SRC_JAIL_CALLS_H
#include <asm/ioctls.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/futex.h>
#include <linux/if_tun.h>
#include <linux/kvm.h>
#include <linux/sockios.h>
#include <linux/vhost.h>
#include <sched.h>
#include <stdint.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <vmm/jail/jail.h>

/*
 * A thread has the filter of its role and, below it, BUILD's, which the main thread had when it
 * made the thread. So BUILD has all lines.
 */
#define B (1u << JAIL_BUILD)
#define C (1u << JAIL_VCPU) /* a CPU's */
#define L (1u << JAIL_LOOP)
#define W (1u << JAIL_WORKER)

enum test { NONE, EQUAL, MASKED, OURSELVES, CALLER };

struct line {
	int call;
	unsigned int roles;
	const char *why;
	enum test test; /* of one argument; CALLER: and the first one is 0 */
	unsigned int arg;
	uint64_t mask, value;
};

/* What may follow the reason: the argument that decides. */
#define ANY NONE, 0, 0, 0
#define ARG(n, val) EQUAL, n, 0, val
#define ARG_MASKED(n, m, val) MASKED, n, m, val
#define ARG_SELF(n) OURSELVES, n, 0, 0
#define ARG_CALLER(n, val) CALLER, n, 0, val
#define FUTEX(op) ARG_MASKED(1, FUTEX_CMD_MASK & 0xffffffffu, op)
#define DEVICE(request) ARG(1, request)

/* In place of our own process number, which is not known before the filter is installed. */
#define OURSELVES_NUMBER 0x6f757273u

/*
 * A call may have several lines, one for each value of an argument. Counted by
 * tests/unit/test_seccomp.c: at most 10 calls for a vCPU's thread, 35 for all threads together.
 */
static const struct line lines[] = {
	/* The guest, and its devices in the kernel. */
	{ SYS_ioctl, C, "running the guest", DEVICE(KVM_RUN) },
	{ SYS_ioctl, C | L, "an interrupt wire", DEVICE(KVM_IRQ_LINE) },
	{ SYS_ioctl, C | L, "an interrupt by eventfd", DEVICE(KVM_IRQFD) },
	{ SYS_ioctl, C | L, "where interrupts lead", DEVICE(KVM_SET_GSI_ROUTING) },
	{ SYS_ioctl, C | L, "an interrupt message", DEVICE(KVM_SIGNAL_MSI) },
	{ SYS_ioctl, C | L, "a notification by eventfd", DEVICE(KVM_IOEVENTFD) },
	{ SYS_ioctl, C, "registers, when the guest has crashed", DEVICE(KVM_GET_REGS) },
	{ SYS_ioctl, C, "registers, when the guest has crashed", DEVICE(KVM_GET_SREGS) },
	{ SYS_ioctl, C, "its code, when the guest has crashed", DEVICE(KVM_TRANSLATE) },
	{ SYS_ioctl, L, "a reset: what is on its way arrives", DEVICE(KVM_GET_VCPU_EVENTS) },
	{ SYS_ioctl, L, "a reset: what is on its way arrives", DEVICE(KVM_GET_MP_STATE) },
	{ SYS_ioctl, L, "a reset", DEVICE(KVM_SET_REGS) },
	{ SYS_ioctl, L, "a reset", DEVICE(KVM_SET_SREGS) },
	{ SYS_ioctl, L, "a reset", DEVICE(KVM_SET_MSRS) },
	{ SYS_ioctl, L, "a reset", DEVICE(KVM_SET_FPU) },
	{ SYS_ioctl, L, "a reset", DEVICE(KVM_SET_XSAVE) },
	{ SYS_ioctl, L, "a reset", DEVICE(KVM_SET_XCRS) },
	{ SYS_ioctl, L, "a reset", DEVICE(KVM_SET_DEBUGREGS) },
	{ SYS_ioctl, L, "a reset", DEVICE(KVM_SET_LAPIC) },
	{ SYS_ioctl, L, "a reset", DEVICE(KVM_SET_MP_STATE) },
	{ SYS_ioctl, L, "a reset", DEVICE(KVM_SET_VCPU_EVENTS) },
	{ SYS_ioctl, L, "a reset", DEVICE(KVM_SET_NESTED_STATE) },
	{ SYS_ioctl, L, "a reset", DEVICE(KVM_SET_IRQCHIP) },
	{ SYS_ioctl, L, "a reset", DEVICE(KVM_SET_CLOCK) },
	{ SYS_ioctl, L, "the size of a block device", DEVICE(BLKGETSIZE64) },
	{ SYS_ioctl, W, "discarding blocks", DEVICE(BLKDISCARD) },
	{ SYS_ioctl, C | L, "offloads that the driver wants", DEVICE(TUNSETOFFLOAD) },
	{ SYS_ioctl, C | L, "queues that the driver wants", DEVICE(TUNSETQUEUE) },
	{ SYS_ioctl, C | L, "vhost lets go of a ring", DEVICE(VHOST_NET_SET_BACKEND) },
	{ SYS_ioctl, C | L, "vhost lets go of a ring", DEVICE(VHOST_GET_VRING_BASE) },
	{ SYS_ioctl, L, "vhost gets a ring", DEVICE(VHOST_SET_FEATURES) },
	{ SYS_ioctl, L, "vhost gets a ring", DEVICE(VHOST_SET_VRING_NUM) },
	{ SYS_ioctl, L, "vhost gets a ring", DEVICE(VHOST_SET_VRING_BASE) },
	{ SYS_ioctl, L, "vhost gets a ring", DEVICE(VHOST_SET_VRING_ADDR) },
	{ SYS_ioctl, L, "vhost gets a ring", DEVICE(VHOST_SET_VRING_KICK) },
	{ SYS_ioctl, L, "vhost gets a ring", DEVICE(VHOST_SET_VRING_CALL) },
	{ SYS_ioctl, L, "vhost gets a ring", DEVICE(VHOST_SET_VRING_ERR) },
	{ SYS_ioctl, L, "is the tap up?", DEVICE(SIOCGIFFLAGS) },
	{ SYS_ioctl, L, "has the tap been renamed?", DEVICE(SIOCGIFNAME) },
	{ SYS_ioctl, L, "the size of the terminal", DEVICE(TIOCGWINSZ) },
	{ SYS_ioctl, L, "is it a terminal?", DEVICE(TCGETS) },
	{ SYS_ioctl, L, "a raw terminal, and back", DEVICE(TCSETS) },
	{ SYS_ioctl, L, "the same two, of newer C libraries", DEVICE(0x802c542a /* TCGETS2 */) },
	{ SYS_ioctl, L, "the same two, of newer C libraries", DEVICE(0x402c542b /* TCSETS2 */) },

	/* Bytes, by descriptors that are open. */
	{ SYS_read, C | L, "eventfds, consoles", ANY },
	{ SYS_write, C | L | W, "eventfds, consoles, the log", ANY },
	{ SYS_preadv2, L | W, "disks, images, taps", ANY },
	{ SYS_pwritev2, L | W, "disks, taps", ANY },
	{ SYS_fdatasync, W, "a flush of the guest", ANY },
	{ SYS_fallocate, W, "holes, and room in the cache", ANY },
	{ SYS_io_uring_enter, L, "the disk's ring, which is restricted to four operations", ANY },
	{ SYS_recvmsg, L, "sockets, and the broker's answers", ANY },
	{ SYS_sendmsg, L, "sockets, and questions to the broker", ANY },
	{ SYS_accept4, L, "a client of a console", ANY },
	{ SYS_fstat, L, "the size of what is open", ANY },
	{ SYS_fcntl, L, "a second descriptor of a client", ARG(1, F_DUPFD_CLOEXEC) },
	{ SYS_fcntl, L, "the log's stream", ARG(1, F_GETFL) },
	{ SYS_flock, L, "a disk's lock, at its end", ARG(1, LOCK_UN) },
	{ SYS_close, L, "a client that has gone", ANY },

	/* Waiting for each other, and for the world. */
	{ SYS_futex, C | L | W, "locks", FUTEX(FUTEX_WAIT) },
	{ SYS_futex, C | L | W, "locks", FUTEX(FUTEX_WAKE) },
	{ SYS_futex, C | L | W, "condition variables", FUTEX(FUTEX_WAIT_BITSET) },
	{ SYS_poll, C | L, "does the log's reader take it?", ANY },
	{ SYS_epoll_wait, L, "the event loop", ANY },
	{ SYS_epoll_ctl, L, "the event loop", ANY },
	{ SYS_sched_setscheduler, L, "the guest first", ARG_CALLER(1, SCHED_BATCH) },
	{ SYS_sched_setscheduler, L, "and no more", ARG_CALLER(1, SCHED_OTHER) },
	{ SYS_clock_gettime, C | L | W, "clocks that the vDSO does not have", ANY },
	{ SYS_restart_syscall, C | L | W, "waiting goes on after a stop", ANY },
	{ SYS_tgkill, L, "kicking a vCPU", ARG_SELF(0) },
	{ SYS_rt_sigreturn, C | L, "the end of a signal's handler", ANY },
	{ SYS_rt_sigprocmask, L, "signals by descriptor, and back", ANY },
	{ SYS_getrandom, L, "entropy for the guest", ANY },
	{ SYS_getrusage, L, "--stats", ARG(0, 0) },
	{ SYS_wait4, L, "a helper's end", ANY },
	{ SYS_pidfd_send_signal, L, "a helper's end", ANY },

	/* Memory that is never a program. */
	{ SYS_mmap, L, "memory", ARG_MASKED(2, PROT_EXEC, 0) },
	{ SYS_munmap, L, "memory", ANY },
	{ SYS_brk, L, "memory", ANY },
	{ SYS_madvise, L, "RAM at a reset", ARG(2, MADV_DONTNEED) },
	{ SYS_madvise, L, "locked RAM at a reset", ARG(2, 24 /* MADV_DONTNEED_LOCKED */) },
	{ SYS_madvise, L, "RAM in place of the kernel's file, at a reset", ARG(2, MADV_HUGEPAGE) },
	{ SYS_madvise, L, "the kernel's file in RAM, at a reset", ARG(2, MADV_DONTDUMP) },

	/* The end. */
	{ SYS_exit, C | W, "a thread's end", ANY },
	{ SYS_exit_group, L, "the end", ANY },

	/* The rest of the building, on one thread, before there is a guest. */
	{ SYS_ioctl, B, "making the VM", DEVICE(KVM_CREATE_VM) },
	{ SYS_ioctl, B, "making the VM", DEVICE(KVM_CHECK_EXTENSION) },
	{ SYS_ioctl, B, "making the VM", DEVICE(KVM_SET_USER_MEMORY_REGION) },
	{ SYS_ioctl, B, "making the VM", DEVICE(KVM_SET_TSS_ADDR) },
	{ SYS_ioctl, B, "making the VM", DEVICE(KVM_SET_IDENTITY_MAP_ADDR) },
	{ SYS_ioctl, B, "making the VM", DEVICE(KVM_CREATE_IRQCHIP) },
	{ SYS_ioctl, B, "making the VM", DEVICE(KVM_ENABLE_CAP) },
	{ SYS_ioctl, B, "making a vCPU", DEVICE(KVM_CREATE_VCPU) },
	{ SYS_ioctl, B, "making a vCPU", DEVICE(KVM_GET_SUPPORTED_CPUID) },
	{ SYS_ioctl, B, "making a vCPU", DEVICE(KVM_SET_CPUID2) },
	{ SYS_ioctl, B, "making a vCPU", DEVICE(KVM_GET_TSC_KHZ) },
	{ SYS_ioctl, B, "vhost's thread", DEVICE(VHOST_SET_OWNER) },
	{ SYS_ioctl, B, "what vhost may touch", DEVICE(VHOST_SET_MEM_TABLE) },
	{ SYS_ioctl, B, "what a reset puts back", DEVICE(KVM_GET_REGS) },
	{ SYS_ioctl, B, "what a reset puts back", DEVICE(KVM_GET_SREGS) },
	{ SYS_ioctl, B, "what a reset puts back", DEVICE(KVM_GET_MSRS) },
	{ SYS_ioctl, B, "what a reset puts back", DEVICE(KVM_GET_MSR_INDEX_LIST) },
	{ SYS_ioctl, B, "what a reset puts back", DEVICE(KVM_GET_FPU) },
	{ SYS_ioctl, B, "what a reset puts back", DEVICE(KVM_GET_XSAVE) },
	{ SYS_ioctl, B, "what a reset puts back", DEVICE(KVM_GET_XSAVE2) },
	{ SYS_ioctl, B, "what a reset puts back", DEVICE(KVM_GET_XCRS) },
	{ SYS_ioctl, B, "what a reset puts back", DEVICE(KVM_GET_DEBUGREGS) },
	{ SYS_ioctl, B, "what a reset puts back", DEVICE(KVM_GET_LAPIC) },
	{ SYS_ioctl, B, "what a reset puts back", DEVICE(KVM_GET_NESTED_STATE) },
	{ SYS_ioctl, B, "what a reset puts back", DEVICE(KVM_GET_IRQCHIP) },
	{ SYS_ioctl, B, "what a reset puts back", DEVICE(KVM_GET_CLOCK) },
	{ SYS_pread64, B, "the process's size, for its limit", ANY },
	{ SYS_lseek, B, "the unpacked kernel", ANY },
	{ SYS_ftruncate, B, "the unpacked kernel", ANY },
	{ SYS_memfd_create, B, "the unpacked kernel, where there is no cache", ANY },
	{ SYS_clone, B, "threads, no processes",
	  ARG_MASKED(0, CLONE_VM | CLONE_THREAD | CLONE_SIGHAND,
		     CLONE_VM | CLONE_THREAD | CLONE_SIGHAND) },
	{ SYS_set_robust_list, B, "the C library's share in a thread", ANY },
	{ SYS_rseq, B, "the C library's share in a thread", ANY },
	{ SYS_mprotect, B, "stacks, the C library's heaps", ARG_MASKED(2, PROT_EXEC, 0) },
	{ SYS_madvise, B, "RAM", ANY },
	{ SYS_prctl, B, "naming threads", ARG(0, PR_SET_NAME) },
	{ SYS_gettid, B, "naming threads", ANY },
	{ SYS_getpid, B, "signals to threads", ANY },
	{ SYS_rt_sigaction, B, "the kick of a vCPU", ANY },
	{ SYS_signalfd4, B, "signals by descriptor", ANY },
	{ SYS_prlimit64, B, "the last limits, our own", ARG(0, 0) },
	{ SYS_dup, B, "how many descriptors there are", ANY },
	{ SYS_fcntl, B, "streams", ARG(1, F_SETFL) },
	{ SYS_fcntl, B, "streams", ARG(1, F_GETFD) },
	{ SYS_fcntl, B, "streams", ARG(1, F_SETFD) },
	{ SYS_eventfd2, B, "interrupts", ANY },
	{ SYS_seccomp, B, "the threads' own filters", ANY },
};

/* Asked for by the C library, which has another way: refused, and no reason to end. */
static const struct {
	int call, error;
	const char *why;
} declined[] = {
	{ SYS_newfstatat, ENOSYS, "the C library's fstat(), of a stream: it does without" },
	{ SYS_mremap, ENOMEM, "realloc() of much: it copies instead" },
	{ SYS_clone3, ENOSYS, "a thread: its flags cannot be looked at; clone() follows" },
};

#endif
