/*
 * fake_vhost.c - see fake_vhost.h.
 */
#include "fake_vhost.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <vmm/base/bug.h>

struct fake_vhosts fake_vhosts;

void fake_vhost_init(void)
{
	fake_vhosts = (struct fake_vhosts){ .offers = ~UINT64_C(0) };
}

unsigned int fake_vhost_n_running(void)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < fake_vhosts.n; i++)
		n += fake_vhosts.of[i].ring[0].runs + fake_vhosts.of[i].ring[1].runs;
	return n;
}

static struct fake_vhost *find(int fd)
{
	for (unsigned int i = 0; i < fake_vhosts.n; i++) {
		if (fake_vhosts.of[i].fd == fd)
			return &fake_vhosts.of[i];
	}
	abort(); /* a descriptor that is not of vhost */
}

int vhost_open(int *fd, uint64_t *features, struct err *e)
{
	*fd = -1;
	if (fake_vhosts.open_error)
		return err_set(e, -fake_vhosts.open_error, "vhost cannot be opened");
	VMM_BUG_ON(fake_vhosts.n == NET_MAX_PAIRS);
	*fd = eventfd(0, EFD_CLOEXEC); /* any descriptor will do */
	*features = fake_vhosts.offers;
	fake_vhosts.of[fake_vhosts.n++] = (struct fake_vhost){ .fd = *fd };
	return 0;
}

int vhost_own(int fd, const struct vhost_region *regions, unsigned int n, struct err *e)
{
	struct fake_vhost *v = find(fd);

	(void)e;
	fake_vhosts.n_mistakes += v->owned;
	v->owned = true;
	memcpy(v->regions, regions, n * sizeof(*regions));
	v->n_regions = n;
	return 0;
}

int vhost_set_features(int fd, uint64_t features)
{
	struct fake_vhost *v = find(fd);

	fake_vhosts.n_mistakes += !v->owned || (features & ~fake_vhosts.offers);
	v->features = features;
	return 0;
}

int vhost_start_ring(int fd, unsigned int ring, const struct vhost_ring *r, int tap_fd)
{
	struct fake_vhost *v = find(fd);

	fake_vhosts.n_mistakes += !v->owned || v->ring[ring].runs;
	if (fake_vhosts.start_error && fake_vhosts.fail_start_at-- == 1)
		return -fake_vhosts.start_error;
	v->ring[ring].runs = true;
	v->ring[ring].ring = *r;
	v->ring[ring].tap_fd = tap_fd;
	v->ring[ring].n_starts++;
	return 0;
}

int vhost_set_call(int fd, unsigned int ring, int call_fd)
{
	find(fd)->ring[ring].ring.call_fd = call_fd;
	return 0;
}

uint16_t vhost_stop_ring(int fd, unsigned int ring)
{
	struct fake_vhost *v = find(fd);

	fake_vhosts.n_mistakes += !v->ring[ring].runs;
	v->ring[ring].runs = false;
	v->ring[ring].n_stops++;
	return fake_vhosts.stops_at;
}
