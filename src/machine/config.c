/*
 * config.c - what a VM shall be: defaults, and every check that needs neither KVM nor a file.
 *
 * Life of a VM: filled by the command line before anything is built, read-only from then on. Main
 * thread.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysinfo.h>
#include <unistd.h>
#include <vmm/base/checked.h>
#include <vmm/base/match.h>
#include <vmm/base/opts.h>
#include <vmm/base/util.h>
#include <vmm/machine/config.h>
#include <vmm/pci/pci_host.h>

#define MAX_CPUS 65536u /* far beyond KVM's own limit, which arch_check_topology() asks for */
#define TERM_MAX 32u
#define MEMORY_OF_VMM (96 * MIB) /* a Debian kernel unpacks to 66 MiB */
#define MEMORY_OF_VCPU MIB
#define PIDS_OF_VMM 4u
#define PIDS_OF_DISK 8u

/* A sanitizer's runtime maps, opens and traces as it likes: its builds run outside, unless told
 * otherwise. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define JAIL_DEFAULT JAIL_OFF
#else
#define JAIL_DEFAULT JAIL_ON
#endif

void config_init(struct vm_config *c)
{
	*c = (struct vm_config){
		.ram_bytes = 512 * MIB,
		.cpus = { 1, 1, 1 },
		.serial.kind = CHARDEV_STDIO,
		.jail = JAIL_DEFAULT,
	};
	rng_spec_init(&c->rng);
}

void config_fini(struct vm_config *c)
{
	free(c->append);
	for (unsigned int i = 0; i < c->n_disks; i++)
		disk_spec_fini(&c->disks[i]);
	for (unsigned int i = 0; i < c->n_nets; i++)
		net_spec_fini(&c->nets[i]);
}

static int parse_level(struct cpu_topology *t, char *item, struct err *e)
{
	static const char *const names[] = { "sockets", "cores", "threads" };
	unsigned int *const fields[] = { &t->sockets, &t->cores, &t->threads };
	char *value = strchr(item, '=');
	uint64_t n;

	if (value)
		*value++ = '\0';
	for (unsigned int i = 0; i < ARRAY_SIZE(names); i++) {
		if (!value || strcmp(item, names[i]) != 0)
			continue;
		if (opts_parse_uint(value, 1, MAX_CPUS, &n, e) < 0)
			return err_wrap(e, "%s", item);
		*fields[i] = (unsigned int)n;
		return 0;
	}
	return err_set(e, -EINVAL, "'%s': expected a number, or sockets=N,cores=N,threads=N", item);
}

int config_parse_cpus(struct vm_config *c, const char *s, struct err *e)
{
	struct cpu_topology t = { 1, 1, 1 };
	char copy[128], *rest = copy, *item;
	uint64_t n;

	if (!strchr(s, '=')) {
		if (opts_parse_uint(s, 1, MAX_CPUS, &n, e) < 0)
			return e->code;
		t.cores = (unsigned int)n;
		c->cpus = t;
		return 0;
	}
	if (strlen(s) >= sizeof(copy))
		return err_set(e, -EINVAL, "too long");
	snprintf(copy, sizeof(copy), "%s", s);
	while ((item = strsep(&rest, ","))) {
		if (parse_level(&t, item, e) < 0)
			return e->code;
	}
	c->cpus = t;
	return 0;
}

int config_parse_serial(struct vm_config *c, const char *s, struct err *e)
{
	c->has_serial = true;
	return chardev_spec_parse(&c->serial, s, e);
}

int config_add_disk(struct vm_config *c, const char *s, struct err *e)
{
	if (c->n_disks == CONFIG_MAX_DISKS)
		return err_set(e, -E2BIG, "a VM has at most %u disks", CONFIG_MAX_DISKS);
	if (disk_spec_parse(&c->disks[c->n_disks], s, e) < 0)
		return e->code;
	c->n_disks++;
	return 0;
}

int config_add_net(struct vm_config *c, const char *s, struct err *e)
{
	struct net_spec spec;

	if (net_spec_parse(&spec, s, e) < 0)
		return e->code;
	if (spec.kind == NET_NONE) {
		while (c->n_nets > 0)
			net_spec_fini(&c->nets[--c->n_nets]);
		return 0;
	}
	if (c->n_nets == CONFIG_MAX_NETS) {
		net_spec_fini(&spec);
		return err_set(e, -E2BIG, "a VM has at most %u network interfaces",
			       CONFIG_MAX_NETS);
	}
	c->nets[c->n_nets++] = spec;
	return 0;
}

int config_parse_transport(struct vm_config *c, const char *s, struct err *e)
{
	static const char *const names[] = {
		[TRANSPORT_PCI] = "pci",
		[TRANSPORT_MMIO] = "mmio",
		[TRANSPORT_MMIO_CMDLINE] = "mmio,cmdline",
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(s, names[i]) == 0) {
			c->transport = (enum transport)i;
			return 0;
		}
	}
	return err_set(e, -EINVAL, "expected pci, mmio or mmio,cmdline");
}

int config_parse_jail(struct vm_config *c, const char *s, struct err *e)
{
	static const char *const names[] = {
		[JAIL_ON] = "on",
		[JAIL_STRICT] = "strict",
		[JAIL_LOG] = "log",
		[JAIL_OFF] = "off",
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(s, names[i]) == 0) {
			c->jail = (enum jail_mode)i;
			return 0;
		}
	}
	return err_set(e, -EINVAL, "expected on, strict, log or off");
}

unsigned int config_n_virtio(const struct vm_config *c)
{
	return c->n_disks + c->n_nets + (console_spec_is_used(&c->console) ? 1 : 0) +
	       (c->rng.enabled ? 1 : 0);
}

int config_append(struct vm_config *c, const char *s, struct err *e)
{
	char *joined;

	if (asprintf(&joined, "%s%s%s", c->append ? c->append : "", c->append ? " " : "", s) < 0)
		return err_set(e, -ENOMEM, "out of memory");
	free(c->append);
	c->append = joined;
	return 0;
}

void config_settle(struct vm_config *c)
{
	/* One terminal, one console on it. */
	if (c->console.has_console && c->console.console.kind == CHARDEV_STDIO && !c->has_serial)
		c->serial = (struct chardev_spec){ .kind = CHARDEV_NULL };
}

