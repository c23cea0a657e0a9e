/*
 * blk_raw.h - what blk_open() puts together: files, and layers over them.
 */
#ifndef VMM_BLOCK_BLK_RAW_H
#define VMM_BLOCK_BLK_RAW_H
#include "blk_file.h"
#include <vmm/block/blk.h>

/* An opened file as a disk. Takes the file over in any case. */
int blk_raw_create(struct blk **out, struct blk_file *f, const struct io_params *p, struct err *e);

/*
 * A layer over a disk: what is written is in the file `layer` of the same size, the rest is read
 * from the base. Takes the base over in any case; dir: where the layer's file is made.
 */
int blk_snapshot_create(struct blk **out, struct blk *base, const char *dir,
			const struct io_params *p, struct err *e);

#endif
