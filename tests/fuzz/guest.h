/*
 * guest.h - a driver that does what the input says: for the targets of virtio devices.
 *
 * It starts as a proper driver does (tests/fake/fake_driver), then each byte of the input is an
 * operation: chains good and bad, rings written by hand, registers, resets, time, what the host
 * does; and memory that changes between two reads of the device. At the end the device is reset and
 * has to work again.
 */
#ifndef TESTS_FUZZ_GUEST_H
#define TESTS_FUZZ_GUEST_H
#include "fake_driver.h"
#include "fuzz.h"

/* RAM beside that of the fake driver: a region right behind it, and one behind a hole. */
#define GUEST_NEXT_RAM FAKE_DRIVER_RAM
#define GUEST_NEXT_LEN UINT64_C(0x10000)
#define GUEST_FAR_RAM (UINT64_C(1) << 32)
#define GUEST_FAR_LEN UINT64_C(0x10000)

struct guest;

struct guest_ops { /* what a kind of device adds; may be NULL, but for works() */
	/* One request such as this device knows, with a choice of mistakes. Published. */
	void (*request)(struct guest *g);
	/* Something happens at the host's end. */
	void (*host)(struct guest *g);
	/* One proper request to a device that has just been started; must be served. */
	void (*works)(struct guest *g);
};

struct guest {
	struct fake_driver f;
	const struct guest_ops *ops;
	struct input *in;
	gpa_t scratch; /* of guest_put() */
	void *arg; /* the target's */
};

/* RAM and loop; the target makes its device with g->f.env and calls fake_driver_attach(). */
void guest_init(struct guest *g, const struct guest_ops *ops, struct input *in, void *arg);
/* Runs the program to its end, and checks that the device works again after a reset. */
void guest_play(struct guest *g);
/* Destroys the device and the rest. */
void guest_fini(struct guest *g);

/* Choices of the input: */
unsigned int guest_queue(struct guest *g); /* nearly always one that exists */
gpa_t guest_place(struct guest *g); /* in RAM mostly; sometimes where it hurts */
uint32_t guest_len(struct guest *g);
/* Appends up to max segments to segs, from n on; the new n. */
unsigned int guest_segs(struct guest *g, struct fake_seg *segs, unsigned int n, unsigned int max);

/* RAM for so many bytes, used again and again; NULL: no bytes are put there. */
gpa_t guest_put(struct guest *g, const void *data, size_t len);
/* The chain as one or by an indirect table, as the input says; published, and perhaps notified. */
void guest_send(struct guest *g, unsigned int qi, const struct fake_seg *segs, unsigned int n);
/* A proper request: sent, and what comes back. It must come. */
uint32_t guest_ask(struct guest *g, unsigned int qi, const struct fake_seg *segs, unsigned int n);

/* race.c: after the device's delay-th read of guest memory from now on, `count` of them are
 * followed by a write of the guest to the same place. */
struct race {
	unsigned int delay, count;
	uint32_t pattern; /* the bits that change */
};
void race_start(struct gmem *m, const struct race *r);
void race_stop(void);

#endif
