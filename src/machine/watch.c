/*
 * watch.c - what the console's output tells about the guest: the text of --expect, and panics.
 *
 * Life of a VM: on the loop thread, for every byte that the guest prints, before it is written out.
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
	machine_end(arg, END_PANIC, 0);
}

void watch_init(struct machine *m)
{
	struct watch *w = &m->watch;

	evloop_timer_cancel(&w->settled);
	*w = (struct watch){ .settled = { .fn = on_settled, .arg = m } };
	match_init(&w->panic, "Kernel panic - not syncing");
	match_init(&w->panic_end, "---[ end Kernel panic - not syncing");
	match_init(&w->restarting, "reboot: Restarting system");
	match_init(&w->powering_down, "reboot: Power down");
	w->has_expect = m->cfg->expect != NULL;
	if (w->has_expect)
		match_init(&w->expect, m->cfg->expect);
}

static void expected(struct machine *m)
{
	uint64_t ms = (evloop_now_ns() - m->cfg->start_ns) / NS_PER_MS;

	m->watch.expected = true;
	log_say("\"%s\" after %llu.%03llu s", m->cfg->expect, (unsigned long long)(ms / 1000),
		(unsigned long long)(ms % 1000));
	machine_end(m, END_EXPECTED, 0);
}

static void feed(struct machine *m, uint8_t byte)
{
	struct watch *w = &m->watch;

	if (w->has_expect && !w->expected && match_feed(&w->expect, byte))
		expected(m);
	if (match_feed(&w->panic, byte))
		w->panicking = true;
	if (match_feed(&w->restarting, byte))
		w->panicking = false;
	if (match_feed(&w->powering_down, byte))
		w->panicking = false;
	if (match_feed(&w->panic_end, byte)) {
		w->settling = true;
		evloop_timer_set(m->loop, &w->settled, evloop_now_ns() + SETTLE_NS);
	} else if (w->settling && byte == '\n') {
		w->settling = false; /* the rest of that line; from here on silence is wanted */
	} else if (!w->settling) {
		evloop_timer_cancel(&w->settled);
	}
}

void watch_output(void *arg, const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		feed(arg, data[i]);
}
