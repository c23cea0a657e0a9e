/*
 * timeline.c - notes when what has begun: the phases of a start, and what the guest's consoles
 * tell.
 *
 * Life of a VM: only with --timeline. Opened in the first lines of `vmm run`, before there are two
 * processes; the VM's own goes on with the notes, and writes them down after the guest's end. All
 * memory is got at the beginning: a guest that prints for ever adds a number, no more.
 */
#include "timeline.h"
#include <errno.h>
#include <jansson.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <vmm/base/bug.h>
#include <vmm/base/util.h>
#include <vmm/host/evloop.h>
#include <vmm/host/path.h>

struct timeline {
	FILE *file;
	bool is_svg;
	struct timeline_note vmm[TIMELINE_PHASES];
	unsigned int n_vmm;
	_Atomic uint64_t guest_ns; /* the one thing that is another thread's */
	uint64_t guest_end_ns;
	struct timeline_note guest[TIMELINE_NOTES]; /* the first is the start */
	unsigned int n_guest, n_lost;
	size_t line_len; /* of the line that is being printed; the last of guest[] */
	bool in_line;
	uint64_t start_ns;
};

/* What this process has cost: running the linker, before main(). */
static uint64_t cpu_time_ns(void)
{
	struct timespec t = { 0 };

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static bool ends_in(const char *s, const char *end)
{
	size_t len = strlen(s), n = strlen(end);

	return len > n && strcmp(s + len - n, end) == 0;
}

static int open_file(struct timeline *t, const char *path, struct err *e)
{
	t->is_svg = ends_in(path, ".svg");
	if (!t->is_svg && !ends_in(path, ".json"))
		return err_set(e, -EINVAL, "expected a name that ends in .svg or .json");
	return path_create(&t->file, path, e);
}

static void add_phase(struct timeline *t, const char *name, uint64_t at_ns)
{
	struct timeline_note *p = &t->vmm[t->n_vmm];

	if (t->n_vmm > 0)
		p[-1].ns = at_ns - p[-1].at_ns;
	VMM_BUG_ON(t->n_vmm == TIMELINE_PHASES);
	t->n_vmm++;
	p->at_ns = at_ns;
	snprintf(p->text, sizeof(p->text), "%s", name);
}

int timeline_open(struct timeline **out, const char *path, uint64_t start_ns, struct err *e)
{
	uint64_t loaded_in = min_u64(cpu_time_ns(), start_ns);
	struct timeline *t = calloc(1, sizeof(*t));

	if (!t)
		return err_set(e, -ENOMEM, "--timeline: out of memory");
	if (open_file(t, path, e) < 0) {
		free(t);
		return err_wrap(e, "--timeline %s", path);
	}
	t->start_ns = start_ns - loaded_in;
	add_phase(t, "load the program", t->start_ns);
	add_phase(t, "read the options", start_ns);
	t->n_guest = 1;
	snprintf(t->guest[0].text, TIMELINE_TEXT, "(its first instruction)");
	*out = t;
	return 0;
}

void timeline_close(struct timeline *t)
{
	if (!t)
		return;
	if (t->file)
		fclose(t->file);
	free(t);
}

void timeline_phase(struct timeline *t, const char *name)
{
	if (t)
		add_phase(t, name, evloop_now_ns());
}

void timeline_guest_starts(struct timeline *t)
{
	if (t && atomic_load(&t->guest_ns) == 0)
		atomic_store(&t->guest_ns, evloop_now_ns());
}

void timeline_guest_ends(struct timeline *t)
{
	if (!t)
		return;
	t->guest_end_ns = evloop_now_ns();
	add_phase(t, "stop, and write out what the guest has said", t->guest_end_ns);
}

/* The guest's notes ------------------------------------------------------------------------ */

/* NULL: there is no room. */
static struct timeline_note *add_note(struct timeline *t, uint64_t at_ns)
{
	struct timeline_note *n = &t->guest[t->n_guest];

	if (t->n_guest == TIMELINE_NOTES) {
		t->n_lost++;
		return NULL;
	}
	t->n_guest++;
	n->at_ns = at_ns;
	return n;
}

/* In its place: what has come since was printed later. (qsort() asks how much memory there is.) */
void timeline_event(struct timeline *t, const char *name, uint64_t at_ns)
{
	struct timeline_note event = { .at_ns = at_ns, .is_event = true }, *n;

	if (!t || !add_note(t, at_ns))
		return;
	t->in_line = false;
	snprintf(event.text, sizeof(event.text), "%s", name);
	for (n = &t->guest[t->n_guest - 1]; n > &t->guest[1] && n[-1].at_ns > at_ns; n--)
		*n = n[-1];
	*n = event;
}

/* A line begins with its first byte that can be seen. */
static void add_byte(struct timeline *t, uint8_t byte, uint64_t now_ns)
{
	struct timeline_note *n;

	if (byte == '\n') {
		t->in_line = false;
		return;
	}
	if (!t->in_line) {
		if (byte <= ' ' || byte > '~' || !add_note(t, now_ns))
			return;
		t->in_line = true;
		t->line_len = 0;
	}
	n = &t->guest[t->n_guest - 1];
	if (byte >= ' ' && byte <= '~' && t->line_len < TIMELINE_TEXT - 1)
		n->text[t->line_len++] = (char)byte;
}

void timeline_output(struct timeline *t, const uint8_t *data, size_t len)
{
	uint64_t now_ns;

	if (!t)
		return;
	now_ns = evloop_now_ns();
	for (size_t i = 0; i < len; i++)
		add_byte(t, data[i], now_ns);
}

/* Each span ends where the next one begins; events lie within. */
static void close_spans(struct timeline *t)
{
	uint64_t end_ns = t->guest_end_ns;

	for (unsigned int i = t->n_guest; i-- > 0;) {
		struct timeline_note *n = &t->guest[i];

		if (n->is_event)
			continue;
		n->ns = end_ns - n->at_ns;
		end_ns = n->at_ns;
	}
}

/* The file ---------------------------------------------------------------------------------- */

/* false: no memory, and then val is freed. */
static bool set(json_t *o, const char *name, json_t *val)
{
	return json_object_set_new(o, name, val) == 0; /* not, if either is NULL */
}

static bool add_row(json_t *rows, const struct timeline_view *v, const struct timeline_note *n)
{
	json_t *o = json_object();
	bool whole = set(o, "what", json_string(n->text)) &&
		     set(o, "at_us", json_integer((json_int_t)((n->at_ns - v->start_ns) / 1000))) &&
		     set(o, "us", json_integer((json_int_t)(n->ns / 1000)));

	return json_array_append_new(rows, o) == 0 && whole;
}

static bool set_rows(json_t *o, const char *name, const struct timeline_view *v,
		     const struct timeline_note *n, unsigned int count)
{
	json_t *rows = json_array();
	bool whole = set(o, name, rows);

	for (unsigned int i = 0; i < count && whole; i++)
		whole = add_row(rows, v, &n[i]);
	return whole;
}

static int write_json(const struct timeline_view *v, FILE *f)
{
	json_t *o = json_object();
	bool whole = set_rows(o, "vmm", v, v->vmm, v->n_vmm) &&
		     set_rows(o, "guest", v, v->guest, v->n_guest) &&
		     set(o, "lost", json_integer(v->n_lost));
	char *text = whole ? json_dumps(o, JSON_INDENT(1)) : NULL;

	json_decref(o);
	if (!text)
		return -ENOMEM;
	fprintf(f, "%s\n", text);
	free(text);
	return 0;
}

/* The phase in which the guest starts is over then; the next one begins at the guest's end. */
static void close_phases(struct timeline *t)
{
	uint64_t guest_ns = atomic_load(&t->guest_ns);

	add_phase(t, "", evloop_now_ns());
	for (unsigned int i = 0; i < t->n_vmm; i++) {
		struct timeline_note *p = &t->vmm[i];

		if (p->at_ns < guest_ns)
			p->ns = min_u64(p->ns, guest_ns - p->at_ns);
	}
}

int timeline_write(struct timeline *t, struct err *e)
{
	struct timeline_view v;
	int rc = 0;

	if (!t)
		return 0;
	timeline_guest_starts(t); /* if there was none, it begins and ends here */
	t->guest[0].at_ns = atomic_load(&t->guest_ns);
	close_phases(t);
	close_spans(t);
	v = (struct timeline_view){
		.start_ns = t->start_ns,
		.guest_ns = atomic_load(&t->guest_ns),
		.end_ns = t->vmm[t->n_vmm - 1].at_ns,
		.vmm = t->vmm,
		.guest = t->guest,
		.n_vmm = t->n_vmm - 1,
		.n_guest = t->n_guest,
		.n_lost = t->n_lost,
	};
	if (t->is_svg)
		timeline_svg(&v, t->file);
	else
		rc = write_json(&v, t->file);
	if (fclose(t->file) != 0 && rc == 0)
		rc = -errno;
	t->file = NULL;
	return rc < 0 ? err_set(e, rc, "%s", strerror(-rc)) : 0;
}
