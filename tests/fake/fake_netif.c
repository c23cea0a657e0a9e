/*
 * fake_netif.c - see fake_netif.h.
 */
#include "fake_netif.h"
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <vmm/base/bug.h>
#include <vmm/base/util.h>

static struct fake_netif *of(struct netif *n)
{
	return container_of(n, struct fake_netif, n);
}

static bool has_frame(const struct fake_netif *f, unsigned int pair)
{
	const struct fake_frame *at = f->queue;

	while (at && at->pair != pair)
		at = at->next;
	return at != NULL;
}

static bool is_ready(const struct fake_netif *f, unsigned int pair, uint32_t event)
{
	if (!(f->watched[pair] & event))
		return false;
	return event == EPOLLIN ? has_frame(f, pair) : f->answer != NETIF_AGAIN;
}

static bool any_ready(const struct fake_netif *f)
{
	for (unsigned int i = 0; i < f->n.n_pairs; i++) {
		if (is_ready(f, i, EPOLLIN) || is_ready(f, i, EPOLLOUT))
			return true;
	}
	return false;
}

/* Levels, as epoll has them: told again as long as they last. */
static void tell(void *arg)
{
	struct fake_netif *f = arg;

	for (unsigned int i = 0; i < f->n.n_pairs; i++) {
		if (is_ready(f, i, EPOLLOUT)) {
			f->n_told++;
			f->n.events->writable(f->n.arg, i);
		}
		if (is_ready(f, i, EPOLLIN)) {
			f->n_told++;
			f->n.events->readable(f->n.arg, i);
		}
	}
	if (any_ready(f))
		evloop_post(f->loop, &f->told);
}

static void nudge(struct fake_netif *f)
{
	if (any_ready(f))
		evloop_post(f->loop, &f->told);
}

/* Ops ---------------------------------------------------------------------------------------- */

static enum netif_sent fake_send(struct netif *n, unsigned int pair, struct iovec *iov, int n_iov)
{
	struct fake_netif *f = of(n);
	struct fake_frame *fr;
	size_t len = 0;

	VMM_BUG_ON(iov[0].iov_len != NETIF_HDR_LEN);
	for (int i = 1; i < n_iov; i++)
		len += iov[i].iov_len;
	VMM_BUG_ON(len < NETIF_FRAME_MIN || len > NETIF_FRAME_MAX);
	f->n_again += f->answer == NETIF_AGAIN;
	if (f->answer != NETIF_SENT || f->n_sent == FAKE_NETIF_SENT)
		return f->answer;
	fr = malloc(sizeof(*fr) + len);
	VMM_BUG_ON(!fr);
	*fr = (struct fake_frame){ .pair = pair, .len = len };
	memcpy(fr->header, iov[0].iov_base, NETIF_HDR_LEN);
	len = 0;
	for (int i = 1; i < n_iov; i++) {
		memcpy(fr->data + len, iov[i].iov_base, iov[i].iov_len);
		len += iov[i].iov_len;
	}
	f->sent[f->n_sent++] = fr;
	return NETIF_SENT;
}

static size_t fake_receive(struct netif *n, unsigned int pair, const struct iovec *iov, int n_iov)
{
	struct fake_netif *f = of(n);
	struct fake_frame **at = &f->queue, *fr;
	size_t done = 0, room = 0;

	f->n_receives++;
	VMM_BUG_ON(iov[0].iov_len != NETIF_HDR_LEN);
	for (int i = 1; i < n_iov; i++)
		room += iov[i].iov_len;
	VMM_BUG_ON(room <= NETIF_FRAME_MAX);
	while (*at && (*at)->pair != pair)
		at = &(*at)->next;
	fr = *at;
	if (!fr)
		return 0;
	*at = fr->next;
	if (!*at)
		f->last = at;
	memcpy(iov[0].iov_base, fr->header, NETIF_HDR_LEN);
	for (int i = 1; i < n_iov && done < fr->len; i++) {
		size_t part = min_size(iov[i].iov_len, fr->len - done);

		memcpy(iov[i].iov_base, fr->data + done, part);
		done += part;
	}
	free(fr);
	return NETIF_HDR_LEN + done;
}

static void fake_watch(struct netif *n, unsigned int pair, uint32_t events)
{
	of(n)->watched[pair] = events;
	nudge(of(n));
}

static void fake_set_pairs(struct netif *n, unsigned int n_pairs)
{
	of(n)->active = n_pairs;
}

