/*
 * net_stream.c - frames over a stream socket, each behind its length.
 *
 * Life of a VM: from the first frame to the last, on the loop. The peer is a process of the host
 * or another VM: no friendlier than a guest. What it sends is bounded by `in`, what it does not
 * take by the socket and `out`; a length that cannot be ends the connection, because there is no
 * way to find the next frame.
 */
#include "net_stream.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vmm/base/bug.h>
#include <vmm/base/util.h>
#include <vmm/host/sock.h>

#define IN_SIZE (2ul * STREAM_RECORD)

static bool has_rest(const struct net_stream *s)
{
	return s->out_at < s->out_end;
}

static void forget_peer(struct net_stream *s)
{
	evloop_del(&s->ev);
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	s->armed = 0;
	s->in_at = s->in_end = s->out_at = s->out_end = 0;
}

bool net_stream_is_alive(struct net_stream *s)
{
	if (s->fd >= 0 && sock_has_ended(s->fd))
		forget_peer(s);
	return s->fd >= 0;
}

/* Told later, so that nobody is called back while he calls. */
static void lose_peer(struct net_stream *s, const char *why, bool bad)
{
	forget_peer(s);
	s->why = why;
	s->bad = bad;
	evloop_post(s->loop, &s->lost);
}

static void tell_lost(void *arg)
{
	struct net_stream *s = arg;

	s->events->lost(s->arg, s->why, s->bad);
}

static const char *reason(int error)
{
	return error == EPIPE || error == ECONNRESET ? "it has closed the connection"
						     : "the connection has failed";
}

/* Frames begun must be finished, whether or not the device has more. */
static void flush_rest(struct net_stream *s)
{
	while (has_rest(s)) {
		ssize_t n = sock_send(s->fd, s->out + s->out_at, s->out_end - s->out_at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			if (errno != EAGAIN)
				lose_peer(s, reason(errno), false);
			return;
		}
		s->out_at += (size_t)n;
	}
}

static void on_event(void *arg, uint32_t events);

static void rearm(struct net_stream *s)
{
	uint32_t events = s->wanted | (has_rest(s) ? EPOLLOUT : 0);

	if (s->fd < 0 || events == s->armed)
		return;
	evloop_del(&s->ev);
	s->armed = events;
	/* Only a full system table can refuse a socket; then the peer is as good as gone. */
	if (events && evloop_add(s->loop, &s->ev, s->fd, events, on_event, s) < 0)
		lose_peer(s, "the event loop is full", false);
}

static void on_event(void *arg, uint32_t events)
{
	const uint32_t over = EPOLLHUP | EPOLLERR;
	struct net_stream *s = arg;

	if (events & (EPOLLOUT | over) && has_rest(s))
		flush_rest(s);
	else if (events & over && !(s->wanted & EPOLLIN))
		lose_peer(s, "it has closed the connection", false);
	rearm(s);
	if (events & (EPOLLOUT | over) && s->wanted & EPOLLOUT && !has_rest(s))
		s->events->writable(s->arg);
	/* What has come before the end is still read, until sock_receive() says that this was all.
	 */
	if (events & (EPOLLIN | over) && s->wanted & EPOLLIN)
		s->events->readable(s->arg);
}

int net_stream_init(struct net_stream *s, struct evloop *l, const struct net_stream_events *events,
		    void *arg, struct err *e)
{
	*s = (struct net_stream){
		.loop = l,
		.events = events,
		.arg = arg,
		.fd = -1,
		.lost = { .fn = tell_lost, .arg = s },
		.in = malloc(IN_SIZE),
		.out = malloc(STREAM_RECORD),
	};
	if (s->in && s->out)
		return 0;
	net_stream_fini(s);
	return err_set(e, -ENOMEM, "out of memory");
}

void net_stream_fini(struct net_stream *s)
{
	if (!s->loop)
		return;
	forget_peer(s);
	evloop_unpost(s->loop, &s->lost);
	free(s->in);
	free(s->out);
	*s = (struct net_stream){ .fd = -1 };
}

void net_stream_attach(struct net_stream *s, int fd)
{
	VMM_BUG_ON(s->fd >= 0);
	evloop_unpost(s->loop, &s->lost);
	s->fd = fd;
	rearm(s);
}

