/*
 * virtio_blk.h - a disk for the guest (VIRTIO 1.2, 5.2 "Block Device").
 */
#ifndef VMM_VIRTIO_VIRTIO_BLK_H
#define VMM_VIRTIO_VIRTIO_BLK_H
#include <vmm/base/err.h>

struct blk;
struct device_env;
struct disk_spec;
struct virtio_dev;

/*
 * Descriptors in each queue: the most that the rings allow. Linux gives each request one slot of
 * the ring and a table of its own, so 256 requests can be at the host at once.
 */
#define VIRTIO_BLK_QUEUE_SIZE 256u
#define VIRTIO_BLK_SEG_MAX (VIRTIO_BLK_QUEUE_SIZE - 2) /* pieces: all but header and status */
#define VIRTIO_BLK_SIZE_MAX (64u << 10) /* bytes in a piece, and SEG_MAX times that in all */
#define VIRTIO_BLK_MAX_RANGES 32u /* in one discard or write-zeroes request */
#define VIRTIO_BLK_MAX_DISCARD_SECTORS (2u << 20) /* in one range: 1 GiB */
#define VIRTIO_BLK_MAX_ZERO_SECTORS (128u << 10) /* 64 MiB: a host may have to write them */
/*
 * Bytes at the host at once, but for a single larger request. Enough for a full queue of 128 KiB
 * each; a reset of the device has to wait for them.
 */
#define VIRTIO_BLK_MAX_IN_FLIGHT (32u << 20)

/*
 * Opens and locks the file, and makes the device. name ("disk0") outlives it; spec need not. Of
 * env: mem and loop. Errors name the file: "disk a.img: ...". Undone by virtio_dev_destroy(), after
 * which the file is closed.
 */
int virtio_blk_create(struct virtio_dev **out, const struct disk_spec *spec, const char *name,
		      const struct device_env *env, struct err *e);

/* The same over a backend that is open already, which it takes over in any case. */
int virtio_blk_create_on(struct virtio_dev **out, struct blk *blk, const struct disk_spec *spec,
			 const char *name, const struct device_env *env, struct err *e);

#endif
