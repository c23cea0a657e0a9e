/*
 * watch.c - what a console's output tells about the guest: the text of --expect, and panics.
 *
 * Life of a VM: on the loop thread, for every byte that the guest prints on COM1 or hvc0, before it
 * is written out. Each has a watch of its own: a text is one console's text.
 *
 * A kernel with a driver for pvpanic reports its panic there. Most have it as a module, or not at
 * all, so the message itself counts too. It must not be taken for one that somebody merely prints,
 * as `dmesg` or `cat` may: a real panic is followed by a reset at once (panic=-1), by "Rebooting in
 * N seconds" and a reset, or by its last line and silence. A guest that prints
 * such a last line and then nothing for half a second ends its own VM so, and no other. Source:
 * Linux, kernel/panic.c and kernel/reboot.c, for the messages.
 */
#include "machine.h"
#include <vmm/base/util.h>

#define SETTLE_NS (500 * NS_PER_MS)

static void on_settled(void *arg)
{
	const struct watch *w = arg;

	machine_end(w->machine, END_PANIC, 0);
}

static void init(struct watch *w, struct machine *m)
{
	evloop_timer_cancel(&w->settled);
	*w = (struct watch){ .machine = m, .settled = { .fn = on_settled, .arg = w } };
	match_init(&w->panic, "Kernel panic - not syncing");
	match_init(&w->panic_end, "---[ end Kernel panic - not syncing");
	match_init(&w->restarting, "reboot: Restarting system");
	match_init(&w->powering_down, "reboot: Power down");
	w->has_expect = m->cfg->expect != NULL;
	if (w->has_expect)
		match_init(&w->expect, m->cfg->expect);
}

void watch_init(struct machine *m)
{
	for (unsigned int i = 0; i < N_WATCHES; i++)
		init(&m->watch[i], m);
}

void watch_stop(struct machine *m)
{
	for (unsigned int i = 0; i < N_WATCHES; i++)
		evloop_timer_cancel(&m->watch[i].settled);
}

bool watch_is_panicking(const struct machine *m)
{
	return m->watch[WATCH_COM1].panicking || m->watch[WATCH_HVC0].panicking;
}

bool watch_has_expected(const struct machine *m)
{
	return m->watch[WATCH_COM1].expected || m->watch[WATCH_HVC0].expected;
}

static void expected(struct watch *w)
{
	struct machine *m = w->machine;
	uint64_t ms = (evloop_now_ns() - m->cfg->start_ns) / NS_PER_MS;

	if (!watch_has_expected(m))
		log_say("\"%s\" after %llu.%03llu s", m->cfg->expect,
			(unsigned long long)(ms / 1000), (unsigned long long)(ms % 1000));
	w->expected = true;
	machine_end(m, END_EXPECTED, 0);
}

static void feed(struct watch *w, uint8_t byte)
{
	if (w->has_expect && !w->expected && match_feed(&w->expect, byte))
		expected(w);
	if (match_feed(&w->panic, byte))
		w->panicking = true;
	if (match_feed(&w->restarting, byte))
		w->panicking = false;
	if (match_feed(&w->powering_down, byte))
		w->panicking = false;
	if (match_feed(&w->panic_end, byte)) {
		w->settling = true;
		evloop_timer_set(w->machine->loop, &w->settled, evloop_now_ns() + SETTLE_NS);
	} else if (w->settling && byte == '\n') {
		w->settling = false; /* the rest of that line; from here on silence is wanted */
	} else if (!w->settling) {
		evloop_timer_cancel(&w->settled);
	}
}

void watch_output(void *watch, const uint8_t *data, size_t len)
{
	timeline_output(((const struct watch *)watch)->machine->cfg->timeline, data, len);
	for (size_t i = 0; i < len; i++)
		feed(watch, data[i]);
}
