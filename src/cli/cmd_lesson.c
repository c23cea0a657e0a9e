/*
 * cmd_lesson.c - `vmm lesson N`: runs a tiny guest and shows its exits beside the lines of its
 * source that caused them.
 *
 * Life of a VM: a short one. Guest, source and line table are in the program (lessons.S). Each exit
 * is noted on the vCPU's thread and told by the main thread of the VM's process when the VM has
 * ended, so that a reader of our output who is slow does not hold the guest up.
 */
#include "cli.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>
#include <vmm/base/util.h>
#include <vmm/host/evloop.h>
#include <vmm/machine/config.h>

#define MAX_STEPS 64 /* that are told; a lesson has about twenty */
#define MAX_TEXT 40 /* bytes of a step that are told */
#define LOOP_STEPS 2 /* a loop with so many exits in it is told as one */
#define TIMEOUT_NS (60 * NS_PER_S)

struct line_at { /* the line of the code from address on; 0: behind the end */
	uint32_t address, line;
};

/* What lessons.S has of each lesson. */
struct lesson_data {
	const uint8_t *elf, *elf_end;
	const struct line_at *lines, *lines_end;
	const char *source, *source_end;
};
extern const struct lesson_data lesson_data[];

static const struct lesson {
	const char *file, *title, *next; /* next: what to read now */
} lessons[] = {
	{ "firmware/lessons/1-hello.S", "hello, from 16-bit real mode",
	  "src/machine/vcpu.c       the loop around KVM_RUN that these exits come back to\n"
	  "src/machine/exits.c      from the reason of an exit to the bus\n"
	  "src/dev/uart16550.c      the serial port that got the bytes" },
	{ "firmware/lessons/2-modes.S", "protected mode and long mode",
	  "src/boot/elf.c           how the guest got into memory, and the note with its entry\n"
	  "src/arch/x86_64/regs.c   the state in which a guest starts, in both modes\n"
	  "firmware/runtime/start.S the same climb, for guests that do more afterwards" },
	{ "firmware/lessons/3-exits.c", "a port exit and a memory exit",
	  "src/machine/exits.c      both kinds of exit, side by side\n"
	  "src/bus/bus.c            from an address to a device, or to nobody\n"
	  "src/pci/pci_host.c       configuration space, by memory and by ports" },
	{ "firmware/lessons/4-interrupt.S", "an interrupt",
	  "src/dev/uart16550.c      when the wire is pulled: look for irq_set\n"
	  "include/vmm/bus/irq.h    the wire\n"
	  "src/kvm/kvm_vm.c         its other end: KVM_IRQ_LINE" },
	{ "firmware/lessons/5-virtqueue.c", "a virtqueue by hand",
	  "src/virtio/virtq.c       the other side of the rings, which trusts nothing in them\n"
	  "src/virtio/virtio_rng.c  where the bytes come from\n"
	  "src/kvm/kvm_ioeventfd.c  why the last write to the device is no exit" },
};

/* Who answers, by the name on the bus. */
static const struct {
	const char *who, *file;
} files[] = {
	{ "uart16550", "src/dev/uart16550.c" },
	{ "rtc-cmos", "src/dev/rtc_cmos.c" },
	{ "i8042", "src/dev/i8042.c" },
	{ "acpi-pm", "src/dev/acpi_pm.c" },
	{ "pvpanic", "src/dev/pvpanic.c" },
	{ "exitport", "src/dev/exitport.c" },
	{ "PCI ECAM", "src/pci/pci_host.c" },
	{ "PCI configuration address", "src/pci/pci_host.c" },
	{ "PCI configuration data", "src/pci/pci_host.c" },
	{ "MSI-X table", "src/pci/pci_msix.c" },
	{ "virtio-pci", "src/virtio/virtio_pci.c" },
	{ "virtio-mmio", "src/virtio/virtio_mmio.c" },
};