static int check_ram(const struct vm_config *c, struct err *e)
{
	struct sysinfo host;
	uint64_t total;

	if (c->ram_bytes < CONFIG_MIN_RAM)
		return err_set(e, -EINVAL, "--mem: %" PRIu64 " MiB: the least is %" PRIu64 " MiB",
			       c->ram_bytes / MIB, CONFIG_MIN_RAM / MIB);
	if (c->ram_bytes % MIB)
		return err_set(e, -EINVAL, "--mem: must be whole MiB");
	if (sysinfo(&host) < 0)
		return err_errno(e, "sysinfo");
	total = (uint64_t)host.totalram * host.mem_unit;
	if (c->ram_bytes > total)
		return err_set(e, -EINVAL, "--mem: %" PRIu64 " MiB: this host has %" PRIu64 " MiB",
			       c->ram_bytes / MIB, total / MIB);
	return 0;
}

static int check_cpus(const struct vm_config *c, struct err *e)
{
	uint64_t n;

	/* Each factor is at most MAX_CPUS, so only the product can be too large. */
	if (!checked_mul_u64((uint64_t)c->cpus.sockets * c->cpus.cores, c->cpus.threads, &n) ||
	    n > MAX_CPUS)
		return err_set(e, -ERANGE, "--cpus: more than %u CPUs", MAX_CPUS);
	return 0;
}

static int check_virtio(const struct vm_config *c, struct err *e)
{
	/* The bridge takes the first place on the bus. */
	unsigned int max = c->transport == TRANSPORT_PCI ? PCI_N_SLOTS - 1 : BOARD_MAX_MMIO_SLOTS;
	unsigned int n = config_n_virtio(c);

	if (n > max)
		return err_set(e, -E2BIG,
			       "%u disks, networks and other devices: --transport %s has "
			       "room for %u",
			       n, c->transport == TRANSPORT_PCI ? "pci" : "mmio", max);
	return console_spec_check(&c->console, &c->serial, e);
}

/*
 * What a VM takes besides its RAM, at most: page tables, the host's and KVM's (8 bytes for each 4
 * KiB, four times); for each vCPU its stacks and KVM's caches; a kernel that is being unpacked.
 */
static uint64_t least_memory(const struct vm_config *c)
{
	return align_up(c->ram_bytes + c->ram_bytes / 128 +
				cpu_topology_total(&c->cpus) * MEMORY_OF_VCPU + MEMORY_OF_VMM,
			MIB);
}

/* passt, or a thread of the kernel's for each pair of queues. */
static unsigned int pids_of_net(const struct net_spec *s)
{
	return s->vhost ? s->n_pairs : 1;
}

