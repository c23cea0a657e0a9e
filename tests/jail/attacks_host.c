/*
 * attacks_host.c - what belongs to the host as a whole: mounts, clocks, modules, keys, tracing.
 *
 * Life of a VM: see attack.h. Where nothing stops them, they change nothing: most ask for what
 * cannot be, and are told so only after permission was given (`passed` says how).
 */
#include "attack.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/keyctl.h>
#include <linux/perf_event.h>
#include <linux/userfaultfd.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/mount.h>
#include <sys/quota.h>
#include <sys/timex.h>
#include <time.h>

#define MNT_DETACH_ 2 /* <sys/mount.h> and <linux/mount.h> cannot be had together */
#define OPEN_TREE_CLONE_ 1
#define MOVE_MOUNT_F_EMPTY_PATH_ 4
#define KEY_SESSION PTR(KEY_SPEC_SESSION_KEYRING)
#define NO_SUCH "/no-such-file-of-vmm-door"
#define LONG_NAME 65 /* too long for a host */

static long mount_tmpfs(void)
{
	long rc = sys(SYS_mount, "none", door.dir, "tmpfs", 0, NULL);

	if (rc == 0)
		sys(SYS_umount2, door.dir, MNT_DETACH_);
	return rc;
}

static long unmount(void)
{
	return sys(SYS_umount2, door.dir, 0);
}

static long copy_tree(void)
{
	return closed(sys(SYS_open_tree, AT_FDCWD, "/", OPEN_TREE_CLONE_ | O_CLOEXEC));
}

static long new_file_system(void)
{
	return closed(sys(SYS_fsopen, "tmpfs", 1));
}

static long pick_file_system(void)
{
	return closed(sys(SYS_fspick, AT_FDCWD, "/", 1));
}

static long load_bpf(void)
{
	/* BPF_MAP_TYPE_ARRAY of one number */
	union bpf_attr attr = {
		.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1
	};

	return closed(sys(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr)));
}

static long watch_cpu(void)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_SOFTWARE,
					.size = sizeof(attr),
					.config = PERF_COUNT_SW_CPU_CLOCK };

	return closed(sys(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC));
}

static long watch_self(void)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_SOFTWARE,
					.size = sizeof(attr),
					.config = PERF_COUNT_SW_CPU_CLOCK,
					.exclude_kernel = 1 };

	return closed(sys(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC));
}

static long open_by_handle(void)
{
	struct {
		struct {
			unsigned int bytes;
			int type;
		} head;
		unsigned char handle[8];
	} h = { .head = { 8, 1 } };
	long rc = sys(SYS_open_by_handle_at, AT_FDCWD, &h, O_RDONLY);

	return rc == -ESTALE ? 0 : rc;
}

static long step_clock(void)
{
	struct timex t = { .modes = ADJ_TICK, .tick = 0 };
	long rc = sys(SYS_adjtimex, &t);

	return rc == -EINVAL ? 0 : rc;
}

static long step_that_clock(void)
{
	struct timex t = { .modes = ADJ_TICK, .tick = 0 };
	long rc = sys(SYS_clock_adjtime, CLOCK_REALTIME, &t);

	return rc == -EINVAL ? 0 : rc;
}

static long set_clock(void)
{
	const struct timespec never = { 0, -1 };

	return sys(SYS_clock_settime, CLOCK_REALTIME, &never);
}

static long new_ring(void)
{
	struct io_uring_params p = { 0 };
	return closed(sys(SYS_io_uring_setup, 4, &p));
}

static long new_landlock(void)
{
	const uint64_t handled[1] = { 1 };

	return closed(sys(SYS_landlock_create_ruleset, handled, sizeof(handled), 0));
}

static long shared_memory(void)
{
	long id = sys(SYS_shmget, IPC_PRIVATE, 4096, 0600);

	if (id >= 0)
		sys(SYS_shmctl, id, IPC_RMID, NULL);
	return id;
}

static long message_queue(void)
{
	long id = sys(SYS_msgget, IPC_PRIVATE, 0600);

	if (id >= 0)
		sys(SYS_msgctl, id, IPC_RMID, NULL);
	return id;
}

static long semaphores(void)
{
	long id = sys(SYS_semget, IPC_PRIVATE, 1, 0600);

	if (id >= 0)
		sys(SYS_semctl, id, 0, IPC_RMID, 0);
	return id;
}

