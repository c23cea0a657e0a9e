/*
 * uring.h - io_uring in the event loop: requests on files that the kernel works off by itself.
 *
 * Loop thread only.
 */
#ifndef VMM_HOST_URING_H
#define VMM_HOST_URING_H
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>
#include <vmm/base/err.h>
#include <vmm/host/evloop.h>

struct uring;

struct uring_op { /* embedded in what it works for; zeroed but for done */
	/* On the loop: bytes moved or 0, or -errno; as the system call of that name. */
	void (*done)(struct uring_op *op, int result);
};

/*
 * depth: how many requests can be in flight. settled(arg), if not NULL, is called after one or more
 * done(). -ENOSYS, -EPERM: this host has no io_uring that is fit for us, or forbids it. Owned by
 * the caller. The ring can do what is below and nothing else, whoever gets hold of it.
 */
int uring_create(struct uring **out, struct evloop *l, unsigned int depth, ev_task_fn settled,
		 void *arg, struct err *e);
/* Drained, or never used. NULL is fine. */
void uring_destroy(struct uring *u);

struct uring_data { /* of a file, in memory */
	int fd;
	int flags; /* RWF_* */
	uint64_t at;
	const struct iovec *iov; /* it, and what it points to, stays until done() */
	unsigned int n_iov;
};

/*
 * Requests, at most `depth` of them in flight. They start with the next uring_submit(), and done()
 * is never called from here, or from there. mode: of fallocate(2).
 */
void uring_read(struct uring *u, struct uring_op *op, const struct uring_data *d);
void uring_write(struct uring *u, struct uring_op *op, const struct uring_data *d);
void uring_fdatasync(struct uring *u, struct uring_op *op, int fd);
void uring_fallocate(struct uring *u, struct uring_op *op, int fd, int mode, uint64_t at,
		     uint64_t len);

/* Starts what is waiting for it, at the end of this turn of the loop. Needed outside of done()
 * only.
 */
void uring_submit(struct uring *u);
/* Is nothing in flight? */
bool uring_is_idle(const struct uring *u);
/* Returns when everything, what done() starts too, is done. Not from within done(). */
void uring_drain(struct uring *u);

#endif
