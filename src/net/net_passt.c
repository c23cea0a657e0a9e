/*
 * net_passt.c - a private network for the guest, by passt(1): no privileges, no configuration.
 *
 * Life of a VM: passt is started with the device, ready before the guest runs, and ended with the
 * device; if we are killed, the end of its socket ends it. Loop thread.
 *
 * passt serves DHCP, DNS and the guest's connections from sockets of its own; frames pass on a
 * socket pair, each behind its length. Its standard error is shown only when it fails.
 */
#include "net_stream.h"
#include "netif_kinds.h"
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vmm/base/log.h>
#include <vmm/base/util.h>
#include <vmm/host/child.h>
#include <vmm/host/procfs.h>

#define PASST_MTU                                                                                  \
	65520u /* what passt announces by DHCP, and the most it takes; passt(1), --mtu             \
		*/
#define READY_NS (10 * NS_PER_S) /* on a host that is very busy */
#define UNKNOWN_NS (200 * NS_PER_MS)

struct net_passt {
	struct netif n;
	const char *name;
	struct child child;
	struct net_stream stream;
};

/* The command line -------------------------------------------------------------------------- */

struct args { /* grows; the strings are owned */
	char **v;
	unsigned int n;
	bool failed;
};

__attribute__((format(printf, 2, 3))) static void add(struct args *a, const char *fmt, ...)
{
	char **v = realloc(a->v, (a->n + 2) * sizeof(*v));
	va_list ap;

	if (v)
		a->v = v;
	if (!v || a->failed) {
		a->failed = true;
		return;
	}
	va_start(ap, fmt);
	if (vasprintf(&a->v[a->n], fmt, ap) < 0)
		a->failed = true;
	else
		a->n++;
	va_end(ap);
	a->v[a->n] = NULL;
}

static void args_fini(struct args *a)
{
	for (unsigned int i = 0; i < a->n; i++)
		free(a->v[i]);
	free(a->v);
}

/*
 * passt's own default is to let the guest in to the host's loopback, at the gateway's address. It
 * also answers UDP from there by that address, and without it not at all.
 */
static bool reaches_loopback(const struct net_spec *spec)
{
	for (const struct net_publish *p = spec->publish; p; p = p->next) {
		if (p->udp && (strncmp(p->addr, "127.", 4) == 0 || strcmp(p->addr, "::1") == 0))
			return true;
	}
	return spec->host;
}

static void make_args(struct args *a, const struct net_spec *spec, unsigned int mtu)
{
	add(a, "passt");
	add(a, "--foreground"); /* so that it stays our child */
	add(a, "--quiet");
	add(a, "--fd");
	add(a, "%d", CHILD_FD);
	add(a, "--mtu");
	add(a, "%u", mtu);
	if (!reaches_loopback(spec))
		add(a, "--no-map-gw");
	for (const struct net_publish *p = spec->publish; p; p = p->next) {
		add(a, p->udp ? "-u" : "-t");
		add(a, "%s/%u:%u", p->addr, p->host_port, p->guest_port);
	}
}

/* Its end ------------------------------------------------------------------------------------ */

/* What it says in each case, and that says nothing about this one. */
static bool is_noise(const char *line)
{
	return !*line || strncmp(line, "Failed to send ", 15) == 0 ||
	       strncmp(line, "Don't run as root", 17) == 0;
}

/* Its words in one line, and what to do about them. */
static void words_of(struct child *c, char *out, size_t size)
{
	char *rest = c->words, *line;
	const char *hint = "";
	size_t n = 0;

	/* They go to the user's terminal. */
	for (char *p = c->words; *p; p++) {
		if (*p != '\n' && (*p < ' ' || *p >= 0x7f))
			*p = '?';
	}
	out[0] = '\0';
	if (strstr(c->words, "External interface not usable"))
		hint = " (it needs an interface with a default route: ip route)";
	else if (strstr(c->words, "Failed to bind"))
		hint = " (another program has that port, or it is below 1024)";
	while ((line = strsep(&rest, "\n"))) {
		if (!is_noise(line) && n < size)
			n += (size_t)snprintf(out + n, size - n, "%s%s", n ? "; " : "", line);
	}
	if (n == 0 && WIFSIGNALED(c->status))
		snprintf(out, size, "it was ended by signal %d (%s)", WTERMSIG(c->status),
			 strsignal(WTERMSIG(c->status)));
	else if (n == 0)
		snprintf(out, size, "it has ended without a word");
	else if (n < size)
		snprintf(out + n, size - n, "%s", hint);
}

static void set_down(struct net_passt *p)
{
	if (!p->n.link_up)
		return;
	p->n.link_up = false;
	if (p->n.events)
		p->n.events->link(p->n.arg);
}

static void on_ended(void *arg)
{
	struct net_passt *p = arg;
	char words[CHILD_WORDS];

	words_of(&p->child, words, sizeof(words));
	log_error("%s: passt has ended, the guest has no network any more: %s", p->name, words);
	set_down(p);
}

static void on_lost(void *arg, const char *why, bool bad)
{
	struct net_passt *p = arg;

	if (bad)
		log_error("%s: passt was cut off: %s", p->name, why);
	set_down(p);
}

