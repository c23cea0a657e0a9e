/*
 * emergency.h - what must be undone even when the VMM dies unexpectedly: the raw terminal,
 * the names of sockets.
 *
 * The one place with state that a signal handler can reach. Main thread registers; the undoing may
 * happen in a signal handler on any thread.
 */
#ifndef VMM_HOST_EMERGENCY_H
#define VMM_HOST_EMERGENCY_H
#include <termios.h>

/* From now on this terminal gets these settings back. One terminal at a time; fd stays open. */
void emergency_keep_terminal(int fd, const struct termios *saved);

/*
 * From now on this file is removed. The path is copied. Returns a number for
 * emergency_undo_unlink(); -1: there are EMERGENCY_MAX_PATHS already.
 */
#define EMERGENCY_MAX_PATHS 64u
int emergency_keep_unlink(const char *path);

/* Undoes one, at once, and forgets it: the ordinary way. -1 is fine. */
void emergency_undo_terminal(void);
void emergency_undo_unlink(int id);

/* Forgets a file that is no longer ours to remove. -1 is fine. */
void emergency_forget_unlink(int id);

/* Undoes all. Async-signal-safe. */
void emergency_undo(void);

#endif
