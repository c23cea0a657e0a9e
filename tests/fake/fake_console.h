/*
 * fake_console.h - a device at a real chardev: what it is given, and a loop to run both on.
 */
#ifndef TESTS_FAKE_CONSOLE_H
#define TESTS_FAKE_CONSOLE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <vmm/host/chardev.h>
#include <vmm/host/evloop.h>

#define FAKE_CONSOLE_KEPT 4096u

struct fake_console {
	struct evloop *loop;
	struct chardev *c;
	bool takes; /* input is taken as soon as it comes */
	unsigned int n_input, n_room, n_attached, n_resized; /* calls */
	bool attached; /* the last that was said */
	uint8_t in[FAKE_CONSOLE_KEPT]; /* what was taken */
	size_t n_in;
	uint64_t n_watched; /* bytes that the machine's watch has seen */
	char keys[8]; /* commands of the user */
	size_t n_keys;
	bool (*done)(struct fake_console *f); /* of fake_console_until() */
	struct ev_timer tick;
	unsigned int n_rounds; /* since the end of the present run was due */
	uint64_t deadline_ns;
};

/* All at once; or the loop first, and then the console. */
void fake_console_init(struct fake_console *f, enum chardev_kind kind, const char *path);
void fake_console_loop(struct fake_console *f);
void fake_console_open(struct fake_console *f, enum chardev_kind kind, const char *path);
void fake_console_fini(struct fake_console *f);

/* Runs the loop until done(f), or fails the test in the end; or for that long. */
void fake_console_until(struct fake_console *f, bool (*done)(struct fake_console *f));
void fake_console_run(struct fake_console *f, unsigned int ms);

/* Puts the pattern's bytes until one is refused, at most max; how many were taken. */
uint64_t fake_console_put(struct fake_console *f, uint64_t from, uint64_t max);

/* Milliseconds of CPU time that this process takes to run the loop that long with nothing to do. */
uint64_t fake_console_idle_cost_ms(struct fake_console *f, unsigned int ms);

/* The i-th byte of a long text that does not repeat soon. */
static inline uint8_t pattern(uint64_t i)
{
	return (uint8_t)(i * 0x9e3779b97f4a7c15u >> 56);
}
bool is_pattern(const uint8_t *data, uint64_t from, size_t len);
/* Reads so many bytes, which must be the pattern's from there on. */
void read_pattern(int fd, uint64_t from, size_t len);

#endif
