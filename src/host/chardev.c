/*
 * chardev.c - the bytes of a console or port between a device and the host.
 *
 * Life of a VM: opened while the machine is built; from chardev_start() on, output flows from any
 * thread through the ring to the loop, which writes it in batches; input flows from the loop
 * through a small buffer to the device. Drained and closed after the last vCPU has stopped.
 *
 * Flow control is the point of this file. Towards a reader that is attached nothing is ever lost: a
 * full ring says "no" to the device. While nobody is attached, the newest CHARDEV_OUT_BYTES wait.
 * Input is read from the host only as fast as the device takes it.
 */
#include "chardev_open.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vmm/base/log.h>
#include <vmm/base/token.h>
#include <vmm/base/util.h>
#include <vmm/host/chardev.h>
#include <vmm/host/evloop.h>

/*
 * Output waits for company: a line, OUT_BATCH bytes or OUT_WAIT_NS, whichever comes first. A
 * write(2) for each byte would cost more than the guest's whole start.
 */
#define OUT_BATCH 1024u
#define OUT_WAIT_NS NS_PER_MS
#define CHUNK 4096u /* bytes moved in one go */
/*
 * Input for a guest without flow control: 115200 baud, as its driver believes to have, after a
 * burst that fits into what a terminal of Linux buffers before anybody reads (4095 bytes).
 */
#define IN_PER_S 11520u
#define IN_BURST 1024u
#define IN_STEP 256u /* worth waking up for */
#define ESCAPE 0x01 /* Ctrl-A */
#define PATIENCE_NS (2 * NS_PER_S) /* with a reader that takes nothing */
#define DRAIN_MOST_NS (30 * NS_PER_S) /* for the last words, with one that takes them slowly */
#define DRAIN_STEP_MS 20
#define CLIENT_POLL_NS (200 * NS_PER_MS)
#define RETRY_NS (10 * NS_PER_MS) /* when the host is out of something */

struct chardev {
	struct evloop *loop;
	struct chardev_spec spec;
	struct chardev_watch watch;
	const struct chardev_events *events; /* the device's */
	void *events_arg;

	/* Loop thread */
	struct chardev_fds fds;
	struct ev_fd in_ev, out_ev, listen_ev;
	struct ev_timer out_timer; /* armed while less than a batch waits */
	struct ev_timer in_timer; /* armed while input waits for its time */
	struct token in_pace;
	struct ev_timer attach_timer; /* a pty tells of a new client only when asked */
	struct ev_timer deaf_timer; /* armed while a client that says no more may still listen */
	uint64_t deaf_tail; /* `tail` when that was armed */
	bool in_eof, escaped, started;

	/* Posted by other threads */
	struct ev_task out_task; /* there is output */
	struct ev_task in_task; /* there is room for input */

	pthread_mutex_t lock; /* guards what follows; innermost of all locks */
	bool attached; /* somebody reads: the ring may not overwrite */
	bool flow_controlled;
	bool refused; /* chardev_put() said no; `room` is owed */
	bool waiting; /* the loop knows that there is output */
	bool due; /* and that it is to go now */
	uint64_t head, seen, tail; /* written, shown to the watch, gone; tail <= seen <= head */
	uint8_t out[CHARDEV_OUT_BYTES];
	uint32_t in_head, in_tail;
	uint8_t in[CHARDEV_IN_BYTES];
};

/* The device side -------------------------------------------------------------------------------
 */

void chardev_listen(struct chardev *c, const struct chardev_events *ev, void *arg)
{
	c->events = ev;
	c->events_arg = arg;
}

/* With nobody attached the oldest bytes may go, once the watch has seen them. */
static size_t out_room_locked(const struct chardev *c)
{
	return CHARDEV_OUT_BYTES - (size_t)(c->head - (c->attached ? c->tail : c->seen));
}

static void out_append_locked(struct chardev *c, const uint8_t *data, size_t n)
{
	size_t at = c->head % CHARDEV_OUT_BYTES, first = min_size(n, CHARDEV_OUT_BYTES - at);

	memcpy(c->out + at, data, first);
	memcpy(c->out, data + first, n - first);
	c->head += n;
	if (c->head - c->tail > CHARDEV_OUT_BYTES)
		c->tail = c->head - CHARDEV_OUT_BYTES;
}