/* A thread for each vCPU, those that do the work of a disk, networks; and a few of the kernel's. */
static unsigned int least_pids(const struct vm_config *c)
{
	unsigned int n = cpu_topology_total(&c->cpus) + c->n_disks * PIDS_OF_DISK + PIDS_OF_VMM;

	for (unsigned int i = 0; i < c->n_nets; i++)
		n += pids_of_net(&c->nets[i]);
	return n;
}

static int check_limits(const struct vm_config *c, struct err *e)
{
	const struct cgroup_limits *l = &c->limits;
	char size[CGROUP_SIZE_TEXT], least[CGROUP_SIZE_TEXT];

	cgroup_size_text(size, l->mem_bytes);
	cgroup_size_text(least, least_memory(c));
	if (l->mem_bytes && l->mem_bytes < least_memory(c))
		return err_set(e, -EINVAL, "--limit mem=%s: the least for --mem %" PRIu64 "M is %s",
			       size, c->ram_bytes / MIB, least);
	if (l->pids && l->pids < least_pids(c))
		return err_set(e, -EINVAL,
			       "--limit pids=%" PRIu64 ": the least for these CPUs, disks and "
			       "networks is %u",
			       l->pids, least_pids(c));
	if (l->io_bytes_per_s && c->n_disks == 0)
		return err_set(e, -EINVAL, "--limit io: there is no --disk that it could hold for");
	return 0;
}

int config_check(const struct vm_config *c, struct err *e)
{
	if (!c->kernel)
		return err_set(e, -EINVAL,
			       "--kernel FILE is needed: a bzImage or a vmlinux, such as "
			       "/boot/vmlinuz-$(uname -r)");
	if (c->cmdline && c->append)
		return err_set(e, -EINVAL,
			       "--cmdline replaces what --append adds to: give one of them");
	if (c->expect && (!*c->expect || strlen(c->expect) > MATCH_MAX))
		return err_set(e, -EINVAL, "--expect: the text must have 1 to %u bytes", MATCH_MAX);
	if (check_ram(c, e) < 0 || check_virtio(c, e) < 0)
		return e->code;
	return check_cpus(c, e) < 0 ? e->code : check_limits(c, e);
}

/*
 * Linux hands words that it does not know to init as environment: the guest's programs learn what
 * terminal they talk to, and scripts (TERM=dumb) that they talk to none.
 */
static void terminal_words(const struct vm_config *c, char *buf, size_t size)
{
	bool com1 = c->serial.kind == CHARDEV_STDIO;
	bool hvc0 = c->console.has_console && c->console.console.kind == CHARDEV_STDIO;
	bool terminal = (com1 || hvc0) && isatty(STDIN_FILENO);
	const char *term = getenv("TERM");
	struct winsize ws;
	size_t n;

	if (!terminal || !term || !*term || strlen(term) > TERM_MAX ||
	    strspn(term, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-+._") !=
		    strlen(term))
		term = terminal ? "vt100" : "dumb";
	snprintf(buf, size, " TERM=%s", term);
	n = strlen(buf);
	/* hvc0 tells its size itself, and each change of it, which these words would hide. */
	if (terminal && com1 && ioctl(STDIN_FILENO, TIOCGWINSZ, &ws) == 0 && ws.ws_row && ws.ws_col)
		snprintf(buf + n, size - n, " LINES=%u COLUMNS=%u", ws.ws_row, ws.ws_col);
}

/*
 * A console of virtio is the last one, and so /dev/console. COM1 stays one of the kernel's, too:
 * hvc0 is there only when its driver is, and a panic before that would tell nobody.
 */
static const char *console_words(const struct vm_config *c)
{
	return c->console.has_console ? " console=hvc0" : "";
}

int config_cmdline(const struct vm_config *c, const char *hardware, size_t max, char **out,
		   struct err *e)
{
	char words[96] = "";
	int n;

	if (!c->cmdline)
		terminal_words(c, words, sizeof(words));
	n = asprintf(out, "%s%s%s%s%s%s", c->cmdline ? c->cmdline : arch_default_cmdline(&c->cpus),
		     c->cmdline ? "" : console_words(c), words, hardware, c->append ? " " : "",
		     c->append ? c->append : "");
	if (n < 0)
		return err_set(e, -ENOMEM, "command line: out of memory");
	if ((size_t)n <= max)
		return 0;
	free(*out);
	*out = NULL;
	return err_set(e, -E2BIG,
		       "the kernel command line has %d bytes, this kernel takes %zu: shorten %s", n,
		       max, c->cmdline ? "--cmdline" : "--append");
}