struct step { /* exits of one line, to one place, that came one after the other */
	unsigned int line; /* 0: not in the source */
	struct exit_seen first;
	char what[128];
	unsigned int n;
	bool in_turn; /* with a neighbour: both are in the same loop */
	uint8_t bytes[MAX_TEXT]; /* that were written, if they were written one by one */
};

struct report {
	const struct lesson_data *data;
	struct step steps[MAX_STEPS], *last; /* last: of the latest exit */
	unsigned int n_steps, n_exits, n_left_out;
};

/* What happened: on the vCPU's thread
 * ------------------------------------------------------------------- */

static unsigned int line_of(const struct lesson_data *d, uint64_t pc)
{
	unsigned int line = 0;

	for (const struct line_at *l = d->lines; l < d->lines_end && l->address <= pc; l++)
		line = l->line;
	return line;
}

static bool is_same(const struct step *s, unsigned int line, const struct exit_seen *x)
{
	return s->line == line && s->first.is_access && x->is_access && s->first.at == x->at &&
	       s->first.is_write == x->is_write && s->first.size == x->size;
}

/* NULL: there is no more room. */
static struct step *step_for(struct report *r, unsigned int line, const struct exit_seen *x)
{
	struct step *s;

	for (unsigned int i = 1; i <= min_u64(LOOP_STEPS, r->n_steps); i++) {
		s = &r->steps[r->n_steps - i];
		if (is_same(s, line, x))
			return s;
	}
	if (r->n_steps == MAX_STEPS)
		return NULL;
	s = &r->steps[r->n_steps++];
	s->line = line;
	s->first = *x;
	snprintf(s->what, sizeof(s->what), "%s", x->what);
	s->first.what = s->what;
	return s;
}

static void note_exit(void *arg, const struct exit_seen *x)
{
	struct report *r = arg;
	struct step *s = step_for(r, line_of(r->data, x->pc), x);

	r->n_exits++;
	if (!s) {
		r->n_left_out++;
		return;
	}
	if (s->n < MAX_TEXT)
		s->bytes[s->n] = (uint8_t)x->value;
	if (s->n++ > 0 && s != r->last)
		s->in_turn = true;
	r->last = s;
}

/* What is told of it: on the main thread
 * ------------------------------------------------------------------- */

/* Without the blanks in front, and those in between as one. */
static void print_line(const struct lesson_data *d, unsigned int line)
{
	const char *p = d->source;
	bool blank = false, begun = false;

	for (unsigned int n = 1; n < line && p < d->source_end; p++)
		n += *p == '\n';
	for (; p < d->source_end && *p != '\n'; p++) {
		if (*p == ' ' || *p == '\t') {
			blank = begun;
			continue;
		}
		if (blank)
			putchar(' ');
		putchar(*p);
		blank = false;
		begun = true;
	}
	putchar('\n');
}

static const char *file_of(const char *who)
{
	for (size_t i = 0; who && i < ARRAY_SIZE(files); i++) {
		if (strcmp(files[i].who, who) == 0)
			return files[i].file;
	}
	return who ? who : "nobody, so the bus does: src/bus/bus.c";
}

static bool is_text(const struct step *s)
{
	for (unsigned int i = 0; i < min_u64(s->n, MAX_TEXT); i++) {
		if (s->bytes[i] != '\n' && (s->bytes[i] < ' ' || s->bytes[i] > '~'))
			return false;
	}
	return s->first.is_write && s->first.size == 1;
}

static void print_text(const struct step *s)
{
	putchar('"');
	for (unsigned int i = 0; i < min_u64(s->n, MAX_TEXT); i++) {
		if (s->bytes[i] == '\n')
			printf("\\n");
		else
			putchar(s->bytes[i]);
	}
	printf("\"%s", s->n > MAX_TEXT ? "..." : "");
}