size_t chardev_write(struct chardev *c, const uint8_t *data, size_t len)
{
	bool due, wake;
	size_t n;

	pthread_mutex_lock(&c->lock);
	n = min_size(len, out_room_locked(c));
	if (n < len)
		c->refused = true;
	out_append_locked(c, data, n);
	due = n < len || memchr(data, '\n', n) || c->head - c->seen >= OUT_BATCH;
	wake = !c->waiting || (due && !c->due);
	c->waiting = true;
	c->due |= due;
	pthread_mutex_unlock(&c->lock);
	if (wake)
		evloop_post(c->loop, &c->out_task);
	return n;
}

bool chardev_put(struct chardev *c, uint8_t byte)
{
	return chardev_write(c, &byte, 1) == 1;
}

bool chardev_has_room(struct chardev *c)
{
	bool room;

	pthread_mutex_lock(&c->lock);
	room = out_room_locked(c) > 0;
	if (!room)
		c->refused = true;
	pthread_mutex_unlock(&c->lock);
	return room;
}

size_t chardev_get(struct chardev *c, uint8_t *buf, size_t max)
{
	size_t n;
	bool emptied;

	pthread_mutex_lock(&c->lock);
	n = min_size(max, c->in_head - c->in_tail);
	memcpy(buf, c->in + c->in_tail, n);
	c->in_tail += (uint32_t)n;
	emptied = n > 0 && c->in_tail == c->in_head;
	pthread_mutex_unlock(&c->lock);
	if (emptied)
		evloop_post(c->loop, &c->in_task);
	return n;
}

size_t chardev_input(struct chardev *c)
{
	size_t n;

	pthread_mutex_lock(&c->lock);
	n = c->in_head - c->in_tail;
	pthread_mutex_unlock(&c->lock);
	return n;
}

bool chardev_is_attached(struct chardev *c)
{
	bool attached;

	pthread_mutex_lock(&c->lock);
	attached = c->attached;
	pthread_mutex_unlock(&c->lock);
	return attached;
}

/* The descriptor of either kind of terminal stays the same while there is a chardev. */
bool chardev_winsize(const struct chardev *c, uint16_t *cols, uint16_t *rows)
{
	struct winsize ws;

	if (!c->fds.terminal && c->spec.kind != CHARDEV_PTY)
		return false;
	if (ioctl(c->fds.in.fd, TIOCGWINSZ, &ws) < 0 || !ws.ws_col || !ws.ws_row)
		return false;
	*cols = ws.ws_col;
	*rows = ws.ws_row;
	return true;
}

void chardev_resize(struct chardev *c)
{
	if (c->fds.terminal && c->events && c->events->resized)
		c->events->resized(c->events_arg);
}

void chardev_flow_controlled(struct chardev *c, bool on)
{
	pthread_mutex_lock(&c->lock);
	c->flow_controlled = on;
	pthread_mutex_unlock(&c->lock);
}

/* Output ----------------------------------------------------------------------------------------
 */

static size_t out_copy(struct chardev *c, uint64_t from, uint64_t to, uint8_t *buf)
{
	size_t n = min_size(to - from, CHUNK), at = from % CHARDEV_OUT_BYTES;
	size_t first = min_size(n, CHARDEV_OUT_BYTES - at);

	memcpy(buf, c->out + at, first);
	memcpy(buf + first, c->out, n - first);
	return n;
}

static void out_show(struct chardev *c)
{
	uint8_t buf[CHUNK];
	size_t n;

	for (;;) {
		pthread_mutex_lock(&c->lock);
		n = out_copy(c, c->seen, c->head, buf);
		c->seen += n;
		pthread_mutex_unlock(&c->lock);
		if (n == 0)
			return;
		if (c->watch.output)
			c->watch.output(c->watch.arg, buf, n);
	}
}

static void out_flush(void *arg);
static void in_resume(void *arg);
static void client_wait(struct chardev *c);
static void wait_and_retry(struct chardev *c);

