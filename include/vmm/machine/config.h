/*
 * config.h - everything that a user can say about a VM, with its defaults and all its limits.
 */
#ifndef VMM_MACHINE_CONFIG_H
#define VMM_MACHINE_CONFIG_H
#include <stdbool.h>
#include <stdint.h>
#include <vmm/arch/arch.h>
#include <vmm/base/err.h>
#include <vmm/host/chardev.h>

#define CONFIG_MIN_RAM (UINT64_C(64) << 20)

struct vm_config { /* strings are borrowed from argv or the environment, except cmdline_extra */
	const char *kernel; /* required */
	const char *initrd; /* NULL: none */
	uint64_t ram_bytes;
	struct cpu_topology cpus;
	enum boot_mode boot;
	const char *cmdline; /* NULL: the architecture's default */
	char *append; /* NULL, or owned: what --append added */
	struct chardev_spec serial;
	uint64_t timeout_ns; /* 0: none; from start_ns on */
	const char *expect; /* NULL: nothing */
	bool exit_on_reboot;
	bool trace_exits;
	const char *trace_path; /* NULL: stderr */
	uint64_t start_ns; /* CLOCK_MONOTONIC, when the process began */
};

/* 512 MiB, one CPU, console on stdio. */
void config_init(struct vm_config *c);
void config_fini(struct vm_config *c);

/* "4", or any of "sockets=1,cores=2,threads=2". */
int config_parse_cpus(struct vm_config *c, const char *s, struct err *e);
/* "stdio", "pty", "null", "file=PATH", "unix=PATH". */
int config_parse_serial(struct vm_config *c, const char *s, struct err *e);
/* Adds to what earlier calls added, with a space between. */
int config_append(struct vm_config *c, const char *s, struct err *e);

/* All checks that need no KVM and no file. -EINVAL, with the option and the limit named. */
int config_check(const struct vm_config *c, struct err *e);

/* The whole command line for the guest, owned by the caller. At most max bytes. */
int config_cmdline(const struct vm_config *c, size_t max, char **out, struct err *e);

#endif
