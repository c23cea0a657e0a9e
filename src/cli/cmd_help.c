/*
 * cmd_help.c - help out of the same tables that the parser uses.
 */
#include "cli.h"
#include <errno.h>
#include <string.h>

static const char exit_status[] =
	"Exit status of 'vmm run':\n"
	"  0        the guest powered off, or --expect was satisfied, or it rebooted under\n"
	"           --on-reboot exit\n"
	"  1..119   the guest's own status, written to I/O port 0xf4\n"
	"  120      kernel panic\n"
	"  121      the guest crashed: triple fault, or an exit that cannot be handled\n"
	"  123      the guest ended, and the text of --expect had not come\n"
	"  124      --timeout passed\n"
	"  125      vmm could not: bad option, no KVM, no memory\n"
	"  126      the kernel or the initrd cannot be used\n"
	"  128+N    ended by signal N\n";

static int help_all(void)
{
	printf("vmm - run a virtual machine on Linux KVM\n\n"
	       "  vmm run --kernel /boot/vmlinuz-$(uname -r) --initrd /boot/initrd.img-$(uname "
	       "-r)\n\n"
	       "Commands:\n");
	for (const struct command *c = commands; c->name; c++)
		printf("  %-9s%s\n", c->name, c->summary);
	printf("\n'vmm help COMMAND' lists its options; 'man vmm' tells it all.\n");
	return 0;
}

int cmd_help(int argc, char *const *argv, struct err *e)
{
	if (argc == 0)
		return help_all();
	for (const struct command *c = commands; c->name; c++) {
		if (strcmp(c->name, argv[0]) != 0)
			continue;
		printf("vmm %s - %s\n", c->name, c->summary);
		if (c->options) {
			printf("\nOptions:\n");
			opts_help(c->options, stdout);
		}
		if (c->run == cmd_run)
			printf("\n%s", exit_status);
		return 0;
	}
	return err_set(e, -EINVAL, "no command %s; 'vmm help' lists the commands", argv[0]);
}
