/*
 * hostile.h - what the parts of the hostile driver share.
 *
 * The driver is a guest (hostile.c) whose body runs at ring 3. It finds each virtio device, over
 *PCI or over MMIO, and does to it what no driver should: one case after the other. A case prints
 *what is tried and what the specification lets us expect; then it says what has come of it, and
 *whether the device works again after a reset. The host's side (host/drive.c) compares, looks at
 *the VMM from outside, and lets the guest go on:
 *
 *	guest: case RULE DEVICE NAME EXPECTED
 *	guest: is OUTCOME works|broken
 *	host:  one byte
 *
 * RULE is where the case comes from: R1 to R16 of the list in tests/hostile/run, or the
 *specification.
 */
#ifndef VMM_TESTS_HOSTILE_H
#define VMM_TESTS_HOSTILE_H
#include "guest.h"

#define N_ELEMENTS(a) (sizeof(a) / sizeof(*(a)))

/* Outcomes ----------------------------------------------------------------------------------- */

enum what {
	NOTHING, /* nothing comes of it */
	USED, /* n chains come back; USED_LEN: the first one does, with n bytes written */
	USED_LEN,
	NEEDS_RESET, /* DEVICE_NEEDS_RESET (VIRTIO 1.2, 2.1.2) */
	IGNORED, /* the device runs on as if nothing had been: a request is done without a reset */
	REFUSED, /* a register or feature does not keep what was written to it */
	KEPT, /* it does */
	STATUS, /* the device status register is n */
	OK, /* a disk's status byte: 0 */
	IOERR, /* 1 */
	UNSUPP, /* 2 */
	ALL_ONES,
	SENT, /* the frame comes out at the other end */
	DROPPED, /* it does not, and its chain is used */
	SURVIVES, /* any of the above; what counts is that the device works after a reset */
	WRONG, /* never expected: what came is none of these */
};

struct outcome {
	enum what what;
	uint32_t n;
};

static inline struct outcome is_n(enum what what, uint32_t n)
{
	return (struct outcome){ what, n };
}
static inline struct outcome is(enum what what)
{
	return is_n(what, 0);
}

/* Devices ------------------------------------------------------------------------------------ */

#define ID_NET 1
#define ID_BLK 2
#define ID_CONSOLE 3
#define ID_RNG 4

#define S_ACKNOWLEDGE 1
#define S_DRIVER 2
#define S_DRIVER_OK 4
#define S_FEATURES_OK 8
#define S_NEEDS_RESET 0x40
#define S_FAILED 0x80
#define S_RUNNING (S_ACKNOWLEDGE | S_DRIVER | S_FEATURES_OK | S_DRIVER_OK)

#define BIT(n) (UINT64_C(1) << (n))
#define F_INDIRECT BIT(28)
#define F_EVENT_IDX BIT(29)
#define F_VERSION_1 BIT(32)
#define F_NET_MRG_RXBUF BIT(15)
#define F_NET_CTRL_VQ BIT(17)
#define F_CONSOLE_MULTIPORT BIT(1)

enum reg {
	DEVICE_FEATURE_SELECT,
	DEVICE_FEATURE,
	DRIVER_FEATURE_SELECT,
	DRIVER_FEATURE,
	DEVICE_STATUS,
	QUEUE_SELECT,
	QUEUE_SIZE,
	QUEUE_ENABLE,
	DESC_LOW,
	DESC_HIGH,
	AVAIL_LOW,
	AVAIL_HIGH,
	USED_LOW,
	USED_HIGH,
	N_REGS,
};

struct dev {
	const char *name; /* "blk", "blk-ro", "net", "console", "rng" */
	unsigned int id;
	bool pci;
	uint64_t regs; /* common configuration; MMIO: the page */
	uint64_t config; /* the device's own configuration space */
	uint32_t config_len; /* 0: unknown */
	uint64_t notify;
	uint64_t isr; /* PCI */
	uint64_t msix; /* PCI: the table */
	unsigned int slot; /* PCI */
	unsigned int n_queues; /* that are there */
	uint16_t max_size; /* of queue 0 */
};

/* transport.c. All devices that there are; 0: none. */
extern struct dev devs[8];
extern unsigned int n_devs;
void find_devices(void);
struct dev *dev_named(const char *name);

uint32_t reg_get(const struct dev *d, enum reg r);
void reg_set(const struct dev *d, enum reg r, uint32_t v);
bool reg_is_readable(const struct dev *d, enum reg r);
const char *reg_name(enum reg r);
uint64_t reg_at(const struct dev *d, enum reg r); /* its address */
void set_address(const struct dev *d, enum reg low, uint64_t at);
uint8_t status(const struct dev *d);
void kick(const struct dev *d, uint32_t queue);
void reset(const struct dev *d); /* and waits until it is done */
uint64_t offered(const struct dev *d);
void set_features(const struct dev *d, uint64_t features);
/* Reset to FEATURES_OK. false: the features are refused. */
bool negotiate(const struct dev *d, uint64_t features);
void driver_ok(const struct dev *d);

uint32_t pci_get(unsigned int slot, unsigned int off, unsigned int size);
void pci_set(unsigned int slot, unsigned int off, unsigned int size, uint32_t v);

/* Any width, at any address below 512 GiB that is mapped; 8 bytes are one access. */
uint64_t mem_get(uint64_t at, unsigned int size);
void mem_set(uint64_t at, unsigned int size, uint64_t v);