void net_stream_watch(struct net_stream *s, uint32_t events)
{
	s->wanted = events;
	rearm(s);
}

/* Sending ------------------------------------------------------------------------------------ */

static size_t total(const struct iovec *iov, int n_iov)
{
	size_t n = 0;

	for (int i = 0; i < n_iov; i++)
		n += iov[i].iov_len;
	return n;
}

/* Keeps what the socket has not taken: all but the first `skip` bytes. */
static void keep_rest(struct net_stream *s, const struct iovec *iov, int n_iov, size_t skip)
{
	s->out_at = s->out_end = 0;
	for (int i = 0; i < n_iov; i++) {
		size_t cut = min_size(skip, iov[i].iov_len), n = iov[i].iov_len - cut;

		if (n > 0)
			memcpy(s->out + s->out_end, (uint8_t *)iov[i].iov_base + cut, n);
		s->out_end += n;
		skip -= cut;
	}
}

enum netif_sent net_stream_send(struct net_stream *s, struct iovec *iov, int n_iov)
{
	size_t len = total(iov + 1, n_iov - 1);
	uint8_t prefix[STREAM_PREFIX] = { (uint8_t)(len >> 24), (uint8_t)(len >> 16),
					  (uint8_t)(len >> 8), (uint8_t)len };
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = (size_t)n_iov };
	ssize_t n;

	VMM_BUG_ON(len > NETIF_FRAME_MAX);
	if (s->fd >= 0 && has_rest(s))
		flush_rest(s);
	if (s->fd < 0)
		return NETIF_DROPPED;
	if (has_rest(s))
		return NETIF_AGAIN;
	iov[0] = (struct iovec){ prefix, sizeof(prefix) };
	do {
		n = sendmsg(s->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		return NETIF_AGAIN;
	if (n < 0) {
		lose_peer(s, reason(errno), false);
		return NETIF_DROPPED;
	}
	if ((size_t)n < len + STREAM_PREFIX)
		keep_rest(s, iov, n_iov, (size_t)n);
	rearm(s);
	return NETIF_SENT;
}

/* Receiving ---------------------------------------------------------------------------------- */

/* Copies to the pieces behind the header, which gets zeros: nothing is left undone in the frame. */
static size_t scatter(const struct iovec *iov, int n_iov, const uint8_t *src, size_t len)
{
	size_t done = 0;

	memset(iov[0].iov_base, 0, iov[0].iov_len);
	for (int i = 1; i < n_iov && done < len; i++) {
		size_t n = min_size(iov[i].iov_len, len - done);

		memcpy(iov[i].iov_base, src + done, n);
		done += n;
	}
	return iov[0].iov_len + done;
}

/* More bytes behind those that are there. false: none now. */
static bool fill(struct net_stream *s)
{
	ssize_t n;

	if (s->in_at > 0) {
		memmove(s->in, s->in + s->in_at, s->in_end - s->in_at);
		s->in_end -= s->in_at;
		s->in_at = 0;
	}
	do {
		n = sock_receive(s->fd, s->in + s->in_end, IN_SIZE - s->in_end);
	} while (n < 0 && errno == EINTR);
	if (n > 0) {
		s->in_end += (size_t)n;
		return true;
	}
	if (n == 0 || errno != EAGAIN)
		lose_peer(s, reason(n == 0 ? EPIPE : errno), false);
	return false;
}

size_t net_stream_receive(struct net_stream *s, const struct iovec *iov, int n_iov)
{
	while (s->fd >= 0) {
		const uint8_t *p = s->in + s->in_at;
		size_t have = s->in_end - s->in_at, len;

		if (have >= STREAM_PREFIX) {
			len = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
			if (len == 0 || len > NETIF_FRAME_MAX) {
				lose_peer(s, "it has sent a frame of an impossible length", true);
				return 0;
			}
			if (have >= STREAM_PREFIX + len) {
				s->in_at += STREAM_PREFIX + len;
				return scatter(iov, n_iov, p + STREAM_PREFIX, len);
			}
		}
		if (!fill(s))
			return 0;
	}
	return 0;
}
