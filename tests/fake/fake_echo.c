/*
 * fake_echo.c - see fake_echo.h.
 */
#include "fake_echo.h"
#include <stdlib.h>
#include <string.h>
#include <vmm/base/bug.h>
#include <vmm/base/util.h>

unsigned int fake_echo_n_alive;

static struct fake_echo *echo_of(struct virtio_dev *v)
{
	return container_of(v, struct fake_echo, v);
}

static void config_write(struct virtio_dev *v, uint32_t off, const void *src, uint32_t len)
{
	VMM_BUG_ON(off + len > FAKE_ECHO_CONFIG || len == 0);
	memcpy(echo_of(v)->config + off, src, len);
}

static void activate(struct virtio_dev *v)
{
	echo_of(v)->n_activations++;
}

static void queue_ready(struct virtio_dev *v, unsigned int qi)
{
	struct vchain c;
	uint8_t buf[256];

	echo_of(v)->n_ready[qi]++;
	while (qi == 0 && virtio_dev_pop(v, qi, &c)) {
		size_t n = vchain_read(&c, buf, sizeof(buf));

		virtio_dev_push(v, qi, c.head, (uint32_t)vchain_write(&c, buf, n));
	}
}

static void reset(struct virtio_dev *v)
{
	echo_of(v)->n_resets++;
}

static void destroy(struct virtio_dev *v)
{
	struct fake_echo *echo = echo_of(v);

	virtio_dev_fini(v);
	free(echo);
	fake_echo_n_alive--;
}

static const struct virtio_dev_ops echo_ops = {
	.type = "echo",
	.id = FAKE_ECHO_ID,
	.pci_class = { 0xff, 0x01, 0x02 },
	.config_write = config_write,
	.activate = activate,
	.queue_ready = queue_ready,
	.reset = reset,
	.destroy = destroy,
};

struct fake_echo *fake_echo_create(const struct device_env *env)
{
	struct fake_echo *echo = calloc(1, sizeof(*echo));
	struct err e;

	VMM_BUG_ON(!echo);
	for (unsigned int i = 0; i < FAKE_ECHO_CONFIG; i++)
		echo->config[i] = (uint8_t)(0x10 + i);
	VMM_BUG_ON(virtio_dev_init(&echo->v, &echo_ops,
				   &(struct virtio_dev_params){
					   .name = "echo0",
					   .mem = env->mem,
					   .loop = env->loop,
					   .features = FAKE_ECHO_FEATURES,
					   .config = echo->config,
					   .config_len = FAKE_ECHO_CONFIG,
					   .n_queues = FAKE_ECHO_QUEUES,
					   .queue_size = FAKE_ECHO_QUEUE_SIZE,
					   .drained = UINT64_MAX,
				   },
				   &e) < 0);
	fake_echo_n_alive++;
	return echo;
}
