/*
 * net_loop.c - a cable that leads back to the guest: every frame that it sends, it receives.
 *
 * Life of a VM: opened with the device. For tests of a driver, `vmm selftest` first of all: it
 * needs neither privileges nor anything on the host. Loop thread.
 *
 * Frames wait in a queue until the guest takes them. It has an end: a guest that sends and does not
 * receive loses what it sends from there on, as on any network.
 */
#include "netif_kinds.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <vmm/base/bug.h>
#include <vmm/base/log.h>
#include <vmm/base/util.h>

#define MAX_BYTES (512 * KIB) /* in the queue, with MAX_FRAMES: seven of the largest */
#define MAX_FRAMES 1024u

struct frame {
	struct frame *next;
	size_t len;
	uint8_t bytes[];
};

struct net_loop {
	struct netif n;
	const char *name;
	struct evloop *loop;
	struct ev_fd ev;
	int fd; /* an eventfd: readable while there are frames, and always writable */
	uint32_t armed; /* EPOLLIN, EPOLLOUT */
	struct frame *first, **last;
	size_t n_frames, n_bytes;
	struct log_limit limit;
};

static struct net_loop *of(struct netif *n)
{
	return container_of(n, struct net_loop, n);
}

static enum netif_sent loop_send(struct netif *n, unsigned int pair, struct iovec *iov, int n_iov)
{
	struct net_loop *l = of(n);
	const uint64_t one = 1;
	struct frame *f;
	size_t len = 0;

	(void)pair;
	for (int i = 1; i < n_iov; i++)
		len += iov[i].iov_len;
	VMM_BUG_ON(len > NETIF_FRAME_MAX);
	if (l->n_frames == MAX_FRAMES || len > MAX_BYTES - l->n_bytes)
		return NETIF_DROPPED;
	f = malloc(sizeof(*f) + len);
	if (!f)
		return NETIF_DROPPED;
	*f = (struct frame){ 0 };
	for (int i = 1; i < n_iov; i++) {
		memcpy(f->bytes + f->len, iov[i].iov_base, iov[i].iov_len);
		f->len += iov[i].iov_len;
	}
	*l->last = f;
	l->last = &f->next;
	l->n_frames++;
	l->n_bytes += len;
	VMM_BUG_ON(write(l->fd, &one, sizeof(one)) != (ssize_t)sizeof(one));
	return NETIF_SENT;
}

/* Takes the first frame out of the queue; the descriptor is readable no longer than there is one.
 */
static struct frame *take(struct net_loop *l)
{
	struct frame *f = l->first;
	uint64_t count;

	if (!f)
		return NULL;
	l->first = f->next;
	l->n_frames--;
	l->n_bytes -= f->len;
	if (!l->first) {
		l->last = &l->first;
		VMM_BUG_ON(read(l->fd, &count, sizeof(count)) != (ssize_t)sizeof(count));
	}
	return f;
}

/* The header is zeros: nothing is left undone, as no offload is offered to the sender. */
static size_t loop_receive(struct netif *n, unsigned int pair, const struct iovec *iov, int n_iov)
{
	struct frame *f = take(of(n));
	size_t done = 0;

	(void)pair;
	if (!f)
		return 0;
	memset(iov[0].iov_base, 0, iov[0].iov_len);
	for (int i = 1; i < n_iov && done < f->len; i++) {
		size_t part = min_size(iov[i].iov_len, f->len - done);

		memcpy(iov[i].iov_base, f->bytes + done, part);
		done += part;
	}
	free(f);
	return iov[0].iov_len + done;
}

static void on_event(void *arg, uint32_t events)
{
	struct net_loop *l = arg;

	if (events & EPOLLOUT)
		l->n.events->writable(l->n.arg, 0);
	if (events & EPOLLIN && l->armed & EPOLLIN)
		l->n.events->readable(l->n.arg, 0);
}

static void loop_watch(struct netif *n, unsigned int pair, uint32_t events)
{
	struct net_loop *l = of(n);

	(void)pair;
	if (events == l->armed)
		return;
	evloop_del(&l->ev);
	l->armed = events;
	if (events && evloop_add(l->loop, &l->ev, l->fd, events, on_event, l) < 0) {
		l->armed = 0;
		log_guest(&l->limit, "%s: loop: event loop: %s", l->name, strerror(errno));
	}
}

static void loop_destroy(struct netif *n)
{
	struct net_loop *l = of(n);
	struct frame *f;

	evloop_del(&l->ev);
	while ((f = l->first)) {
		l->first = f->next;
		free(f);
	}
	if (l->fd >= 0)
		close(l->fd);
	free(l->n.seed);
	free(l);
}

static const struct netif_ops loop_ops = {
	.send = loop_send,
	.receive = loop_receive,
	.watch = loop_watch,
	.destroy = loop_destroy,
};

int net_loop_open(struct netif **out, const struct net_spec *spec, const char *name,
		  struct evloop *loop, struct err *e)
{
	struct net_loop *l = calloc(1, sizeof(*l));

	if (!l)
		return err_set(e, -ENOMEM, "loop: out of memory");
	*l = (struct net_loop){
		.n = { .ops = &loop_ops, .n_pairs = 1, .mtu = spec->mtu, .link_up = true },
		.name = name,
		.loop = loop,
		.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
	};
	l->last = &l->first;
	if (l->fd < 0) {
		err_errno(e, "loop: eventfd");
	} else if (asprintf(&l->n.seed, "loop %s", name) < 0) {
		l->n.seed = NULL;
		err_set(e, -ENOMEM, "loop: out of memory");
	} else {
		*out = &l->n;
		return 0;
	}
	loop_destroy(&l->n);
	return e->code;
}