const struct attack attacks_on_the_host[] = {
	TRY("mount", "mounts a file system", "mount", LAYER_PRIV, mount_tmpfs),
	{ "umount", "may unmount", "umount2", LAYER_PRIV, unmount, .passed = { EINVAL } },
	{ "pivot-root", "may change the root of all", .flags = LAYER_PRIV, ONE_CALL(pivot_root),
	  ARGS(PTR("/"), PTR("/")), .passed = { EINVAL, EBUSY } },
	{ "chroot", "changes its root", .flags = LAYER_PRIV, ONE_CALL(chroot), ARGS(PTR("/")) },
	TRY("open-tree", "copies a mount", "open_tree", LAYER_PRIV, copy_tree),
	{ "move-mount", "may move mounts", .flags = LAYER_PRIV, ONE_CALL(move_mount),
	  ARGS(-1, PTR(""), -1, PTR(""), MOVE_MOUNT_F_EMPTY_PATH_), .passed = { EBADF, ENOENT } },
	TRY("fsopen", "makes a file system", "fsopen", LAYER_PRIV, new_file_system),
	TRY("fspick", "changes a file system", "fspick", LAYER_PRIV, pick_file_system),
	{ "swapon", "may turn swap on", .flags = LAYER_PRIV, ONE_CALL(swapon), ARGS(PTR(NO_SUCH)),
	  .passed = { ENOENT } },
	{ "swapoff", "may turn swap off", .flags = LAYER_PRIV, ONE_CALL(swapoff),
	  ARGS(PTR(NO_SUCH)), .passed = { ENOENT, EINVAL } },
	{ "quotactl", "asks for quotas", .flags = LAYER_ROOT, ONE_CALL(quotactl),
	  ARGS(QCMD(Q_GETFMT, USRQUOTA), PTR("/dev/null")), .passed = { ENOTBLK } },
	{ "acct", "may turn accounting on", .flags = LAYER_PRIV, ONE_CALL(acct), ARGS(PTR(NO_SUCH)),
	  .passed = { ENOENT } },
	{ "reboot", "may reboot the host", .flags = LAYER_PRIV, ONE_CALL(reboot),
	  .passed = { EINVAL } },
	{ "init-module", "may load a module", .flags = LAYER_PRIV, ONE_CALL(init_module),
	  ARGS(0, 0, PTR("")), .passed = { ENOEXEC } },
	{ "finit-module", "may load a module", .flags = LAYER_PRIV, ONE_CALL(finit_module),
	  ARGS(-1, PTR("")), .passed = { EBADF } },
	{ "delete-module", "may unload a module", .flags = LAYER_PRIV, ONE_CALL(delete_module),
	  ARGS(PTR("no_such_module_of_vmm_door")), .passed = { ENOENT } },
	{ "kexec-load", "may load a kernel", .flags = LAYER_PRIV, ONE_CALL(kexec_load),
	  ARGS(0, 0, 0, -1), .passed = { EINVAL } },
	{ "kexec-file", "may load a kernel", .flags = LAYER_PRIV, ONE_CALL(kexec_file_load),
	  ARGS(-1, -1, 0, 0, -1), .passed = { EINVAL } },
	{ "syslog", "reads the kernel's log", .flags = LAYER_PRIV, ONE_CALL(syslog), ARGS(9) },
	{ "sethostname", "may rename the host", .flags = LAYER_PRIV, ONE_CALL(sethostname),
	  ARGS(PTR("x"), LONG_NAME), .passed = { EINVAL } },
	{ "setdomainname", "may rename the domain", .flags = LAYER_PRIV, ONE_CALL(setdomainname),
	  ARGS(PTR("x"), LONG_NAME), .passed = { EINVAL } },
	{ "settimeofday", "may set the clock", .flags = LAYER_PRIV, ONE_CALL(settimeofday) },
	TRY("clock-settime", "no clock can be set to what is no time", "clock_settime",
	    LAYER_PRIV | NEVER, set_clock),
	TRY("adjtimex", "may adjust the clock", "adjtimex", LAYER_PRIV, step_clock),
	TRY("clock-adjtime", "may adjust the clock", "clock_adjtime", LAYER_PRIV, step_that_clock),
	{ "keyctl", "has a keyring", .flags = 0, ONE_CALL(keyctl),
	  ARGS(KEYCTL_GET_KEYRING_ID, KEY_SESSION, 0), .passed = { ENOKEY } },
	{ "add-key", "adds a key", .flags = 0, ONE_CALL(add_key),
	  ARGS(PTR("user"), PTR("vmm-door"), PTR("x"), 1, KEY_SPEC_THREAD_KEYRING) },
	{ "request-key", "asks for a key", .flags = 0, ONE_CALL(request_key),
	  ARGS(PTR("user"), PTR("vmm-door-none"), 0, 0), .passed = { ENOKEY } },
	TRY("bpf", "makes a map for BPF", "bpf", 0, load_bpf),
	TRY("perf-cpu", "watches a CPU of the host", "perf_event_open", LAYER_PRIV, watch_cpu),
	TRY("perf-self", "counts events", "perf_event_open", 0, watch_self),
	{ "userfaultfd", "handles page faults", .flags = 0, ONE_CALL(userfaultfd),
	  ARGS(O_CLOEXEC | UFFD_USER_MODE_ONLY) },
	TRY("io-uring", "has a new ring", "io_uring_setup", 0, new_ring),
	{ "fanotify", "watches file systems", .flags = LAYER_PRIV, ONE_CALL(fanotify_init),
	  ARGS(FAN_CLASS_CONTENT | FAN_CLOEXEC, O_RDONLY) },
	{ "inotify-init", "can watch files", .flags = 0, ONE_CALL(inotify_init1),
	  ARGS(IN_CLOEXEC) },
	TRY("landlock", "makes rules", "landlock_create_ruleset", 0, new_landlock),
	TRY("open-by-handle", "opens files by number", "open_by_handle_at", LAYER_PRIV,
	    open_by_handle),
	TRY("shmget", "has shared memory", "shmget", 0, shared_memory),
	TRY("msgget", "has a queue", "msgget", 0, message_queue),
	TRY("semget", "has semaphores", "semget", 0, semaphores),
	{ "uselib", "Linux has it no more", .flags = NEVER, ONE_CALL(uselib),
	  ARGS(PTR("/etc/passwd")) },
	{ "sysfs", "learns of file systems", .flags = 0, ONE_CALL(sysfs), ARGS(3) },
	{ "sysctl", "Linux has it no more", .flags = NEVER, ONE_CALL(_sysctl) },
	{ "nfsservctl", "Linux has it no more", .flags = NEVER, ONE_CALL(nfsservctl) },
	{ "lookup-dcookie", "Linux has it no more", .flags = NEVER, ONE_CALL(lookup_dcookie) },
	{ "create-module", "Linux has it no more", .flags = NEVER, ONE_CALL(create_module) },
	{ "vhangup", "hangs up the terminal", .flags = LAYER_PRIV, ONE_CALL(vhangup) },
	{ 0 },
};