static void print_step(const struct lesson *l, const struct report *r, const struct step *s)
{
	if (s->line > 0) {
		printf("%s:%u  ", l->file, s->line);
		print_line(r->data, s->line);
	} else {
		printf("outside of the source, at %#" PRIx64 "\n", s->first.pc);
	}
	printf("\t%s", s->first.what);
	if (s->n > 1)
		printf("  x %u%s", s->n, s->in_turn ? " in turn" : "");
	if (is_text(s)) {
		printf("  ");
		print_text(s);
	}
	if (s->first.is_access)
		printf("\n\t-> %s", file_of(s->first.who));
	printf("\n");
}

static void print_report(const struct lesson *l, const struct report *r)
{
	for (unsigned int i = 0; i < r->n_steps; i++)
		print_step(l, r, &r->steps[i]);
	if (r->n_left_out > 0)
		printf("and %u exits more\n", r->n_left_out);
}

/* -----------------------------------------------------------------------------------------------
 */

static int run_lesson(const struct lesson *l, struct report *r, struct err *e)
{
	size_t len = (size_t)(r->data->elf_end - r->data->elf);
	struct vm_config cfg;
	char path[CLI_PATH_MAX];
	bool inside;
	int rc, fd = cli_memfd(path, "lesson", r->data->elf, len, len, e);

	if (fd < 0)
		return e->code;
	config_init(&cfg);
	cfg.start_ns = evloop_now_ns();
	cfg.timeout_ns = TIMEOUT_NS;
	cfg.kernel = path;
	cfg.ram_bytes = CONFIG_MIN_RAM;
	cfg.serial.kind = CHARDEV_NULL; /* what it says is in the report */
	cfg.transport = TRANSPORT_MMIO;
	cfg.exit_on_reboot = true;
	cfg.on_exit = note_exit;
	cfg.on_exit_arg = r;
	rc = cli_run_vm(&cfg, NULL, &inside, e);
	config_fini(&cfg);
	close(fd);
	if (rc < 0 || !inside)
		return rc;
	print_report(l, r);
	printf("\nIt ended with %s %d after %u exits. Read next:\n%s\n",
	       rc < EXIT_PANIC ? "status" : "exit status", rc, r->n_exits, l->next);
	return rc;
}

static int list(void)
{
	printf("Each lesson is a tiny guest. 'vmm lesson N' runs one and shows its exits.\n\n");
	for (unsigned int i = 0; i < ARRAY_SIZE(lessons); i++)
		printf("  %u  %-30s %s\n", i + 1, lessons[i].title, lessons[i].file);
	return 0;
}

static int set_source(void *target, const char *value, struct err *e)
{
	(void)value, (void)e;
	*(bool *)target = true;
	return 0;
}

const struct opt lesson_options[] = {
	{ "source", NULL, "Behind the number: prints the guest's source instead.", set_source },
	{ 0 },
};

int cmd_lesson(int argc, char *const *argv, struct err *e)
{
	struct report r = { 0 };
	const struct lesson *l;
	bool source = false;
	uint64_t n;

	if (argc == 0)
		return list();
	if (opts_parse_uint(argv[0], 1, ARRAY_SIZE(lessons), &n, e) < 0)
		return err_wrap(e, "lesson '%s' ('vmm lesson' lists them)", argv[0]);
	if (opts_parse(lesson_options, argc - 1, argv + 1, &source, e) < 0)
		return e->code;
	l = &lessons[n - 1];
	r.data = &lesson_data[n - 1];
	if (source) {
		fwrite(r.data->source, 1, (size_t)(r.data->source_end - r.data->source), stdout);
		return 0;
	}
	printf("Lesson %" PRIu64 ": %s\n\n"
	       "Each exit in order: its line in the source, the exit itself, -> who answers it.\n"
	       "'vmm lesson %" PRIu64 " --source' shows the whole guest.\n\n",
	       n, l->title, n);
	return run_lesson(l, &r, e);
}
