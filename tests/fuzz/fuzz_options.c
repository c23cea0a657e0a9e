/*
 * fuzz_options.c - a whole command line of `vmm run`, one word a line: option strings (--disk,
 * --net, --console, --port, --rng, --transport, --mem, --cpus, --limit ...), the checks of the
 * configuration and the kernel's command line that comes out.
 */
#include "../../src/cli/cli.h"
#include "fuzz.h"
#include <stdlib.h>
#include <vmm/base/log.h>
#include <vmm/machine/config.h>

#define MAX_WORDS 64

/* What the parsers promise: nothing beyond the limits that the devices are made for. */
static void check(const struct vm_config *c)
{
	FUZZ_CHECK(c->n_disks <= CONFIG_MAX_DISKS && c->n_nets <= CONFIG_MAX_NETS);
	FUZZ_CHECK(c->cpus.sockets && c->cpus.cores && c->cpus.threads);
	for (unsigned int i = 0; i < c->n_disks; i++)
		FUZZ_CHECK(c->disks[i].path && c->disks[i].queues >= 1 &&
			   c->disks[i].queues <= DISK_MAX_QUEUES &&
			   strnlen(c->disks[i].id, sizeof(c->disks[i].id)) <= DISK_ID_MAX);
	for (unsigned int i = 0; i < c->n_nets; i++)
		FUZZ_CHECK(c->nets[i].kind != NET_NONE && c->nets[i].n_pairs <= NET_MAX_PAIRS &&
			   (c->nets[i].mtu == 0 || c->nets[i].mtu >= NET_MTU_MIN));
	FUZZ_CHECK(c->console.n_ports <= CONSOLE_MAX_NAMED);
	FUZZ_CHECK(c->limits.milli_cpu <= (CGROUP_MAX_CPU + 1) * 1000 &&
		   (c->limits.milli_cpu == 0 || c->limits.milli_cpu >= CGROUP_MIN_MILLI_CPU));
}

static void make_cmdline(const struct vm_config *c, size_t max)
{
	char *text = NULL;
	struct err e;

	if (config_cmdline(c, " virtio_mmio.device=4K@0xe1000000:5", max, &text, &e) == 0)
		FUZZ_CHECK(strlen(text) <= max);
	else
		FUZZ_CHECK(!text && *e.text);
	free(text);
}

static int split(char *text, char **argv)
{
	char *word;
	int n = 0;

	while (n < MAX_WORDS && (word = strsep(&text, "\n")))
		argv[n++] = word;
	argv[n] = NULL;
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *argv[MAX_WORDS + 1], *text = strndup((const char *)data, size);
	struct vm_config c;
	struct err e = { 0 };
	int rc;

	VMM_BUG_ON(!text);
	config_init(&c);
	rc = opts_parse(run_options, split(text, argv), argv, &c, &e);
	log_set_level(LOG_ERROR); /* --log is one of them */
	FUZZ_CHECK(rc == 0 || (rc == e.code && *e.text));
	check(&c);
	config_settle(&c);
	if (rc == 0 && config_check(&c, &e) == 0)
		FUZZ_CHECK(config_n_virtio(&c) < 64);
	make_cmdline(&c, size % 512);
	make_cmdline(&c, 65535);
	config_fini(&c);
	free(text);
	return 0;
}