static void set_attached(struct chardev *c, bool attached)
{
	pthread_mutex_lock(&c->lock);
	c->attached = attached;
	pthread_mutex_unlock(&c->lock);
	if (c->events && c->events->attached)
		c->events->attached(c->events_arg, attached);
}

static const char *name(const struct chardev *c)
{
	return c->spec.name ? c->spec.name : "console";
}

static void client_gone(struct chardev *c)
{
	evloop_del(&c->in_ev);
	evloop_timer_cancel(&c->in_timer);
	evloop_timer_cancel(&c->deaf_timer);
	evloop_del(&c->out_ev);
	set_attached(c, false);
	if (c->spec.kind == CHARDEV_UNIX) {
		chardev_fd_close(&c->fds.out);
		chardev_fd_close(&c->fds.in);
	}
	client_wait(c);
	/* A device that was refused for this client's sake must hear that there is room now. */
	pthread_mutex_lock(&c->lock);
	c->waiting = c->due = true;
	pthread_mutex_unlock(&c->lock);
	evloop_post(c->loop, &c->out_task);
}

/* A client that left is waited for again. Any other reader is gone for good, or its disk is full.
 */
static void out_broken(struct chardev *c)
{
	if (c->spec.kind == CHARDEV_PTY || c->spec.kind == CHARDEV_UNIX) {
		client_gone(c);
		return;
	}
	log_warn("%s output is lost from here on: %s", name(c), strerror(errno));
	evloop_del(&c->out_ev);
	chardev_fd_close(&c->fds.out);
}

static void out_ready(void *arg, uint32_t events)
{
	struct chardev *c = arg;

	(void)events; /* errors show in the write */
	evloop_del(&c->out_ev);
	out_flush(c);
}

/* Moves one chunk towards the reader. false: nothing left, or not now. */
static bool out_move(struct chardev *c)
{
	uint8_t buf[CHUNK];
	ssize_t done;
	size_t n = 0;

	pthread_mutex_lock(&c->lock);
	if (c->attached)
		n = out_copy(c, c->tail, c->seen, buf);
	pthread_mutex_unlock(&c->lock);
	if (n == 0)
		return false;
	done = c->fds.out.fd < 0 ? (ssize_t)n : chardev_fd_write(&c->fds.out, buf, n);
	if (done < 0 && errno == EAGAIN) {
		if (!c->out_ev.loop &&
		    evloop_add(c->loop, &c->out_ev, c->fds.out.fd, EPOLLOUT, out_ready, c) < 0)
			evloop_timer_set(c->loop, &c->out_timer, evloop_now_ns() + RETRY_NS);
		return false;
	}
	if (done < 0) {
		if (errno != EINTR)
			out_broken(c);
		return true; /* again, or what is left goes nowhere */
	}
	pthread_mutex_lock(&c->lock);
	c->tail += (uint64_t)done;
	pthread_mutex_unlock(&c->lock);
	return true;
}

/* Half the ring must be free before a device that was refused hears of it: no ping-pong per byte.
 */
static void out_tell_room(struct chardev *c)
{
	bool tell;

	pthread_mutex_lock(&c->lock);
	tell = c->refused && (!c->attached || c->head - c->tail <= CHARDEV_OUT_BYTES / 2);
	if (tell)
		c->refused = false;
	pthread_mutex_unlock(&c->lock);
	if (tell && c->events && c->events->room)
		c->events->room(c->events_arg);
}

static void out_flush(void *arg)
{
	struct chardev *c = arg;

	evloop_timer_cancel(&c->out_timer);
	pthread_mutex_lock(&c->lock);
	c->waiting = c->due = false; /* before the ring is read: what comes later wakes us again */
	pthread_mutex_unlock(&c->lock);
	out_show(c);
	while (!c->out_ev.loop && out_move(c))
		;
	out_tell_room(c);
}

static void out_come(void *arg)
{
	struct chardev *c = arg;
	bool due;

	pthread_mutex_lock(&c->lock);
	due = c->due;
	pthread_mutex_unlock(&c->lock);
	if (due)
		out_flush(c);
	else
		evloop_timer_set(c->loop, &c->out_timer, evloop_now_ns() + OUT_WAIT_NS);
}