/* Rings -------------------------------------------------------------------------------------- */

#define NEXT 1
#define WRITE 2
#define INDIRECT 4

struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

#define MAX_SIZE 256
struct ring_memory {
	struct desc desc[MAX_SIZE];
	uint16_t avail[MAX_SIZE + 3] __attribute__((aligned(4))); /* flags, idx, ring, used_event */
	uint32_t used[2 * MAX_SIZE + 2] __attribute__((aligned(4)));
} __attribute__((aligned(4096)));

struct ring { /* one queue as the driver sees it */
	const struct dev *dev;
	unsigned int queue;
	uint16_t size;
	volatile struct desc *desc;
	volatile uint16_t *avail;
	volatile uint16_t *used; /* flags, idx, then pairs of 32 bits */
	uint16_t made; /* chains made available; seen: that came back */
	uint16_t seen;
	uint64_t desc_at, avail_at, used_at; /* what the device is told */
};

#define AVAIL_FLAGS 0
#define AVAIL_IDX 1
#define AVAIL_RING 2
#define USED_IDX 1

/* ring.c. A ring in the queue's own memory (queues 0 to 3), all zeroes. */
void ring_init(struct ring *r, const struct dev *d, unsigned int queue, uint16_t size);
void ring_tell(const struct ring *r); /* size, addresses, enable */
uint16_t ring_used_idx(const struct ring *r);
uint32_t ring_used_len(const struct ring *r, uint16_t i);
void ring_publish(struct ring *r, uint16_t head); /* makes one more chain available */

struct piece {
	const volatile void *at;
	uint32_t len;
	bool writable;
};
/* Fills descriptors from `head` on. */
void ring_chain(struct ring *r, uint16_t head, const struct piece *p, unsigned int n);
/* Makes it available, kicks, waits. false: it does not come back; *written may be NULL. */
bool ring_request(struct ring *r, const struct piece *p, unsigned int n, uint32_t *written);
/* Waits until n chains in all have come back, or the device needs a reset. */
struct outcome ring_wait(const struct ring *r, uint16_t n);
/* A short while in which nothing is to come. */
struct outcome ring_quiet(const struct ring *r);
/* Waits for whatever `expected` is, and says what it was. */
struct outcome ring_outcome(const struct ring *r, struct outcome expected);

extern unsigned int most_looks; /* at the device before one gives up: seconds */
#define QUIET 60u

/* real.c: honest requests, to see whether a device works ------------------------------------- */

/* From reset on; true: a real request is done as it should be. */
bool works(const struct dev *d);
/* Starts a device in good order, with its first queues running. */
struct session {
	const struct dev *dev;
	struct ring ring[4];
};
bool session_start(struct session *s, const struct dev *d, uint64_t features, uint16_t size);
/* A real request on a session that runs. */
bool session_works(struct session *s);
/* Of net: sends a frame with this header in front, and whether it came back before an honest one.
 */
struct outcome net_send(struct session *s, const struct piece *p, unsigned int n, uint32_t token);
/* Of console: bytes that come back. */
bool console_echo(struct session *s);

extern uint8_t scratch[0x40000]; /* for what devices write anywhere */

/* hostile.c: cases ----------------------------------------------------------------------------- */

/* NAME is the three parts in a row; "" is none. */
void case_begin(const char *rule, const struct dev *d, const char *a, const char *b, const char *c,
		struct outcome expected);
void case_end(const struct dev *d, struct outcome got); /* resets, tries, reports, waits */
/* The same for what concerns no device: `works` is tried with d. */
const char *decimal(uint32_t n); /* of the last four calls */

void ring_cases(const struct dev *d);
void place_cases(const struct dev *d);
void race_cases(const struct dev *d);
void status_cases(const struct dev *d);
void register_cases(const struct dev *d);
void pci_cases(const struct dev *d);
void msix_cases(const struct dev *d);
void blk_cases(const struct dev *d);
void net_cases(const struct dev *d);
void console_cases(const struct dev *d);
void rng_cases(const struct dev *d);
void platform_cases(const struct dev *d);

/* Targets: the queues that ring cases are tried on --------------------------------------------- */

struct target {
	const char *name; /* "tx." */
	unsigned int id, queue;
	bool writable; /* what its descriptors are */
	uint16_t at_once; /* chains that one trigger uses; UINT16_MAX: all */
	uint64_t features; /* beside VERSION_1 */
	unsigned int other; /* the queue that a trigger needs; NO_QUEUE */
};
#define NO_QUEUE 99u
extern const struct target targets[];
extern const unsigned int n_targets;

struct trial {
	const struct target *t;
	struct ring r, other;
};
/* Reset to just before DRIVER_OK, with eight good chains of one descriptor each. */
void trial_prepare(struct trial *x, const struct dev *d, const struct target *t, uint64_t features);
/* Rings told, DRIVER_OK, `idx` published, the device made to look. */
void trial_run(struct trial *x, uint16_t idx);
void trial_trigger(struct trial *x);
/* What is expected if n chains are good. */
struct outcome trial_used(const struct target *t, uint16_t n);

/* second.c: the other CPU ------------------------------------------------------------------------
 */

void second_start(void (*fn)(void)); /* at ring 3 */
void second_stop(void);
void second_ipi(uint32_t icr_low);

extern uint64_t ram_low_end, ram_high_end; /* of RAM below and above 4 GiB */

#endif
