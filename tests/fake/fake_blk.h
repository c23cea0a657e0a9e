/*
 * fake_blk.h - a disk without a file: it keeps what it is asked, until the test answers.
 *
 * Keeps the contract of vmm/block/blk.h. It moves no data by itself; the pieces of a request can be
 * filled and read by the test, as the kernel would.
 */
#ifndef TESTS_FAKE_BLK_H
#define TESTS_FAKE_BLK_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <vmm/block/blk.h>

#define FAKE_BLK_MAX 1024u

struct fake_blk {
	struct blk blk;
	struct evloop *loop;
	struct ev_task task;
	bool at_once; /* answer each request with `result`, in the next round of the loop */
	int result;
	uint64_t size_now; /* what size() says */
	uint64_t size_told; /* the largest that the device has heard of: no request may go beyond */
	struct blk_req *held[FAKE_BLK_MAX]; /* in flight, in the order of submission */
	unsigned int n_held;
	unsigned int n_submitted, n_kicks, n_drains;
	bool *destroyed; /* set to true when it is */
};

/* Of the heap, as blk_destroy() frees it. 1 MiB, writable, can do everything; may be changed. */
struct fake_blk *fake_blk_create(struct evloop *l, bool *destroyed);

/* Answers the i-th of those held, and those behind it move up; then tells that it has settled. */
void fake_blk_answer(struct fake_blk *f, unsigned int i, int result);
void fake_blk_answer_all(struct fake_blk *f, int result);

/* Fills the pieces of a read, or fetches those of a write; len bytes, which must be all. */
void fake_blk_fill(const struct blk_req *r, const void *data, size_t len);
void fake_blk_fetch(const struct blk_req *r, void *data, size_t len);

#endif
