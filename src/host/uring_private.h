/*
 * uring_private.h - private to uring.c, and to the test that asks its ring for what it must refuse.
 */
#ifndef VMM_SRC_HOST_URING_PRIVATE_H
#define VMM_SRC_HOST_URING_PRIVATE_H
#include <liburing.h>
#include <stdbool.h>
#include <vmm/host/uring.h>

struct uring {
	struct io_uring ring;
	struct evloop *loop;
	struct ev_fd ev;
	struct ev_poll poll; /* for answers, while something is in flight */
	struct ev_timer retry;
	struct ev_task turn; /* submits at the end of a turn of the loop */
	ev_task_fn settled;
	void *arg;
	unsigned int depth;
	unsigned int n_in_flight; /* asked for, and not yet done */
	bool reaping; /* done() is running: what it asks for is submitted once, afterwards */
};

#endif
