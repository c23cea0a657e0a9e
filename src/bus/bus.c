/*
 * bus.c - a sorted array of address ranges, and the splitting of accesses that do not fit into one.
 *
 * Life of a VM: filled while the machine is assembled; from then on looked up by vCPU threads, once
 * for each exit on a port or on an address without RAM. A PCI device that the guest moves comes and
 * goes while other vCPUs use the bus.
 *
 * No device is called under the bus lock. To know when a range that was taken out of the array is
 * left by its last visitor, each access puts a `struct visit`, which lives on its own stack, on a
 * list of the range; bus_unmap() waits until the list holds no thread but its own.
 */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <vmm/base/bug.h>
#include <vmm/base/util.h>
#include <vmm/bus/bus.h>

#define MAX_SIZE 8u /* the widest access of a CPU that KVM hands out at once */

struct visit {
	pthread_t thread;
	struct visit *next;
};

struct range {
	uint64_t base, last; /* both inclusive: a range may end at the very last address */
	const struct bus_ops *ops;
	void *dev;
	struct visit *visits; /* guarded by the bus's lock */
	bool gone; /* not in the array any more; guarded by the bus's lock */
	bool orphan; /* gone, and its last visitor forgets it; guarded by the bus's lock */
	struct range *next; /* among the spare ones */
};

struct bus {
	const char *name;
	uint64_t last;

	pthread_mutex_t
		lock; /* guards what follows; held for a lookup, never during a device's op */
	pthread_cond_t left; /* a visitor has left a range that is gone */
	struct range **ranges; /* by address; no two overlap */
	size_t n_ranges, room;
	struct range *spare; /* what a vCPU's thread, which cannot ask for memory, may need */
};

int bus_create(struct bus **out, const char *name, uint64_t last, struct err *e)
{
	struct bus *b = calloc(1, sizeof(*b));

	if (!b)
		return err_set(e, -ENOMEM, "%s bus: out of memory", name);
	b->name = name;
	b->last = last;
	pthread_mutex_init(&b->lock, NULL);
	pthread_cond_init(&b->left, NULL);
	*out = b;
	return 0;
}

void bus_destroy(struct bus *b)
{
	if (!b)
		return;
	for (size_t i = 0; i < b->n_ranges; i++)
		free(b->ranges[i]);
	for (struct range *next; b->spare; b->spare = next) {
		next = b->spare->next;
		free(b->spare);
	}
	free(b->ranges);
	pthread_cond_destroy(&b->left);
	pthread_mutex_destroy(&b->lock);
	free(b);
}

