/*
 * cmd_doctor.c - `vmm doctor`: what will work on this host, and what to do about what will not.
 *
 * Life of a VM: before there is one. Exit status 0: stock kernels boot here; 125: they do not, and
 * the last line says why; 126: the file of --kernel is no kernel.
 */
#include "cli.h"
#include "doctor.h"
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <vmm/arch/arch.h>
#include <vmm/arch/probe.h>
#include <vmm/base/util.h>
#include <vmm/host/vhost.h>
#include <vmm/kvm/kvm_sys.h>

/* Below this a kernel's start takes minutes: hardware does a thousand times more, interpreters
 * less. */
#define USEFUL_INSTRUCTIONS_PER_S 5000000ull
#define TRIES 5
#define SLOW_CREATE_VM_NS (5 * NS_PER_MS)

struct request {
	const char *kernel;
	bool jail;
};

static int set_kernel(void *r, const char *v, struct err *e)
{
	(void)e;
	((struct request *)r)->kernel = v;
	return 0;
}

static int set_jail(void *r, const char *v, struct err *e)
{
	(void)v, (void)e;
	((struct request *)r)->jail = true;
	return 0;
}

const struct opt doctor_options[] = {
	{ "kernel", "FILE", "Also says what this kernel is, and what it lacks.", set_kernel },
	{ "jail", NULL, "Says only which layers of a VM's jail hold on this host, for this user.",
	  set_jail },
	{ 0 },
};

static void say_host(void)
{
	struct sysinfo si;
	struct utsname u;

	uname(&u);
	sysinfo(&si);
	printf("host:     %s %s %s, %ld CPUs, %llu MiB of RAM\n", u.sysname, u.release, u.machine,
	       sysconf(_SC_NPROCESSORS_ONLN),
	       (unsigned long long)((uint64_t)si.totalram * si.mem_unit / MIB));
}

static bool cpu_has(const char *flag)
{
	FILE *f = fopen("/proc/cpuinfo", "re");
	char *line = NULL, *save, *word;
	bool found = false;
	size_t size = 0;

	while (f && !found && getline(&line, &size, f) > 0) {
		if (strncmp(line, "flags", 5) != 0)
			continue;
		for (word = strtok_r(line, " \t\n", &save); word && !found;
		     word = strtok_r(NULL, " \t\n", &save))
			found = strcmp(word, flag) == 0;
		break;
	}
	free(line);
	if (f)
		fclose(f);
	return found;
}

/* Capabilities that we look at and that are not there. */
static void say_caps(const struct kvm_sys *sys)
{
	unsigned int missing = 0;

	for (const struct kvm_cap *c = kvm_caps; c->name; c++) {
		if (kvm_sys_cap(sys, c->number) > 0)
			continue;
		missing++;
		printf("missing:  %s (%s): %s\n", c->name, c->needed ? "needed" : "useful", c->why);
	}
	if (missing == 0)
		printf("features: all that vmm uses; up to %u CPUs in a VM\n", sys->max_vcpus);
}

/* Is any cgroup hierarchy mounted with this option? */
static bool cgroup_mounted_with(const char *option)
{
	FILE *f = fopen("/proc/mounts", "re");
	char line[1024];
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f))
		found = strstr(line, " cgroup") && strstr(line, option);
	if (f)
		fclose(f);
	return found;
}

/*
 * Host settings that make each KVM_CREATE_VM wait: with the huge-page mitigation KVM starts a
 * kernel thread for each VM, and moving that into the VMM's cgroup waits for a grace period of RCU.
 */
static void say_settings(const struct probe *p)
{
	char value[128];

	if (doctor_first_line("/sys/kernel/mm/transparent_hugepage/enabled", value,
			      sizeof(value)) &&
	    strstr(value, "[never]"))
		printf("slow:     transparent huge pages are off: guests run slower; remedy: echo "
		       "madvise | "
		       "sudo tee /sys/kernel/mm/transparent_hugepage/enabled\n");
	if (doctor_first_line("/sys/module/kvm/parameters/nx_huge_pages", value, sizeof(value)) &&
	    strcmp(value, "never") != 0 && strcmp(value, "N") != 0 &&
	    p->create_vm_ns > SLOW_CREATE_VM_NS) {
		printf("slow:     kvm.nx_huge_pages=%s costs a kernel thread for each VM; on a CPU "
		       "without the "
		       "iTLB multihit erratum, set kvm.nx_huge_pages=never\n",
		       value);
		if (!cgroup_mounted_with("favordynmods"))
			printf("slow:     cgroups without favordynmods: remedy: sudo mount -o "
			       "remount,"
			       "favordynmods /sys/fs/cgroup\n");
	}
}

/* A host that is busy, or has just started, seems slow: the best of a few tries counts. */
static int probe_best(struct probe *best, const struct kvm_sys *sys, struct err *e)
{
	*best = (struct probe){ 0 };
	for (unsigned int i = 0; i < TRIES; i++) {
		struct probe p = { 0 };

		if (probe_run(&p, sys, e) < 0)
			return e->code;
		if (p.instructions_per_s > best->instructions_per_s)
			*best = p;
		if (best->instructions_per_s >= USEFUL_INSTRUCTIONS_PER_S)
			break;
	}
	return 0;
}

