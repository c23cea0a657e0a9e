/*
 * vhost.c - the ioctls of vhost-net: a network device's rings in the hands of the host's kernel.
 *
 * Life of a VM: opened with the device, owned before the first vCPU runs; rings start and stop as
 * the guest's driver wants it. Main thread, but for stopping, which a vCPU's may do.
 *
 * Source: Linux, <linux/vhost.h>, <linux/vhost_types.h>.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/vhost.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <vmm/base/bug.h>
#include <vmm/host/vhost.h>

static const char *remedy(int error)
{
	switch (error) {
	case ENOENT:
	case ENODEV:
	case ENXIO:
		return "as root: modprobe vhost_net; or vhost=off";
	case EACCES:
	case EPERM:
		return "as root: give yourself leave to read and write it (chgrp, chmod); or "
		       "vhost=off";
	default:
		return "vhost=off does without";
	}
}

int vhost_open(int *fd, uint64_t *features, struct err *e)
{
	*fd = open(VHOST_DEVICE, O_RDWR | O_CLOEXEC);
	if (*fd < 0)
		return err_set(e, -errno, "vhost=on: " VHOST_DEVICE ": %s; %s", strerror(errno),
			       remedy(errno));
	if (ioctl(*fd, VHOST_GET_FEATURES, features) < 0) {
		err_errno(e, "vhost=on: " VHOST_DEVICE ": VHOST_GET_FEATURES");
		close(*fd);
		*fd = -1;
		return e->code;
	}
	return 0;
}

int vhost_own(int fd, const struct vhost_region *regions, unsigned int n, struct err *e)
{
	/* A head, and behind it a region each. */
	uint64_t words[(sizeof(struct vhost_memory) +
			VHOST_MAX_REGIONS * sizeof(struct vhost_memory_region)) /
		       sizeof(uint64_t)] = { 0 };
	struct vhost_memory *table = (void *)words;

	VMM_BUG_ON(n > VHOST_MAX_REGIONS);
	table->nregions = n;
	for (unsigned int i = 0; i < n; i++)
		table->regions[i] = (struct vhost_memory_region){
			.guest_phys_addr = regions[i].gpa,
			.memory_size = regions[i].len,
			.userspace_addr = (uintptr_t)regions[i].host,
		};
	if (ioctl(fd, VHOST_SET_OWNER, NULL) < 0)
		return err_errno(e, "vhost=on: VHOST_SET_OWNER");
	if (ioctl(fd, VHOST_SET_MEM_TABLE, table) < 0)
		return err_errno(e, "vhost=on: VHOST_SET_MEM_TABLE");
	return 0;
}

int vhost_set_features(int fd, uint64_t features)
{
	return ioctl(fd, VHOST_SET_FEATURES, &features) < 0 ? -errno : 0;
}

static int set_state(int fd, unsigned long request, unsigned int ring, unsigned int num)
{
	const struct vhost_vring_state s = { .index = ring, .num = num };

	return ioctl(fd, request, &s) < 0 ? -errno : 0;
}

static int set_file(int fd, unsigned long request, unsigned int ring, int file)
{
	const struct vhost_vring_file f = { .index = ring, .fd = file };

	return ioctl(fd, request, &f) < 0 ? -errno : 0;
}

static int set_addresses(int fd, unsigned int ring, const struct vhost_ring *r)
{
	const struct vhost_vring_addr a = {
		.index = ring,
		.desc_user_addr = (uintptr_t)r->desc,
		.avail_user_addr = (uintptr_t)r->avail,
		.used_user_addr = (uintptr_t)r->used,
	};

	return ioctl(fd, VHOST_SET_VRING_ADDR, &a) < 0 ? -errno : 0;
}

int vhost_start_ring(int fd, unsigned int ring, const struct vhost_ring *r, int tap_fd)
{
	int rc = set_state(fd, VHOST_SET_VRING_NUM, ring, r->size);

	if (rc == 0)
		rc = set_state(fd, VHOST_SET_VRING_BASE, ring, r->base);
	if (rc == 0)
		rc = set_addresses(fd, ring, r);
	if (rc == 0)
		rc = set_file(fd, VHOST_SET_VRING_ERR, ring, r->err_fd);
	if (rc == 0)
		rc = set_file(fd, VHOST_SET_VRING_CALL, ring, r->call_fd);
	if (rc == 0)
		rc = set_file(fd, VHOST_SET_VRING_KICK, ring, r->kick_fd);
	/* With the backend, the kernel begins. */
	return rc < 0 ? rc : set_file(fd, VHOST_NET_SET_BACKEND, ring, tap_fd);
}

int vhost_set_call(int fd, unsigned int ring, int call_fd)
{
	return set_file(fd, VHOST_SET_VRING_CALL, ring, call_fd);
}

uint16_t vhost_stop_ring(int fd, unsigned int ring)
{
	struct vhost_vring_state s = { .index = ring };

	/* Neither can fail on a descriptor that is ours; what went on would write into RAM. */
	VMM_BUG_ON(set_file(fd, VHOST_NET_SET_BACKEND, ring, -1) < 0);
	VMM_BUG_ON(ioctl(fd, VHOST_GET_VRING_BASE, &s) < 0);
	return (uint16_t)s.num;
}
