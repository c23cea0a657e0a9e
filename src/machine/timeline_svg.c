/*
 * timeline_svg.c - a timeline as a picture: a row for each span, in two parts with a scale each.
 *
 * Life of a VM: at its end. The first part is the VMM's, milliseconds, until the guest's first
 * instruction; the second is the guest's. A guest that says much has more spans than anybody reads:
 * the longest are shown. Source: SVG 1.1. What a guest has printed is text: it is escaped.
 */
#include "timeline.h"
#include <string.h>
#include <vmm/base/util.h>

#define ROW 17u
#define LABEL_X 8u
#define MS_X 470u /* numbers end here */
#define BAR_X 480u
#define BAR_WIDTH 500u
#define WIDTH 1000u
#define GUEST_ROWS 48u

struct picture {
	FILE *f;
	unsigned int y;
	uint64_t from_ns, ns; /* of the part's scale */
};

static const char style[] =
	"<style>text{font:12px sans-serif;fill:#222}.h{font-weight:bold}.n{text-anchor:end}"
	".l{font-family:monospace;font-size:11px}"
	".v{fill:#3b6ea8}.g{fill:#4f9a5b}.e{fill:#c0562f}.b{fill:#fff}.s{fill:#f0f0f0}</style>\n";

static void put_text(FILE *f, const char *s)
{
	for (; *s; s++) {
		if (*s == '<')
			fprintf(f, "&lt;");
		else if (*s == '>')
			fprintf(f, "&gt;");
		else if (*s == '&')
			fprintf(f, "&amp;");
		else
			fputc(*s, f);
	}
}

/* A place on the part's scale, in tenths of a unit. */
static uint64_t x_of(const struct picture *p, uint64_t at_ns)
{
	uint64_t off = at_ns > p->from_ns ? min_u64(at_ns - p->from_ns, p->ns) : 0;

	return (uint64_t)(10 * (BAR_X + (double)off / (double)max_u64(p->ns, 1) * BAR_WIDTH));
}

static void heading(struct picture *p, const char *text, uint64_t from_ns, uint64_t to_ns)
{
	p->y += 2 * ROW;
	p->from_ns = from_ns;
	p->ns = to_ns - from_ns;
	fprintf(p->f,
		"<text x=\"%u\" y=\"%u\" class=\"h\">%s</text>"
		"<text x=\"%u\" y=\"%u\" class=\"h n\">%.3f ms</text>\n",
		LABEL_X, p->y, text, MS_X, p->y, (double)p->ns / NS_PER_MS);
}

static void row(struct picture *p, const struct timeline_note *n, const char *bar,
		const char *label)
{
	uint64_t x = x_of(p, n->at_ns), width = x_of(p, n->at_ns + n->ns) - x;

	p->y += ROW;
	fprintf(p->f, "<text x=\"%u\" y=\"%u\" class=\"%s\">", LABEL_X, p->y, label);
	put_text(p->f, n->text);
	fprintf(p->f, "</text><text x=\"%u\" y=\"%u\" class=\"n\">", MS_X, p->y);
	if (!n->is_event)
		fprintf(p->f, "%.3f", (double)n->ns / NS_PER_MS);
	width = max_u64(width, 10); /* one that is very short is still seen */
	fprintf(p->f,
		"</text><rect x=\"%llu.%llu\" y=\"%u\" width=\"%llu.%llu\" height=\"%u\" "
		"class=\"%s\"/>\n",
		(unsigned long long)(x / 10), (unsigned long long)(x % 10), p->y - ROW + 6,
		(unsigned long long)(width / 10), (unsigned long long)(width % 10), ROW - 5,
		n->is_event ? "e" : bar);
}

/* How many last so long or longer, and what the longest of the others lasts. */
static unsigned int count_from(const struct timeline_view *v, uint64_t ns, uint64_t *next_ns)
{
	unsigned int n = 0;

	*next_ns = 0;
	for (unsigned int i = 0; i < v->n_guest; i++) {
		n += v->guest[i].ns >= ns;
		if (v->guest[i].ns < ns)
			*next_ns = max_u64(*next_ns, v->guest[i].ns);
	}
	return n;
}

/* How long a span of the guest must be to be among those that are shown. */
static uint64_t shown_from_ns(const struct timeline_view *v)
{
	uint64_t from_ns = UINT64_MAX, next_ns, after_ns;

	count_from(v, from_ns, &next_ns);
	while (next_ns < from_ns && count_from(v, next_ns, &after_ns) <= GUEST_ROWS) {
		from_ns = next_ns;
		next_ns = after_ns;
	}
	return from_ns;
}

static bool is_shown(const struct timeline_note *n, uint64_t from_ns)
{
	return n->is_event || n->ns >= from_ns;
}

static unsigned int count_shown(const struct timeline_view *v, uint64_t from_ns)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < v->n_guest; i++)
		n += is_shown(&v->guest[i], from_ns);
	return n;
}

static void guest_rows(struct picture *p, const struct timeline_view *v, uint64_t from_ns)
{
	unsigned int hidden = v->n_guest - count_shown(v, from_ns) + v->n_lost;

	for (unsigned int i = 0; i < v->n_guest; i++) {
		if (is_shown(&v->guest[i], from_ns))
			row(p, &v->guest[i], "g", "l");
	}
	p->y += ROW;
	if (hidden > 0)
		fprintf(p->f,
			"<text x=\"%u\" y=\"%u\">and %u lines after which less happened</text>\n",
			LABEL_X, p->y, hidden);
}

void timeline_svg(const struct timeline_view *v, FILE *f)
{
	const uint64_t from_ns = shown_from_ns(v);
	const unsigned int rows = v->n_vmm + count_shown(v, from_ns) + 6;
	struct picture p = { .f = f };

	fprintf(f,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %u %u\" width=\"%u\">\n"
		"%s<rect class=\"b\" width=\"100%%\" height=\"100%%\"/>"
		"<rect class=\"s\" x=\"%u\" width=\"%u\" height=\"100%%\"/>\n",
		WIDTH, rows * ROW, WIDTH, style, BAR_X, BAR_WIDTH);
	heading(&p, "From the process's start to the guest's first instruction", v->start_ns,
		v->guest_ns);
	for (unsigned int i = 0; i < v->n_vmm; i++) {
		if (v->vmm[i].at_ns < v->guest_ns)
			row(&p, &v->vmm[i], "v", "t");
	}
	heading(&p, "The guest: a line that it prints, and the time until its next", v->guest_ns,
		v->end_ns);
	guest_rows(&p, v, from_ns);
	for (unsigned int i = 0; i < v->n_vmm; i++) {
		if (v->vmm[i].at_ns >= v->guest_ns)
			row(&p, &v->vmm[i], "v", "t");
	}
	fprintf(f, "</svg>\n");
}