/* The index of the first range that ends at or behind `at`; n_ranges if there is none. */
static size_t find_locked(const struct bus *b, uint64_t at)
{
	size_t low = 0, high = b->n_ranges;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (b->ranges[mid]->last < at)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static void spare_locked(struct bus *b, struct range *r)
{
	r->next = b->spare;
	b->spare = r;
}

static bool make_room_locked(struct bus *b, size_t room)
{
	struct range **grown;

	if (room <= b->room)
		return true;
	grown = realloc(b->ranges, room * sizeof(struct range *));
	if (!grown)
		return false;
	b->ranges = grown;
	b->room = room;
	return true;
}

int bus_reserve(struct bus *b, unsigned int n, struct err *e)
{
	bool ok;

	pthread_mutex_lock(&b->lock);
	ok = make_room_locked(b, max_u64(b->room, b->n_ranges) + n);
	for (; ok && n > 0; n--) {
		struct range *r = malloc(sizeof(*r));

		ok = r != NULL;
		if (ok)
			spare_locked(b, r);
	}
	pthread_mutex_unlock(&b->lock);
	return ok ? 0 : err_set(e, -ENOMEM, "%s bus: out of memory", b->name);
}

/* Takes ownership of r if it fits. */
static int insert_locked(struct bus *b, struct range *r, struct err *e)
{
	size_t i = find_locked(b, r->base);

	if (i < b->n_ranges && b->ranges[i]->base <= r->last) {
		err_set(e, -EBUSY, "%s 0x%llx: taken by %s", b->name,
			(unsigned long long)max_u64(r->base, b->ranges[i]->base),
			b->ranges[i]->ops->name);
		return -EBUSY;
	}
	if (!make_room_locked(b, b->n_ranges + 1)) {
		err_set(e, -ENOMEM, "%s bus: out of memory", b->name);
		return -ENOMEM;
	}
	memmove(&b->ranges[i + 1], &b->ranges[i], (b->n_ranges - i) * sizeof(struct range *));
	b->ranges[i] = r;
	b->n_ranges++;
	return 0;
}

int bus_map(struct bus *b, uint64_t base, uint64_t len, const struct bus_ops *ops, void *dev,
	    struct err *e)
{
	struct range *r;
	int rc;

	VMM_BUG_ON(ops->max_size > MAX_SIZE || (ops->max_size & (ops->max_size - 1)) != 0);
	if (len == 0 || base > b->last || len - 1 > b->last - base)
		return err_set(e, -EINVAL, "%s 0x%llx, %llu long: no such range", b->name,
			       (unsigned long long)base, (unsigned long long)len);
	pthread_mutex_lock(&b->lock);
	r = b->spare;
	if (r)
		b->spare = r->next;
	else
		r = malloc(sizeof(*r));
	if (r) {
		*r = (struct range){
			.base = base, .last = base + (len - 1), .ops = ops, .dev = dev
		};
		rc = insert_locked(b, r, e);
	} else {
		rc = err_set(e, -ENOMEM, "%s bus: out of memory", b->name);
	}
	if (r && rc < 0)
		spare_locked(b, r);
	pthread_mutex_unlock(&b->lock);
	return rc;
}

static bool visited_by_others_locked(const struct range *r)
{
	for (const struct visit *v = r->visits; v; v = v->next) {
		if (!pthread_equal(v->thread, pthread_self()))
			return true;
	}
	return false;
}

void bus_unmap(struct bus *b, uint64_t base)
{
	struct range *r;
	size_t i;

	pthread_mutex_lock(&b->lock);
	i = find_locked(b, base);
	VMM_BUG_ON(i == b->n_ranges || b->ranges[i]->base != base);
	r = b->ranges[i];
	b->n_ranges--;
	memmove(&b->ranges[i], &b->ranges[i + 1], (b->n_ranges - i) * sizeof(struct range *));
	r->gone = true;
	while (visited_by_others_locked(r))
		pthread_cond_wait(&b->left, &b->lock);
	if (r->visits)
		r->orphan = true; /* this thread is still inside an op of the range */
	else
		spare_locked(b, r);
	pthread_mutex_unlock(&b->lock);
}

/*
 * The size of the next piece of an access that has `len` bytes left: the largest power of two that
 * is aligned, not longer than what is left, not wider than `max`, and does not reach behind `last`.
 */
static unsigned int piece_size(uint64_t at, size_t len, uint64_t last, unsigned int max)
{
	unsigned int size = max;

	while (size > len || (at & (size - 1)) != 0 || size - 1 > last - at)
		size /= 2;
	return size;
}

/*
 * Finds who answers at `at` and notes this thread as being there; NULL: nobody. *size is how much
 * of the access goes there in one piece; a hole ends where the next range begins.
 */
static struct range *enter(struct bus *b, uint64_t at, size_t len, struct visit *v,
			   unsigned int *size)
{
	struct range *r = NULL, *next = NULL;
	size_t i;

	pthread_mutex_lock(&b->lock);
	i = find_locked(b, at);
	if (i < b->n_ranges)
		next = b->ranges[i];
	if (next && next->base <= at) {
		r = next;
		*v = (struct visit){ .thread = pthread_self(), .next = r->visits };
		r->visits = v;
		*size = piece_size(at, len, r->last,
				   r->ops->max_size ? r->ops->max_size : MAX_SIZE);
	} else {
		*size = piece_size(at, len, next ? next->base - 1 : b->last, MAX_SIZE);
	}
	pthread_mutex_unlock(&b->lock);
	return r;
}

static void leave(struct bus *b, struct range *r, const struct visit *v)
{
	struct visit **at;

	pthread_mutex_lock(&b->lock);
	for (at = &r->visits; *at != v; at = &(*at)->next)
		;
	*at = v->next;
	if (r->orphan && !r->visits)
		spare_locked(b, r);
	else if (r->gone)
		pthread_cond_broadcast(&b->left);
	pthread_mutex_unlock(&b->lock);
}

/* Moves on to the next piece. false: that was the last one, or the end of the address space. */
static bool advance(const struct bus *b, uint64_t *at, size_t *len, unsigned int size)
{
	*len -= size;
	if (*len == 0 || b->last - *at < size)
		return false;
	*at += size;
	return true;
}

void bus_read(struct bus *b, uint64_t at, void *data, size_t len)
{
	uint8_t *bytes = data;
	struct visit v;
	unsigned int size;

	memset(data, 0xff, len); /* what nobody answers, nor anything behind the last address */
	if (len == 0 || at > b->last)
		return;
	do {
		struct range *r = enter(b, at, len, &v, &size);

		if (r && r->ops->read) {
			uint64_t val = r->ops->read(r->dev, at - r->base, size);

			for (unsigned int i = 0; i < size; i++)
				bytes[i] = (uint8_t)(val >> (8 * i));
		}
		if (r)
			leave(b, r, &v);
		bytes += size;
	} while (advance(b, &at, &len, size));
}

void bus_write(struct bus *b, uint64_t at, const void *data, size_t len)
{
	const uint8_t *bytes = data;
	struct visit v;
	unsigned int size;

	if (len == 0 || at > b->last)
		return;
	do {
		struct range *r = enter(b, at, len, &v, &size);

		if (r && r->ops->write) {
			uint64_t val = 0;

			for (unsigned int i = 0; i < size; i++)
				val |= (uint64_t)bytes[i] << (8 * i);
			r->ops->write(r->dev, at - r->base, size, val);
		}
		if (r)
			leave(b, r, &v);
		bytes += size;
	} while (advance(b, &at, &len, size));
}

const char *bus_who(struct bus *b, uint64_t at)
{
	const char *name = NULL;
	size_t i;

	pthread_mutex_lock(&b->lock);
	i = find_locked(b, at);
	if (i < b->n_ranges && b->ranges[i]->base <= at)
		name = b->ranges[i]->ops->name;
	pthread_mutex_unlock(&b->lock);
	return name;
}
