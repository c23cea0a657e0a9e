/*
 * log.h - what the VMM says on stderr, by level; and the second kind of failure, the guest's.
 *
 * Any thread; each line is one write(2), so that lines of several threads do not mix. Nothing here
 * goes to stdout: that belongs to the guest's console.
 */
#ifndef VMM_BASE_LOG_H
#define VMM_BASE_LOG_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Below this line nothing is formatted. Default: LOG_WARN. Set once, before threads exist. */
void log_set_level(enum log_level level);

/* Says that lines end in CR LF, because the terminal is raw. Any thread. */
void log_set_raw(bool raw);
bool log_is_raw(void);

/*
 * Writes to stderr whatever it is, if it takes that within wait_ms; else the bytes are lost. A
 * reader that has stopped reading must not stop us. Any thread; at most 4096 bytes, so that a pipe
 * takes them whole.
 */
void log_write(const char *data, size_t len, int wait_ms);
#define LOG_WAIT_MS                                                                                \
	200 /* for what a person should read; lines that a guest causes wait for nothing */

/* "error", "warn", "info", "debug" -> level; false: none of these. */
bool log_level_parse(const char *s, enum log_level *out);

__attribute__((format(printf, 2, 3))) void log_at(enum log_level level, const char *fmt, ...);
/* An answer to what the user asked for: printed at every level. */
__attribute__((format(printf, 1, 2))) void log_say(const char *fmt, ...);
#define log_error(...) log_at(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_at(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_at(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)

/*
 * One source of guest-caused lines: at most LOG_GUEST_BURST lines a second, then silence and a
 * count. Zero-initialised; the device that owns it calls under its own lock.
 */
struct log_limit {
	uint64_t window_ns; /* start of the current second, CLOCK_MONOTONIC */
	uint32_t n_said, n_dropped;
};
#define LOG_GUEST_BURST 5

/* Logs at LOG_WARN "guest: ...", unless this source has said enough. */
__attribute__((format(printf, 2, 3))) void log_guest(struct log_limit *l, const char *fmt, ...);

#endif
