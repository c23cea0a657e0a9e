/*
 * cli.h - private to src/cli: the subcommands and the exit statuses.
 */
#ifndef VMM_SRC_CLI_CLI_H
#define VMM_SRC_CLI_CLI_H
#include <stdbool.h>
#include <stdio.h>
#include <vmm/base/err.h>
#include <vmm/base/opts.h>

/* README.md and vmm.1, "Exit status". 1..119 are the guest's own; 128+N: ended by signal N. */
#define EXIT_PANIC 120
#define EXIT_CRASH 121
#define EXIT_DENIED 122 /* the VM's process made a call that its jail denies */
#define EXIT_UNEXPECTED 123
#define EXIT_TIMEOUT 124
#define EXIT_VMM 125 /* we could not: options, KVM, memory */
#define EXIT_IMAGE 126 /* an image cannot be used */
#define EXIT_SIGNAL_BASE 128

struct command {
	const char *name;
	const char *summary; /* one line */
	const struct opt *options; /* NULL: none */
	/* Returns the exit status, or a negative code with *e filled: main prints it. */
	int (*run)(int argc, char *const *argv, struct err *e);
};

extern const struct command commands[]; /* ends with a NULL name */

extern const struct opt run_options[], doctor_options[], lesson_options[], selftest_options[];
int cmd_run(int argc, char *const *argv, struct err *e);
int cmd_lesson(int argc, char *const *argv, struct err *e);
int cmd_selftest(int argc, char *const *argv, struct err *e);
int cmd_doctor(int argc, char *const *argv, struct err *e);
int cmd_help(int argc, char *const *argv, struct err *e);
int cmd_version(int argc, char *const *argv, struct err *e);

/*
 * Builds a VM, runs it to its end, destroys it. The exit status; <0: it never ran. It returns in
 * two processes: the VM's, where *inside is true, has nothing left to do but to tell what only it
 * knows, and to return to main() with what it was given here; the other one has the same exit
 * status. started: called in the other one when the VM's is there; NULL: nothing. -errno: the VM's
 * has been ended.
 */
struct vm_config;
struct cli_hook {
	int (*started)(void *arg, struct err *e);
	void *arg;
};
int cli_run_vm(struct vm_config *cfg, const struct cli_hook *hook, bool *inside, struct err *e);

/*
 * A file without a name, of `size` bytes, the first len of which are data's; path is where it can
 * be opened as long as the process lives. The fd, owned by the caller, or <0. name: for messages.
 */
#define CLI_PATH_MAX 32
int cli_memfd(char path[CLI_PATH_MAX], const char *name, const void *data, size_t len, size_t size,
	      struct err *e);

extern const char vmm_version[];

#endif
