/*
 * net_unix.c - a cable to another VM, or to a switch: a unix stream socket.
 *
 * Life of a VM: opened with the device. Whoever comes first listens, the other one connects. The
 * peer may go and come back: the one that listens takes the next that connects, the one that has
 * connected tries again twice a second. Loop thread.
 */
#include "net_stream.h"
#include "netif_kinds.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>
#include <vmm/base/log.h>
#include <vmm/base/util.h>
#include <vmm/host/sock.h>

#define RETRY_NS (500 * NS_PER_MS)

struct net_unix {
	struct netif n;
	const struct net_spec *spec;
	const char *name;
	struct evloop *loop;
	char *path; /* absolute */
	struct sock_listener listener; /* fd -1: we are the one that connects */
	struct ev_fd ev; /* of the listener */
	struct ev_timer retry; /* to connect, or to listen again after a failure of accept() */
	struct net_stream stream;
	struct log_limit limit;
};

static void tell_link(struct net_unix *u)
{
	bool up = u->stream.fd >= 0;

	if (up == u->n.link_up)
		return;
	u->n.link_up = up;
	log_info("%s: unix=%s: link %s", u->name, u->path, up ? "up" : "down");
	if (u->n.events)
		u->n.events->link(u->n.arg);
}

static void retry_later(struct net_unix *u)
{
	evloop_timer_set(u->loop, &u->retry, evloop_now_ns() + RETRY_NS);
}

/* A second peer is turned away at once: it would wait for frames that never come. */
static void on_connection(void *arg, uint32_t events)
{
	struct net_unix *u = arg;
	int fd = sock_accept(&u->listener);

	(void)events;
	if (fd < 0) {
		if (fd == -EAGAIN || fd == -ECONNABORTED)
			return;
		/* No descriptor is free, and the connection stays: do not spin on it. */
		log_warn("%s: unix=%s: %s", u->name, u->path, strerror(-fd));
		evloop_del(&u->ev);
		retry_later(u);
		return;
	}
	/* While nothing is wanted of the peer, nobody hears that it has gone. */
	if (net_stream_is_alive(&u->stream)) {
		log_guest(&u->limit, "%s: unix=%s: a second peer was turned away", u->name,
			  u->path);
		close(fd);
		return;
	}
	net_stream_attach(&u->stream, fd);
	tell_link(u);
}

static int watch_listener(struct net_unix *u)
{
	return evloop_add(u->loop, &u->ev, u->listener.fd, EPOLLIN, on_connection, u);
}

/* A descriptor, or -errno. */
static int connect_again(const struct net_unix *u)
{
	const struct net_spec *s = u->spec;

	return s->connect ? s->connect(s->connect_arg, s->index) : sock_connect(u->path);
}

static void on_retry(void *arg)
{
	struct net_unix *u = arg;
	int fd;

	if (u->listener.fd >= 0) {
		if (watch_listener(u) < 0)
			retry_later(u);
		return;
	}
	fd = connect_again(u);
	if (fd < 0) {
		retry_later(u);
		return;
	}
	net_stream_attach(&u->stream, fd);
	tell_link(u);
}

static void on_lost(void *arg, const char *why, bool bad)
{
	struct net_unix *u = arg;

	if (bad)
		log_guest(&u->limit, "%s: unix=%s: the peer was cut off: %s", u->name, u->path,
			  why);
	tell_link(u);
	if (u->listener.fd < 0)
		retry_later(u);
}

static void on_readable(void *arg)
{
	struct net_unix *u = arg;

	u->n.events->readable(u->n.arg, 0);
}

static void on_writable(void *arg)
{
	struct net_unix *u = arg;

	u->n.events->writable(u->n.arg, 0);
}

static const struct net_stream_events stream_events = {
	.readable = on_readable,
	.writable = on_writable,
	.lost = on_lost,
};

/* Ops ---------------------------------------------------------------------------------------- */

static enum netif_sent unix_send(struct netif *n, unsigned int pair, struct iovec *iov, int n_iov)
{
	(void)pair;
	return net_stream_send(&container_of(n, struct net_unix, n)->stream, iov, n_iov);
}

static size_t unix_receive(struct netif *n, unsigned int pair, const struct iovec *iov, int n_iov)
{
	(void)pair;
	return net_stream_receive(&container_of(n, struct net_unix, n)->stream, iov, n_iov);
}

static void unix_watch(struct netif *n, unsigned int pair, uint32_t events)
{
	(void)pair;
	net_stream_watch(&container_of(n, struct net_unix, n)->stream, events);
}

static void unix_destroy(struct netif *n)
{
	struct net_unix *u = container_of(n, struct net_unix, n);

	evloop_timer_cancel(&u->retry);
	evloop_del(&u->ev);
	sock_listener_close(&u->listener);
	net_stream_fini(&u->stream);
	free(u->path);
	free(u->n.seed);
	free(u);
}

static const struct netif_ops unix_ops = {
	.send = unix_send,
	.receive = unix_receive,
	.watch = unix_watch,
	.destroy = unix_destroy,
};

/*
 * The two ends of a cable have the same path, and must not have the same address: so who of them
 * listens goes into it.
 */
static int set_names(struct net_unix *u, struct err *e)
{
	char *absolute = realpath(u->path, NULL);

	if (absolute) {
		free(u->path);
		u->path = absolute;
		u->listener.path = absolute;
	}
	if (asprintf(&u->n.seed, "unix %s %s", u->path,
		     u->listener.fd >= 0 ? "listens" : "connects") >= 0)
		return 0;
	u->n.seed = NULL;
	return err_set(e, -ENOMEM, "out of memory");
}

static int open_socket(struct net_unix *u, struct err *e)
{
	int fd;

	if (net_stream_init(&u->stream, u->loop, &stream_events, u, e) < 0)
		return e->code;
	if (sock_connect_or_listen(&u->listener, &fd, u->path, e) < 0)
		return err_wrap(e, "unix");
	if (fd >= 0)
		net_stream_attach(&u->stream, fd);
	u->n.link_up = fd >= 0;
	if (set_names(u, e) < 0)
		return e->code;
	if (u->listener.fd >= 0 && watch_listener(u) < 0)
		return err_errno(e, "unix=%s: event loop", u->path);
	return 0;
}

int net_unix_open(struct netif **out, const struct net_spec *spec, const char *name,
		  struct evloop *l, struct err *e)
{
	struct net_unix *u = calloc(1, sizeof(*u));

	if (!u)
		return err_set(e, -ENOMEM, "out of memory");
	*u = (struct net_unix){
		.n = { .ops = &unix_ops, .n_pairs = 1, .mtu = spec->mtu },
		.spec = spec,
		.name = name,
		.loop = l,
		.path = strdup(spec->target),
		.listener.fd = -1,
		.retry = { .fn = on_retry, .arg = u },
	};
	if (!u->path || open_socket(u, e) < 0) {
		if (!u->path)
			err_set(e, -ENOMEM, "out of memory");
		unix_destroy(&u->n);
		return e->code;
	}
	*out = &u->n;
	return 0;
}
