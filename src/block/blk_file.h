/*
 * blk_file.h - opening a disk's file: nobody else writes to it, it is what the user says it is, and
 * what it can do is known.
 *
 * Main thread, while the machine is built.
 */
#ifndef VMM_BLOCK_BLK_FILE_H
#define VMM_BLOCK_BLK_FILE_H
#include <stdbool.h>
#include <stdint.h>
#include <vmm/block/blk.h>

struct blk_file {
	int fd; /* -1: none */
	int cached_fd; /* of the same file by way of the page cache, if fd is not; or -1 */
	bool is_device; /* a block device */
	uint32_t align; /* of offsets, lengths and memory for fd; 1 by way of the page cache */
	struct blk_info info;
};

/* Writes nothing, and locks the file as blk_open() says. */
int blk_file_open(struct blk_file *f, const struct disk_spec *spec, struct err *e);
/* A file without a name, sparse, of that size, in that folder. */
int blk_file_temporary(struct blk_file *f, const char *dir, uint64_t size, struct err *e);
void blk_file_close(struct blk_file *f);

/* What it can do, and its size: from the host. For blk_file_open(). */
int blk_probe(struct blk_file *f, struct err *e);
/* Its size now; 0: the host does not say. */
uint64_t blk_file_size(const struct blk_file *f);

/* Refuses what begins like a format that is not raw. For blk_file_open(). */
int blk_check_format(const struct blk_file *f, struct err *e);
/* For blk_file_open(). */
int blk_lock(int fd, bool exclusive, struct err *e);

#endif
