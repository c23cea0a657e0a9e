/*
 * procfs.h - what /proc says about processes, by the numbers that they have there.
 *
 * A process in a PID namespace of its own knows itself and its children by other numbers than a
 * /proc of the host's does. Any thread, while there is a /proc to open files in.
 */
#ifndef VMM_HOST_PROCFS_H
#define VMM_HOST_PROCFS_H
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Our own number. 0: that cannot be seen. */
pid_t procfs_self(void);
/* The number of the process that pid_fd is of. 0: that cannot be seen. */
pid_t procfs_pid_of(int pid_fd);

/* Has the process gone? One that hides from us is taken for gone. */
bool procfs_is_gone(pid_t pid);

/*
 * Are we in a user namespace that has one user alone, who is not root outside? Then root in it has
 * no more power than that user. false: no, or it cannot be seen.
 */
bool procfs_is_lone_user(void);

/* The text of /proc/PID/NAME, cut to the room in buf, with a NUL behind it. false: none. */
bool procfs_read(pid_t pid, const char *name, char *buf, size_t size);

#endif