/* Returns whether stock kernels boot here in useful time. */
static bool say_kvm(const struct kvm_sys *sys)
{
	const char *flag = cpu_has("svm") ? "svm" : cpu_has("vmx") ? "vmx" : "no vmx or svm";
	struct probe p;
	struct err e;
	bool fast;

	if (probe_best(&p, sys, &e) < 0) {
		printf("KVM:      " KVM_DEVICE " opens, but %s\n", e.text);
		return false;
	}
	fast = p.instructions_per_s >= USEFUL_INSTRUCTIONS_PER_S;
	printf("KVM:      %s KVM (CPU flags: %s), ring 0 at %.1f million instructions/s\n",
	       fast ? "hardware" : "software", flag, (double)p.instructions_per_s / 1e6);
	printf("VM:       KVM_CREATE_VM took %.2f ms\n",
	       (double)p.create_vm_ns / (double)NS_PER_MS);
	say_caps(sys);
	say_settings(&p);
	return fast;
}

/* What --net tap,vhost=on needs. The module comes by itself when root opens the device. */
static void say_vhost(void)
{
	if (access(VHOST_DEVICE, R_OK | W_OK) == 0)
		printf("vhost:    " VHOST_DEVICE " can be opened: --net tap,vhost=on works\n");
	else if (errno == ENOENT)
		printf("vhost:    none: for --net tap,vhost=on, as root: modprobe vhost_net\n");
	else
		printf("vhost:    " VHOST_DEVICE ": %s: no --net tap,vhost=on\n", strerror(errno));
}

/* Does the unpacked kernel contain this text anywhere? */
static bool contains(const struct image *img, const char *text)
{
	enum { CHUNK = 1 << 20 };
	size_t keep = strlen(text), have = 0;
	char *buf = malloc(CHUNK + keep);
	bool found = false;
	struct err e;

	for (uint64_t at = 0; buf && !found && at < img->size;) {
		size_t n = min_size(CHUNK, img->size - at);

		if (image_read(img, at, buf + have, n, &e) < 0)
			break;
		at += n;
		have += n;
		found = memmem(buf, have, text, keep) != NULL;
		if (have > keep) {
			memmove(buf, buf + have - keep, keep);
			have = keep;
		}
	}
	free(buf);
	return found;
}

/* Drivers built into a kernel leave texts in it; a module's are not there. */
static void say_lacks(const struct image *img)
{
	static const struct {
		const char *text, *what;
	} wanted[] = {
		{ "KVMKVMKVM", "support for running under KVM: no paravirtual clock" },
		{ "serial8250", "a driver for the serial console: it will be silent" },
		{ "RSD PTR ", "ACPI: no power-off" },
		{ "PNP0501", "the serial port by ACPI: no interrupts for it" },
		{ "pvpanic",
		  "a built-in driver for pvpanic: panics are told by the console instead" },
		{ "rdinit=", "initramfs: --initrd will be ignored" },
	};
	unsigned int n = 0;

	if (!img) {
		printf("lacks:    not known: the kernel unpacks itself\n");
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		if (contains(img, wanted[i].text))
			continue;
		printf("lacks:    %s\n", wanted[i].what);
		n++;
	}
	if (n == 0)
		printf("lacks:    nothing that vmm knows of\n");
}

static int say_kernel(const char *path, struct err *e)
{
	char what[1280], *line = what, *eol;
	struct kernel *k;

	if (arch_kernel_open(&k, path, BOOT_DIRECT, e) < 0)
		return e->code;
	if (arch_kernel_read(k, e) < 0) {
		arch_kernel_close(k);
		return e->code;
	}
	arch_kernel_describe(k, what, sizeof(what));
	for (; (eol = strchr(line, '\n')); line = eol + 1)
		printf("%s%.*s\n", line == what ? "kernel:   " : "          ", (int)(eol - line),
		       line);
	printf("          %s\n", line);
	say_lacks(arch_kernel_unpacked(k));
	arch_kernel_close(k);
	return 0;
}

int cmd_doctor(int argc, char *const *argv, struct err *e)
{
	struct request r = { 0 };
	struct kvm_sys sys;
	bool fast = false, inside;
	struct err why;

	if (opts_parse(doctor_options, argc, argv, &r, e) < 0)
		return e->code;
	if (r.jail)
		return doctor_jail(stdout, &inside, e);
	say_host();
	if (kvm_sys_open_any(&sys, &why) < 0) {
		printf("KVM:      none\n");
	} else {
		fast = say_kvm(&sys);
		err_set(&why, -ENOTSUP,
			"this KVM is software, fit for small guests; use a host whose CPU shows "
			"vmx or svm");
		kvm_sys_close(&sys);
	}
	say_vhost();
	doctor_cpu(stdout, "");
	if (r.kernel && say_kernel(r.kernel, e) < 0)
		return e->code;
	if (fast)
		printf("result:   stock kernels boot here\n");
	else
		printf("result:   stock kernels do not boot here: %s\n", why.text);
	return fast ? 0 : EXIT_VMM;
}
