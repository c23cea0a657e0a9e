/*
 * virtio_rng.c - hands the host's random bytes to the guest, so many a second.
 *
 * Life of a VM: made while the board is built; from DRIVER_OK on, requests are answered on the loop
 * thread, at once or as soon as the limit allows.
 *
 * Source: VIRTIO 1.2, 5.4 "Entropy Device". A device may use less of a buffer than there is
 * (5.4.6.2 wants one byte or more): a request takes RNG_MAX_BYTES at most, however large it is.
 */
#include <errno.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <vmm/base/bug.h>
#include <vmm/base/opts.h>
#include <vmm/base/util.h>
#include <vmm/virtio/virtio_rng.h>

#define QUEUE 0
#define QUEUE_SIZE 64
#define DEFAULT_PER_S MIB
#define BURST (64 * KIB)
#define MIN_PER_S KIB
/* So much is never torn by a signal, nor refused once the host has been seeded: getrandom(2). */
#define PIECE 256u

struct virtio_rng {
	struct virtio_dev dev;
	struct rate rate; /* loop thread */
	uint64_t n_requests, n_bytes;
};

static struct virtio_rng *rng_of(struct virtio_dev *v)
{
	return container_of(v, struct virtio_rng, dev);
}

static uint32_t fill(struct vchain *c, size_t len)
{
	uint8_t piece[PIECE];
	size_t done = 0;

	while (done < len) {
		size_t n = min_size(len - done, sizeof(piece));

		VMM_BUG_ON(getrandom(piece, n, GRND_NONBLOCK) != (ssize_t)n);
		done += vchain_write(c, piece, n);
	}
	explicit_bzero(piece, sizeof(piece)); /* it is the guest's secret now */
	return (uint32_t)done;
}

static void on_queue_ready(struct virtio_dev *v, unsigned int qi)
{
	struct virtio_rng *r = rng_of(v);
	struct vchain c;
	uint32_t n;

	while (virtio_dev_pop(v, qi, &c)) {
		size_t len = min_size(vchain_left_writable(&c), RNG_MAX_BYTES);

		if (!rate_take(&r->rate, len)) { /* on_rate_ready() comes back to it */
			virtio_dev_unpop(v, qi, c.head);
			return;
		}
		n = fill(&c, len);
		metric_add(&r->n_requests, 1);
		metric_add(&r->n_bytes, n);
		virtio_dev_push(v, qi, c.head, n);
	}
}

static void on_rate_ready(void *arg)
{
	virtio_dev_kick(arg, QUEUE);
}

static void on_counters(struct virtio_dev *v, metric_fn fn, void *arg)
{
	struct virtio_rng *r = rng_of(v);

	fn(arg, "requests", metric_get(&r->n_requests));
	fn(arg, "bytes", metric_get(&r->n_bytes));
	fn(arg, "rate_waits", metric_get(&r->rate.n_waits));
}

static void on_destroy(struct virtio_dev *v)
{
	struct virtio_rng *r = rng_of(v);

	rate_fini(&r->rate);
	virtio_dev_fini(v);
	free(r);
}

static const struct virtio_dev_ops rng_ops = {
	.type = "virtio-rng",
	.id = VIRTIO_ID_RNG,
	.pci_class = { 0x10, 0x00, 0x00 }, /* en/decryption controller, network and computing */
	.queue_ready = on_queue_ready,
	.counters = on_counters,
	.destroy = on_destroy,
};

/* A host that has just started may have no randomness yet; later it always has. */
static int check_host(const char *name, struct err *e)
{
	uint8_t byte;

	if (getrandom(&byte, 1, GRND_NONBLOCK) == 1)
		return 0;
	return err_errno(e, "%s: this host has no random bytes yet: wait, or say --rng none", name);
}

int virtio_rng_create(struct virtio_dev **out, const struct rng_spec *spec, const char *name,
		      const struct device_env *env, struct err *e)
{
	const struct virtio_dev_params params = {
		.name = name,
		.mem = env->mem,
		.loop = env->loop,
		.n_queues = 1,
		.queue_size = QUEUE_SIZE,
	};
	struct virtio_rng *r;

	if (check_host(name, e) < 0)
		return e->code;
	r = calloc(1, sizeof(*r));
	if (!r)
		return err_set(e, -ENOMEM, "%s: out of memory", name);
	if (virtio_dev_init(&r->dev, &rng_ops, &params, e) < 0) {
		free(r);
		return e->code;
	}
	rate_init(&r->rate, &spec->rate, env->loop, on_rate_ready, &r->dev);
	*out = &r->dev;
	return 0;
}

void rng_spec_init(struct rng_spec *s)
{
	*s = (struct rng_spec){
		.enabled = true,
		.rate = { .bytes_per_s = DEFAULT_PER_S, .bytes_burst = BURST },
	};
}

int rng_spec_parse(struct rng_spec *s, const char *text, struct err *e)
{
	uint64_t per_s;

	if (strcmp(text, "none") == 0) {
		*s = (struct rng_spec){ 0 };
		return 0;
	}
	if (strncmp(text, "rate=", 5) != 0)
		return err_set(e, -EINVAL, "expected none, or rate=SIZE as in rate=64K");
	if (opts_parse_size(text + 5, &per_s, e) < 0)
		return err_wrap(e, "rate");
	if (per_s < MIN_PER_S)
		return err_set(e, -ERANGE, "rate: must be 1K a second, or more");
	rng_spec_init(s);
	s->rate.bytes_per_s = per_s;
	s->rate.bytes_burst = min_u64(per_s, BURST);
	return 0;
}
