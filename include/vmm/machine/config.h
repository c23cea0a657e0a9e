/*
 * config.h - everything that a user can say about a VM, with its defaults and all its limits.
 */
#ifndef VMM_MACHINE_CONFIG_H
#define VMM_MACHINE_CONFIG_H
#include <stdbool.h>
#include <stdint.h>
#include <vmm/arch/arch.h>
#include <vmm/base/err.h>
#include <vmm/block/disk_spec.h>
#include <vmm/host/chardev.h>
#include <vmm/jail/cgroup.h>
#include <vmm/jail/jail.h>
#include <vmm/net/net_spec.h>
#include <vmm/virtio/virtio_console.h>
#include <vmm/virtio/virtio_rng.h>

#define CONFIG_MIN_RAM (UINT64_C(64) << 20)
#define CONFIG_MAX_DISKS 26u /* vda to vdz */
#define CONFIG_MAX_NETS 8u

/* Where the guest finds its virtio devices. */
enum transport {
	TRANSPORT_PCI,
	TRANSPORT_MMIO, /* by ACPI */
	TRANSPORT_MMIO_CMDLINE, /* by words on the kernel's command line */
};

/* One exit from the guest, as whoever watches the VM from inside the program is told of it. */
struct exit_seen {
	uint64_t pc; /* the linear address of a byte of the instruction that left the guest */
	const char *what; /* decoded, as --trace exits has it; borrowed for the call */
	bool is_access; /* to a port or to device memory; what follows is of such ones only */
	bool is_write;
	uint64_t at, value; /* of a string instruction, the first value */
	unsigned int size;
	const char *who; /* which device has answered, static; NULL: nobody is there */
};

/* Called once the exit has been answered, before the guest goes on. vCPU thread. */
typedef void (*exit_watch_fn)(void *arg, const struct exit_seen *x);

struct vm_config { /* strings are borrowed from argv or the environment, except cmdline_extra */
	const char *kernel; /* required */
	const char *initrd; /* NULL: none */
	uint64_t ram_bytes;
	bool mem_lock; /* RAM stays out of swap */
	bool mem_merge; /* and may be merged with equal pages of other processes: a side channel */
	struct cpu_topology cpus;
	struct cgroup_limits limits; /* what it may take of the host; io_paths: empty */
	bool core_scheduling; /* no other process beside us on a core */
	enum boot_mode boot;
	const char *cmdline; /* NULL: the architecture's default */
	char *append; /* NULL, or owned: what --append added */
	struct chardev_spec serial;
	bool has_serial; /* the user has said where it goes */
	struct console_spec console;
	struct disk_spec disks[CONFIG_MAX_DISKS];
	unsigned int n_disks;
	struct net_spec nets[CONFIG_MAX_NETS];
	unsigned int n_nets;
	struct rng_spec rng;
	enum transport transport;
	const char *stats_path; /* NULL: not wanted at the end; "-": stderr */
	uint64_t timeout_ns; /* 0: none; from start_ns on */
	const char *expect; /* NULL: nothing */
	bool exit_on_reboot;
	bool trace_exits;
	const char *trace_path; /* NULL: stderr */
	exit_watch_fn on_exit; /* NULL: nobody watches */
	void *on_exit_arg;
	const char *timeline_path; /* NULL: not wanted */
	struct timeline *timeline; /* NULL, or what is noted for it; owned by whoever began it */
	uint64_t start_ns; /* CLOCK_MONOTONIC, when the process began */
	enum jail_mode jail;
	struct outside *outside; /* NULL: there is nobody, and no jail; see outside.h */
};

/* 512 MiB, one CPU, console on stdio, an entropy device, neither disk nor network. */
void config_init(struct vm_config *c);
void config_fini(struct vm_config *c);

/* "4", or any of "sockets=1,cores=2,threads=2". */
int config_parse_cpus(struct vm_config *c, const char *s, struct err *e);
/* "stdio", "pty", "null", "file=PATH", "unix=PATH". */
int config_parse_serial(struct vm_config *c, const char *s, struct err *e);
/* One more disk, one more network interface ("none" takes all back). -E2BIG: too many. */
int config_add_disk(struct vm_config *c, const char *s, struct err *e);
int config_add_net(struct vm_config *c, const char *s, struct err *e);
/* "on", "strict", "log", "off". */
int config_parse_jail(struct vm_config *c, const char *s, struct err *e);
/* "pci", "mmio" or "mmio,cmdline". */
int config_parse_transport(struct vm_config *c, const char *s, struct err *e);
/* How many virtio devices that makes. */
unsigned int config_n_virtio(const struct vm_config *c);
/* Adds to what earlier calls added, with a space between. */
int config_append(struct vm_config *c, const char *s, struct err *e);

/* Once all has been said: what depends on several options. */
void config_settle(struct vm_config *c);

/* All checks that need no KVM and no file. -EINVAL, with the option and the limit named. */
int config_check(const struct vm_config *c, struct err *e);

/*
 * The whole command line for the guest, owned by the caller. At most max bytes. hardware: words
 * that say what is there, in any case; "" for none.
 */
int config_cmdline(const struct vm_config *c, const char *hardware, size_t max, char **out,
		   struct err *e);

#endif
