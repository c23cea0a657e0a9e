/*
 * log.c - lines on stderr.
 *
 * Life of a VM: any time, any thread. A line is built in a local buffer and leaves in one write(2).
 * Lines that a guest can cause go through log_guest(), so that no guest can flood a log.
 */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <vmm/base/log.h>
#include <vmm/base/util.h>

static const char *const names[] = { "error", "warn", "info", "debug" };

/* The log sink: the only mutable globals of the program. */
static enum log_level threshold = LOG_WARN; /* written before threads exist */
static bool raw_terminal; /* atomic */

void log_set_level(enum log_level level)
{
	threshold = level;
}

void log_set_raw(bool raw)
{
	__atomic_store_n(&raw_terminal, raw, __ATOMIC_RELAXED);
}

bool log_is_raw(void)
{
	return __atomic_load_n(&raw_terminal, __ATOMIC_RELAXED);
}

bool log_level_parse(const char *s, enum log_level *out)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(s, names[i]) == 0) {
			*out = (enum log_level)i;
			return true;
		}
	}
	return false;
}

void log_write(const char *data, size_t len, int wait_ms)
{
	struct pollfd p = { .fd = STDERR_FILENO, .events = POLLOUT };
	int rc;

	do { /* a kick of this vCPU must not cost a line */
		rc = poll(&p, 1, wait_ms);
	} while (rc < 0 && errno == EINTR);
	/* Nobody is left to tell if stderr is gone or does not take it. */
	if (rc <= 0 || write(STDERR_FILENO, data, len) < 0)
		return;
}

static void emit(int wait_ms, const char *prefix, const char *fmt, va_list ap)
{
	const char *eol = log_is_raw() ? "\r\n" : "\n";
	char line[1024];
	size_t n, room = sizeof(line) - 2; /* for eol */

	n = min_size((size_t)snprintf(line, room, "vmm: %s", prefix), room - 1);
	n = min_size(n + (size_t)vsnprintf(line + n, room - n, fmt, ap), room - 1);
	memcpy(line + n, eol, strlen(eol));
	log_write(line, n + strlen(eol), wait_ms);
}

void log_at(enum log_level level, const char *fmt, ...)
{
	va_list ap;

	if (level > threshold)
		return;
	va_start(ap, fmt);
	emit(LOG_WAIT_MS, level == LOG_ERROR ? "" : level == LOG_WARN ? "warning: " : "", fmt, ap);
	va_end(ap);
}

void log_say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	emit(LOG_WAIT_MS, "", fmt, ap);
	va_end(ap);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

__attribute__((format(printf, 1, 2))) static void emit_guest(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	emit(0, "guest: ", fmt, ap);
	va_end(ap);
}

void log_guest(struct log_limit *l, const char *fmt, ...)
{
	uint64_t now;
	va_list ap;

	if (threshold < LOG_WARN)
		return;
	now = now_ns();
	if (now - l->window_ns >= NS_PER_S) {
		if (l->n_dropped > 0)
			emit_guest("%u more lines like the last", l->n_dropped);
		*l = (struct log_limit){ .window_ns = now };
	}
	if (l->n_said == LOG_GUEST_BURST) {
		l->n_dropped++;
		return;
	}
	l->n_said++;
	va_start(ap, fmt);
	emit(0, "guest: ", fmt, ap);
	va_end(ap);
}