/* Input -----------------------------------------------------------------------------------------
 */

static const char help[] = "\r\nCtrl-A x  end the VM\r\n"
			   "Ctrl-A p  press the power button\r\n"
			   "Ctrl-A s  pause the VM, or go on\r\n"
			   "Ctrl-A a  send Ctrl-A to the guest (as does Ctrl-A twice)\r\n"
			   "Ctrl-A h  this help\r\n";

/* The key behind Ctrl-A. Returns true when the guest is to get a Ctrl-A. */
static bool in_command(struct chardev *c, uint8_t key)
{
	if (key == ESCAPE || key == 'a')
		return true;
	if (key == 'h' || key == '?') {
		log_write(help, sizeof(help) - 1, LOG_WAIT_MS);
	} else if (c->watch.command) {
		c->watch.command(c->watch.arg, (char)key);
	}
	return false;
}

/* Takes the commands out of what was typed; returns what is left for the guest. */
static size_t in_filter(struct chardev *c, uint8_t *buf, size_t n)
{
	size_t kept = 0;

	if (!c->fds.terminal)
		return n;
	for (size_t i = 0; i < n; i++) {
		if (c->escaped) {
			c->escaped = false;
			if (in_command(c, buf[i]))
				buf[kept++] = ESCAPE;
		} else if (buf[i] == ESCAPE) {
			c->escaped = true;
		} else {
			buf[kept++] = buf[i];
		}
	}
	return kept;
}

static void client_hung_up(void *arg, uint32_t events)
{
	(void)events; /* there is nothing else to be told of */
	client_gone(arg);
}

/* One that takes nothing, though there is something for it, has gone, even if nobody says so. */
static void client_still_listens(void *arg)
{
	struct chardev *c = arg;

	if (c->out_ev.loop && c->tail == c->deaf_tail) {
		client_gone(c);
		return;
	}
	c->deaf_tail = c->tail;
	evloop_timer_set(c->loop, &c->deaf_timer, evloop_now_ns() + PATIENCE_NS);
}

/* It says no more, but may still listen: `socat - UNIX:PATH <file`. false: it has gone. */
static bool client_listens(struct chardev *c)
{
	struct pollfd p = { .fd = c->fds.in.fd, .events = POLLOUT };

	if (c->spec.kind != CHARDEV_UNIX || poll(&p, 1, 0) < 0 ||
	    (p.revents & (POLLHUP | POLLERR)) ||
	    evloop_add(c->loop, &c->in_ev, p.fd, 0, client_hung_up, c) < 0)
		return false;
	c->deaf_tail = c->tail;
	evloop_timer_set(c->loop, &c->deaf_timer, evloop_now_ns() + PATIENCE_NS);
	return true;
}

/* error: what the read failed with; 0: it was the end. */
static void in_end(struct chardev *c, int error)
{
	evloop_del(&c->in_ev);
	if (c->spec.kind != CHARDEV_PTY && c->spec.kind != CHARDEV_UNIX)
		c->in_eof = true;
	else if (error || !client_listens(c))
		client_gone(c);
}

static bool in_is_empty(struct chardev *c)
{
	bool empty;

	pthread_mutex_lock(&c->lock);
	empty = c->in_head == c->in_tail;
	pthread_mutex_unlock(&c->lock);
	return empty;
}

/* How much may be read now: a terminal is always read, for the sake of its commands. */
static size_t in_allowance(struct chardev *c)
{
	bool paced;

	if (c->fds.terminal)
		return CHARDEV_IN_BYTES;
	pthread_mutex_lock(&c->lock);
	paced = !c->flow_controlled;
	pthread_mutex_unlock(&c->lock);
	return paced ? token_take(&c->in_pace, CHARDEV_IN_BYTES, evloop_now_ns())
		     : CHARDEV_IN_BYTES;
}

/* Behind what is there already. What somebody types at a guest that does not listen is lost in the
 * end. */
