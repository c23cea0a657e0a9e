/*
 * emergency.h - what must be undone even when the VMM dies unexpectedly: the raw terminal, the
 * names of sockets, the folder of a cgroup.
 *
 * The one place with state that a signal handler can reach. Main thread registers; the undoing may
 * happen in a signal handler on any thread, or in the guard.
 */
#ifndef VMM_HOST_EMERGENCY_H
#define VMM_HOST_EMERGENCY_H
#include <termios.h>
#include <vmm/base/err.h>

#define EMERGENCY_PATH_MAX 256u

/* From now on this terminal gets these settings back. One terminal at a time; fd stays open. */
void emergency_keep_terminal(int fd, const struct termios *saved);

/*
 * From now on this file, or this empty folder, is removed, unless it is another one by then. The
 * path is copied; at most EMERGENCY_PATH_MAX - 1 bytes. Returns a number for
 * emergency_undo_unlink(); -1: there are EMERGENCY_MAX_PATHS already.
 */
#define EMERGENCY_MAX_PATHS 64u
int emergency_keep_unlink(const char *path);
int emergency_keep_rmdir(const char *path);

/* Undoes one, at once, and forgets it: the ordinary way. -1 is fine. */
void emergency_undo_terminal(void);
void emergency_undo_unlink(int id);

/* Undoes all. Async-signal-safe. */
void emergency_undo(void);

/*
 * Starts the guard, a process that undoes what is registered from here on when this process and
 * those that it forks have ended, however they did. One at a time.
 */
int emergency_guard_start(struct err *e);
/* In the process that started it: lets it do so, and waits until it has. Without one, nothing. */
void emergency_guard_end(void);
/* In a process forked from that one: the guard does not wait for this one. */
void emergency_guard_leave(void);
/* The same, before it goes to jail: what is registered stays, and cannot be changed from here any
 * more. */
void emergency_seal(void);

#endif
