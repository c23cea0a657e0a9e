/*
 * net_stream.h - private to net: frames over a stream socket, each behind its length.
 *
 * The format of passt and of QEMU's "stream" and "socket" backends: four bytes of length, in
 * network byte order, then so many bytes of Ethernet frame. Loop thread only.
 */
#ifndef VMM_SRC_NET_NET_STREAM_H
#define VMM_SRC_NET_NET_STREAM_H
#include <vmm/net/netif.h>

#define STREAM_PREFIX 4u
#define STREAM_RECORD (STREAM_PREFIX + NETIF_FRAME_MAX)

/* On the loop, never from within net_stream_send() and net_stream_receive(). */
struct net_stream_events {
	void (*readable)(void *arg);
	void (*writable)(void *arg);
	/* The connection has ended, and is closed; why is for a person. bad: the peer's fault. */
	void (*lost)(void *arg, const char *why, bool bad);
};

struct net_stream { /* embedded */
	struct evloop *loop;
	const struct net_stream_events *events;
	void *arg;
	int fd; /* -1: there is no peer, frames are dropped */
	struct ev_fd ev;
	uint32_t wanted; /* EPOLLIN, EPOLLOUT: what the device wants to hear */
	uint32_t armed; /* what the loop watches for */
	struct ev_task lost; /* tells `events->lost` */
	const char *why;
	bool bad;

	uint8_t *in; /* 2 * STREAM_RECORD; in[in_at..in_end) has come and not been taken */
	size_t in_at, in_end;
	uint8_t *out; /* STREAM_RECORD; out[out_at..out_end) is the rest of a frame begun */
	size_t out_at, out_end;
};

/* With no peer. events outlive the stream. */
int net_stream_init(struct net_stream *s, struct evloop *l, const struct net_stream_events *events,
		    void *arg, struct err *e);
void net_stream_fini(struct net_stream *s); /* closes; zeroed is fine */

/* A peer has come: fd, a connected stream socket, is the stream's from now on. There was none. */
void net_stream_attach(struct net_stream *s, int fd);

/* Is there a peer? One that has gone without being noticed is forgotten. */
bool net_stream_is_alive(struct net_stream *s);

/* As the ops of netif.h. */
enum netif_sent net_stream_send(struct net_stream *s, struct iovec *iov, int n_iov);
size_t net_stream_receive(struct net_stream *s, const struct iovec *iov, int n_iov);
void net_stream_watch(struct net_stream *s, uint32_t events);

#endif
