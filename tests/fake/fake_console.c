/*
 * fake_console.c - see fake_console.h.
 */
#include "fake_console.h"
#include "unit.h"
#include <signal.h>
#include <time.h>
#include <unistd.h>
#include <vmm/base/util.h>

/*
 * On a busy host a time limit can pass before the loop has done anything: so many rounds follow,
 * each longer than the chardev lets output wait for company.
 */
#define SETTLE_ROUNDS 3
#define SETTLE_NS (2 * NS_PER_MS)

static void on_input(void *arg)
{
	struct fake_console *f = arg;
	size_t n;

	f->n_input++;
	while (f->takes && f->n_in < sizeof(f->in)) {
		n = chardev_get(f->c, f->in + f->n_in, sizeof(f->in) - f->n_in);
		if (n == 0)
			return;
		f->n_in += n;
	}
}

static void on_room(void *arg)
{
	struct fake_console *f = arg;

	__atomic_add_fetch(&f->n_room, 1, __ATOMIC_RELEASE);
}

static void on_attached(void *arg, bool attached)
{
	struct fake_console *f = arg;

	f->n_attached++;
	f->attached = attached;
}

static void on_resized(void *arg)
{
	((struct fake_console *)arg)->n_resized++;
}

static void on_output(void *arg, const uint8_t *data, size_t len)
{
	struct fake_console *f = arg;

	(void)data;
	f->n_watched += len;
}

static void on_command(void *arg, char key)
{
	struct fake_console *f = arg;

	if (f->n_keys < sizeof(f->keys))
		f->keys[f->n_keys++] = key;
}

static void on_tick(void *arg)
{
	struct fake_console *f = arg;
	uint64_t now = evloop_now_ns();

	if (now < f->deadline_ns && !(f->done && f->done(f)))
		evloop_timer_set(f->loop, &f->tick, min_u64(now + NS_PER_MS, f->deadline_ns));
	else if (f->n_rounds++ < SETTLE_ROUNDS)
		evloop_timer_set(f->loop, &f->tick, now + SETTLE_NS);
	else
		evloop_stop(f->loop);
}

void fake_console_loop(struct fake_console *f)
{
	struct err e = { 0 };

	signal(SIGPIPE, SIG_IGN); /* as signals_init() does */
	*f = (struct fake_console){ .takes = true, .tick = { .fn = on_tick, .arg = f } };
	ck_ok(evloop_create(&f->loop, &e));
}

void fake_console_open(struct fake_console *f, enum chardev_kind kind, const char *path)
{
	static const struct chardev_events events = { on_input, on_room, on_attached, on_resized };
	const struct chardev_spec spec = { .kind = kind, .path = path };
	const struct chardev_watch watch = { on_output, on_command, f };
	struct err e = { 0 };

	ck_ok(chardev_create(&f->c, f->loop, &spec, &watch, &e));
	chardev_listen(f->c, &events, f);
	chardev_flow_controlled(f->c, true); /* or a megabyte would take a minute and a half */
	chardev_start(f->c);
}

void fake_console_init(struct fake_console *f, enum chardev_kind kind, const char *path)
{
	fake_console_loop(f);
	fake_console_open(f, kind, path);
}

void fake_console_fini(struct fake_console *f)
{
	chardev_destroy(f->c);
	evloop_destroy(f->loop);
}

void fake_console_run(struct fake_console *f, unsigned int ms)
{
	f->done = NULL;
	f->n_rounds = 0;
	f->deadline_ns = evloop_now_ns() + ms * NS_PER_MS;
	evloop_timer_set(f->loop, &f->tick, f->deadline_ns);
	evloop_run(f->loop);
}

void fake_console_until(struct fake_console *f, bool (*done)(struct fake_console *f))
{
	f->done = done;
	f->n_rounds = 0;
	f->deadline_ns = evloop_now_ns() + 100 * NS_PER_S;
	evloop_timer_set(f->loop, &f->tick, 0);
	evloop_run(f->loop);
	ck_assert_msg(done(f), "waited in vain");
}

uint64_t fake_console_put(struct fake_console *f, uint64_t from, uint64_t max)
{
	uint64_t n = 0;

	while (n < max && chardev_put(f->c, pattern(from + n)))
		n++;
	return n;
}

bool is_pattern(const uint8_t *data, uint64_t from, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (data[i] != pattern(from + i))
			return false;
	}
	return true;
}

void read_pattern(int fd, uint64_t from, size_t len)
{
	while (len > 0) {
		uint8_t buf[4096];
		ssize_t n = read(fd, buf, min_size(len, sizeof(buf)));

		ck_assert_int_gt(n, 0);
		ck_assert(is_pattern(buf, from, (size_t)n));
		from += (uint64_t)n;
		len -= (size_t)n;
	}
}

static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

uint64_t fake_console_idle_cost_ms(struct fake_console *f, unsigned int ms)
{
	uint64_t before = cpu_ns();

	fake_console_run(f, ms);
	return (cpu_ns() - before) / NS_PER_MS;
}