static void on_readable(void *arg)
{
	struct net_passt *p = arg;

	p->n.events->readable(p->n.arg, 0);
}

static void on_writable(void *arg)
{
	struct net_passt *p = arg;

	p->n.events->writable(p->n.arg, 0);
}

static const struct net_stream_events stream_events = {
	.readable = on_readable,
	.writable = on_writable,
	.lost = on_lost,
};

/* Start -------------------------------------------------------------------------------------- */

enum confined { YES, NOT_YET, UNSEEN };

/* Is its filter of system calls on? Where /proc is closed, that cannot be seen. */
static enum confined is_confined(const struct child *c)
{
	pid_t pid = procfs_pid_of(c->pid_fd);
	char status[4096], *at;

	if (pid == 0 || !procfs_read(pid, "status", status, sizeof(status)))
		return UNSEEN;
	at = strstr(status, "\nSeccomp:\t");
	if (!at)
		return UNSEEN;
	return at[10] == '2' ? YES : NOT_YET;
}

static int unconfined(struct err *e)
{
	return err_set(e, -ETIMEDOUT,
		       "passt has not confined itself within %u s: it would serve the guest with "
		       "all of this user's rights; is another program of that name in PATH?",
		       (unsigned int)(READY_NS / NS_PER_S));
}

/*
 * passt does not say when it is ready, but it gives up its powers last, when all of its ports are
 * bound and all of its addresses are found: that can be seen, and it takes 20 ms. Where it cannot
 * be seen, one that is still there after a while is taken for ready.
 */
static int wait_until_ready(struct net_passt *p, struct err *e)
{
	uint64_t start = evloop_now_ns();
	char words[CHILD_WORDS];

	for (;;) {
		uint64_t passed = evloop_now_ns() - start;
		enum confined confined = is_confined(&p->child);

		if (child_has_ended(&p->child)) {
			words_of(&p->child, words, sizeof(words));
			return err_set(e, -ECHILD, "passt: %s", words);
		}
		if (confined == YES)
			return 0;
		if (confined == UNSEEN && passed > UNKNOWN_NS) {
			log_warn("%s: /proc does not show whether passt has confined itself",
				 p->name);
			return 0;
		}
		if (passed > READY_NS)
			return unconfined(e);
		poll(NULL, 0, 1);
	}
}

static int start(struct net_passt *p, const struct net_spec *spec, struct err *e)
{
	struct args a = { 0 };
	int pair[2], rc;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_errno(e, "passt: socket");
	make_args(&a, spec, p->n.mtu);
	rc = a.failed ? err_set(e, -ENOMEM, "out of memory")
		      : child_start(&p->child, (const char *const *)a.v, pair[1], e);
	args_fini(&a);
	close(pair[1]);
	net_stream_attach(&p->stream, pair[0]);
	if (rc == -ENOENT)
		return err_set(e, rc, "passt: not found; as root: apt install passt");
	return rc < 0 ? rc : wait_until_ready(p, e);
}

/* Ops ---------------------------------------------------------------------------------------- */

static enum netif_sent passt_send(struct netif *n, unsigned int pair, struct iovec *iov, int n_iov)
{
	(void)pair;
	return net_stream_send(&container_of(n, struct net_passt, n)->stream, iov, n_iov);
}

static size_t passt_receive(struct netif *n, unsigned int pair, const struct iovec *iov, int n_iov)
{
	(void)pair;
	return net_stream_receive(&container_of(n, struct net_passt, n)->stream, iov, n_iov);
}

static void passt_watch(struct netif *n, unsigned int pair, uint32_t events)
{
	(void)pair;
	net_stream_watch(&container_of(n, struct net_passt, n)->stream, events);
}

static void passt_destroy(struct netif *n)
{
	struct net_passt *p = container_of(n, struct net_passt, n);

	net_stream_fini(&p->stream);
	child_stop(&p->child);
	free(p->n.seed);
	free(p);
}

static const struct netif_ops passt_ops = {
	.send = passt_send,
	.receive = passt_receive,
	.watch = passt_watch,
	.destroy = passt_destroy,
};

static int open_all(struct net_passt *p, const struct net_spec *spec, struct evloop *l,
		    struct err *e)
{
	/* A network of its own: nobody else is there to have the same address. */
	if (asprintf(&p->n.seed, "user %s", p->name) < 0) {
		p->n.seed = NULL;
		return err_set(e, -ENOMEM, "out of memory");
	}
	if (net_stream_init(&p->stream, l, &stream_events, p, e) < 0 || start(p, spec, e) < 0)
		return e->code;
	return child_watch(&p->child, l, on_ended, p, e);
}

int net_passt_open(struct netif **out, const struct net_spec *spec, const char *name,
		   struct evloop *l, struct err *e)
{
	struct net_passt *p = calloc(1, sizeof(*p));

	if (!p)
		return err_set(e, -ENOMEM, "out of memory");
	*p = (struct net_passt){
		.n = { .ops = &passt_ops,
		       .n_pairs = 1,
		       .mtu = spec->mtu ? spec->mtu : PASST_MTU,
		       .link_up = true },
		.name = name,
		.stream.fd = -1,
	};
	if (open_all(p, spec, l, e) < 0) {
		passt_destroy(&p->n);
		return e->code;
	}
	*out = &p->n;
	return 0;
}
