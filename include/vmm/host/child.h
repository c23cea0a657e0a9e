/*
 * child.h - a helper process: started, watched, and surely ended.
 *
 * Its standard input and output are /dev/null, its standard error is kept for the case that it
 * fails, descriptor CHILD_FD is the one it was given; it inherits nothing else that is ours. It is
 * in a session of its own, so that keys on our terminal do not reach it. Loop thread only.
 */
#ifndef VMM_HOST_CHILD_H
#define VMM_HOST_CHILD_H
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <vmm/base/err.h>
#include <vmm/host/evloop.h>

#define CHILD_FD 3
#define CHILD_WORDS 2048u /* of its standard error, the last so many bytes are kept */

struct child { /* embedded; zeroed means "none" */
	pid_t pid; /* 0: there is none, or it has been reaped */
	int pid_fd, err_fd;
	char words[CHILD_WORDS + 1]; /* what it has said last; NUL-terminated */
	size_t n_words;
	int status; /* once it has ended, as from wait(2) */
	struct ev_fd ev_end, ev_err;
	void (*ended)(void *arg); /* on the loop, once; by then it is reaped */
	void *arg;
};

/*
 * Starts argv[0], found by PATH. fd stays the caller's. -ENOENT: there is no such program. The
 * kernel ends it with us, unless it changes its user; then the closing of fd has to tell it.
 */
int child_start(struct child *c, const char *const *argv, int fd, struct err *e);

/* Tells its end. From now on what it says is taken in, so that it never waits for a reader. */
int child_watch(struct child *c, struct evloop *l, void (*ended)(void *arg), void *arg,
		struct err *e);

/* Has it ended? It is reaped then, and `words` is complete. */
bool child_has_ended(struct child *c);

/*
 * Ends it if it still runs, by SIGKILL, and reaps it. Where it belongs to another user now and we
 * have no power over it, it gets two seconds to go by itself: so take away first what it lives on.
 */
void child_stop(struct child *c);

#endif