static void in_append(struct chardev *c, const uint8_t *buf, size_t n)
{
	pthread_mutex_lock(&c->lock);
	memmove(c->in, c->in + c->in_tail, c->in_head - c->in_tail);
	c->in_head -= c->in_tail;
	c->in_tail = 0;
	n = min_size(n, CHARDEV_IN_BYTES - c->in_head);
	memcpy(c->in + c->in_head, buf, n);
	c->in_head += (uint32_t)n;
	pthread_mutex_unlock(&c->lock);
}

/* Returns false when there is nothing to wait for. */
static bool in_read(struct chardev *c)
{
	uint8_t buf[CHARDEV_IN_BYTES];
	size_t want = in_allowance(c);
	ssize_t n;

	if (want == 0) {
		evloop_del(&c->in_ev);
		evloop_timer_set(c->loop, &c->in_timer,
				 token_when_ns(&c->in_pace, IN_STEP, evloop_now_ns()));
		return true;
	}
	n = chardev_fd_read(&c->fds.in, buf, want);
	token_put(&c->in_pace, want - (n > 0 ? (size_t)n : 0));
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n <= 0) {
		in_end(c, n < 0 ? errno : 0);
		return false;
	}
	n = (ssize_t)in_filter(c, buf, (size_t)n);
	in_append(c, buf, (size_t)n);
	if (n > 0 && c->events && c->events->input)
		c->events->input(c->events_arg);
	return true;
}

/* While the device has not taken what we read, the fd is not watched: it would spin the loop. */
static void in_ready(void *arg, uint32_t events)
{
	struct chardev *c = arg;

	(void)events; /* errors and hang-ups show in the read */
	if (in_read(c) && !c->fds.terminal && !in_is_empty(c))
		evloop_del(&c->in_ev);
}

static void in_resume(void *arg)
{
	struct chardev *c = arg;
	int rc;

	if (!c->started || c->in_eof || c->fds.in.fd < 0 || c->in_ev.loop || c->in_timer.loop ||
	    !in_is_empty(c))
		return;
	if (c->spec.kind == CHARDEV_PTY && !c->attached)
		return;
	rc = evloop_add(c->loop, &c->in_ev, c->fds.in.fd, EPOLLIN, in_ready, c);
	if (rc < 0 && rc != -EPERM)
		evloop_timer_set(c->loop, &c->in_timer, evloop_now_ns() + RETRY_NS);
	if (rc != -EPERM)
		return;
	/* A regular file or /dev/null: always ready, never to be watched. */
	if (in_read(c) && in_is_empty(c) && !c->in_timer.loop)
		evloop_post(c->loop, &c->in_task);
}

/* Clients of a pty or a unix socket ---------------------------------------------------------------
 */

static void client_come(struct chardev *c)
{
	set_attached(c, true);
	in_resume(c);
	out_flush(c);
}

static void wait_and_retry(struct chardev *c)
{
	evloop_timer_set(c->loop, &c->attach_timer, evloop_now_ns() + CLIENT_POLL_NS);
}

static void on_connect(void *arg, uint32_t events)
{
	struct chardev *c = arg;
	int fd = accept4(c->fds.listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)events;
	if (fd < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED))
		return;
	evloop_del(&c->listen_ev); /* one client at a time; the next one waits in the backlog */
	if (fd < 0) { /* out of file descriptors: it goes on waiting, and we must not spin */
		wait_and_retry(c);
		return;
	}
	c->fds.in = (struct chardev_fd){ .fd = fd, .ours = true, .socket = true };
	if (chardev_fd_share(&c->fds.out, &c->fds.in) < 0) {
		chardev_fd_close(&c->fds.in);
		wait_and_retry(c);
		return;
	}
	client_come(c);
}

/* A pty does not tell of a client that opens it; a socket did not let us accept one just now. */
static void client_poll(void *arg)
{
	struct chardev *c = arg;
	struct pollfd p = { .fd = c->fds.in.fd, .events = POLLIN };

	if (c->spec.kind == CHARDEV_PTY && poll(&p, 1, 0) >= 0 && !(p.revents & POLLHUP))
		client_come(c);
	else
		client_wait(c);
}

static void client_wait(struct chardev *c)
{
	if (c->spec.kind == CHARDEV_UNIX) {
		if (evloop_add(c->loop, &c->listen_ev, c->fds.listen_fd, EPOLLIN, on_connect, c) <
		    0)
			log_warn("%s socket: no further clients: %s", name(c), strerror(errno));
	} else {
		wait_and_retry(c);
	}
}

