/*
 * main.c - the front door: a table of subcommands, and the one place where errors become words and
 * an exit status.
 *
 * Life of a VM: the first and the last lines that run. `vmm run` goes on in cmd_run.c.
 */
#include "cli.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <vmm/base/log.h>
#include <vmm/base/util.h>
#include <vmm/host/inherited.h>
#include <vmm/host/signals.h>

const struct command commands[] = {
	{ "run", "boot a kernel in a new VM", run_options, cmd_run },
	{ "doctor", "say what this host can do, and what a kernel is", doctor_options, cmd_doctor },
	{ "selftest", "run the guest that is built in, and check every device with it",
	  selftest_options, cmd_selftest },
	{ "lesson", "show how a guest and its VMM work together: vmm lesson [N]", lesson_options,
	  cmd_lesson },
	{ "help", "explain a command: vmm help [COMMAND]", NULL, cmd_help },
	{ "version", "say which build this is", NULL, cmd_version },
	{ 0 },
};

static const struct command *find(const char *name)
{
	for (const struct command *c = commands; c->name; c++) {
		if (strcmp(c->name, name) == 0)
			return c;
	}
	return NULL;
}

static int unknown(const char *name)
{
	const char *names[ARRAY_SIZE(commands)], *near;

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		names[i] = commands[i].name;
	near = opts_nearest(name, names);
	if (near)
		log_error("unknown command %s; did you mean %s?", name, near);
	else
		log_error("unknown command %s; 'vmm help' lists the commands", name);
	return EXIT_VMM;
}

/* Whoever starts us with stdin, stdout or stderr closed must not get a disk image in its place. */
static void open_stdio(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

/* What help, version and doctor have printed may not have arrived: a full disk, a closed pipe. */
static int finish_output(int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	log_error("standard output: %s", strerror(errno));
	return EXIT_VMM;
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "help";
	const struct command *c;
	struct err e;
	int rc;

	open_stdio();
	inherited_note();
	signals_init();
	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
		name = "help";
	else if (strcmp(name, "--version") == 0)
		name = "version";
	c = find(name);
	if (!c)
		return unknown(name);
	if (argc > 2 && strcmp(argv[2], "--help") == 0)
		rc = cmd_help(1, argv + 1, &e);
	else
		rc = c->run(argc > 2 ? argc - 2 : 0, argv + 2, &e);
	if (rc >= 0)
		return finish_output(rc);
	log_error("%s", e.text);
	return rc == ERR_IMAGE ? EXIT_IMAGE : EXIT_VMM;
}
