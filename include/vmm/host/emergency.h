/*
 * emergency.h - what must be undone even when the VMM dies unexpectedly: the raw terminal, a
 * socket's name.
 *
 * The one place with state that a signal handler can reach. Main thread registers; the undoing may
 * happen in a signal handler on any thread.
 */
#ifndef VMM_HOST_EMERGENCY_H
#define VMM_HOST_EMERGENCY_H
#include <termios.h>

/* From now on this terminal gets these settings back. One terminal at a time; fd stays open. */
void emergency_keep_terminal(int fd, const struct termios *saved);

/* From now on this file is removed. One file at a time. The path is copied. */
void emergency_keep_unlink(const char *path);

/* Undoes both, at once, and forgets them. Async-signal-safe; also the ordinary way to undo them. */
void emergency_undo(void);

#endif