static void fake_set_offloads(struct netif *n, unsigned int offloads)
{
	of(n)->offloads_set = offloads;
}

static int fake_fd(const struct netif *n, unsigned int pair)
{
	(void)n;
	return FAKE_NETIF_FD + (int)pair;
}

static void fake_count(const struct netif *n, struct netif_count *c)
{
	(void)n;
	*c = (struct netif_count){ 1, 2, 3, 4, 5, 6 };
}

static void fake_destroy(struct netif *n)
{
	struct fake_netif *f = of(n);

	while (f->queue) {
		struct fake_frame *fr = f->queue;

		f->queue = fr->next;
		free(fr);
	}
	for (unsigned int i = 0; i < f->n_sent; i++)
		free(f->sent[i]);
	evloop_unpost(f->loop, &f->told);
	if (f->destroyed)
		*f->destroyed = true;
	free(f);
}

static const struct netif_ops ops = {
	.send = fake_send,
	.receive = fake_receive,
	.watch = fake_watch,
	.set_pairs = fake_set_pairs,
	.set_offloads = fake_set_offloads,
	.fd = fake_fd,
	.count = fake_count,
	.destroy = fake_destroy,
};

/* For tests ---------------------------------------------------------------------------------- */

struct fake_netif *fake_netif_create(struct evloop *l, unsigned int n_pairs, unsigned int offloads)
{
	struct fake_netif *f = calloc(1, sizeof(*f));

	VMM_BUG_ON(!f);
	f->n = (struct netif){
		.ops = &ops, .n_pairs = n_pairs, .offloads = offloads, .link_up = true
	};
	f->loop = l;
	f->told = (struct ev_task){ .fn = tell, .arg = f };
	f->last = &f->queue;
	f->answer = NETIF_SENT;
	return f;
}

struct fake_netif *fake_netif_setup(struct fake_driver *f, struct virtio_net_params *p,
				    unsigned int n_pairs, unsigned int offloads)
{
	static const uint8_t mac[6] = { 0x52, 0x54, 0, 1, 2, 3 };
	struct fake_netif *n;
	struct virtio_dev *v;
	struct err e;

	log_set_level(LOG_ERROR);
	fake_driver_init(f);
	n = fake_netif_create(f->loop, n_pairs, offloads);
	p->name = "net0";
	p->netif = &n->n;
	memcpy(p->mac, mac, sizeof(mac));
	VMM_BUG_ON(virtio_net_create_on(&v, p, &f->env, &e) < 0);
	fake_driver_attach(f, v);
	return n;
}

void fake_netif_put(struct fake_netif *n, unsigned int pair, const void *header, size_t len,
		    uint8_t seed)
{
	struct fake_frame *fr = malloc(sizeof(*fr) + len);

	VMM_BUG_ON(!fr);
	*fr = (struct fake_frame){ .pair = pair, .len = len };
	if (header)
		memcpy(fr->header, header, NETIF_HDR_LEN);
	for (size_t i = 0; i < len; i++)
		fr->data[i] = fake_netif_byte(seed, i);
	*n->last = fr;
	n->last = &fr->next;
	nudge(n);
}

unsigned int fake_netif_left(const struct fake_netif *n)
{
	unsigned int count = 0;

	for (const struct fake_frame *at = n->queue; at; at = at->next)
		count++;
	return count;
}

void fake_netif_answer(struct fake_netif *n, enum netif_sent answer)
{
	n->answer = answer;
	nudge(n);
}

void fake_netif_set_link(struct fake_netif *n, bool up)
{
	n->n.link_up = up;
	n->n.events->link(n->n.arg);
}

bool fake_netif_is(const uint8_t *data, size_t len, uint8_t seed)
{
	for (size_t i = 0; i < len; i++) {
		if (data[i] != fake_netif_byte(seed, i))
			return false;
	}
	return true;
}

struct lookup {
	const char *name;
	uint64_t value;
	bool found;
};

static void on_counter(void *arg, const char *name, uint64_t value)
{
	struct lookup *l = arg;

	if (strcmp(name, l->name) == 0) {
		l->value = value;
		l->found = true;
	}
}

uint64_t fake_netif_counter(struct fake_driver *f, const char *name)
{
	struct lookup l = { .name = name };

	virtio_dev_lock(f->v);
	f->v->ops->counters(f->v, on_counter, &l);
	virtio_dev_unlock(f->v);
	VMM_BUG_ON(!l.found);
	return l.value;
}