/* Life ------------------------------------------------------------------------------------------
 */

int chardev_create(struct chardev **out, struct evloop *l, const struct chardev_spec *spec,
		   const struct chardev_watch *watch, struct err *e)
{
	struct chardev *c = calloc(1, sizeof(*c));

	if (!c)
		return err_set(e, -ENOMEM, "%s: out of memory",
			       spec->name ? spec->name : "console");
	c->loop = l;
	c->spec = *spec;
	c->watch = *watch;
	c->out_task = (struct ev_task){ .fn = out_come, .arg = c };
	c->out_timer = (struct ev_timer){ .fn = out_flush, .arg = c };
	c->in_task = (struct ev_task){ .fn = in_resume, .arg = c };
	c->in_timer = (struct ev_timer){ .fn = in_resume, .arg = c };
	token_init(&c->in_pace, IN_PER_S, IN_BURST, evloop_now_ns());
	c->deaf_timer = (struct ev_timer){ .fn = client_still_listens, .arg = c };
	c->attach_timer = (struct ev_timer){ .fn = client_poll, .arg = c };
	c->attached = spec->kind != CHARDEV_PTY && spec->kind != CHARDEV_UNIX;
	pthread_mutex_init(&c->lock, NULL);
	if (chardev_open(&c->fds, spec, e) < 0) {
		chardev_destroy(c);
		return e->code;
	}
	*out = c;
	return 0;
}

void chardev_start(struct chardev *c)
{
	c->started = true;
	if (c->fds.terminal)
		chardev_make_raw(&c->fds);
	if (c->attached)
		in_resume(c);
	else
		client_wait(c);
	out_flush(c);
}

/* With nobody attached there is nobody to wait for. */
static bool out_is_empty(struct chardev *c)
{
	bool empty;

	pthread_mutex_lock(&c->lock);
	empty = !c->attached || c->tail == c->head;
	pthread_mutex_unlock(&c->lock);
	return empty;
}

void chardev_flush(struct chardev *c)
{
	out_flush(c);
}

/* How long the reader may take nothing; UINT64_MAX: a pipe or a file, for as long as it likes. */
static uint64_t drain_patience_ns(const struct chardev *c)
{
	bool client = c->spec.kind == CHARDEV_PTY || c->spec.kind == CHARDEV_UNIX;

	return client || c->fds.terminal ? PATIENCE_NS : UINT64_MAX;
}

void chardev_drain(struct chardev *c, uint64_t deadline_ns)
{
	uint64_t now = evloop_now_ns(), start = now, patience = drain_patience_ns(c);
	uint64_t most = patience == UINT64_MAX ? UINT64_MAX : DRAIN_MOST_NS;
	uint64_t moved_ns = now, tail = c->tail;

	for (;;) {
		struct pollfd p = { .events = POLLOUT };

		evloop_del(&c->out_ev);
		out_flush(c); /* the device may add what it had held back */
		p.fd = c->fds.out.fd;
		now = evloop_now_ns();
		if (out_is_empty(c) || (deadline_ns && now >= deadline_ns))
			return;
		if (c->tail != tail)
			moved_ns = now;
		tail = c->tail;
		if (now - moved_ns >= patience || now - start >= most)
			return;
		if (p.fd >= 0)
			poll(&p, 1, DRAIN_STEP_MS);
	}
}

void chardev_destroy(struct chardev *c)
{
	if (!c)
		return;
	evloop_del(&c->in_ev);
	evloop_del(&c->out_ev);
	evloop_del(&c->listen_ev);
	evloop_timer_cancel(&c->out_timer);
	evloop_timer_cancel(&c->in_timer);
	evloop_timer_cancel(&c->attach_timer);
	evloop_timer_cancel(&c->deaf_timer);
	evloop_unpost(c->loop, &c->out_task);
	evloop_unpost(c->loop, &c->in_task);
	chardev_close(&c->fds);
	pthread_mutex_destroy(&c->lock);
	free(c);
}
