/*
 * race.c - the other vCPU: it rewrites memory right after the device has read it.
 *
 * The functions by which devices read guest memory are wrapped (--wrap, see fuzz.mk). What is read
 * once and kept is not hurt by that; what is read twice is checked with one value and used with
 * another.
 */
#include "guest.h"
#include <vmm/virtio/virtq.h>

#define MOST 16u /* bytes rewritten behind one read */

static struct gmem *mem; /* NULL: nobody races */
static struct race race;

bool __real_gmem_read(const struct gmem *m, gpa_t at, void *dst, size_t len);
bool __real_gmem_load_le16(const struct gmem *m, gpa_t at, uint16_t *out);
size_t __real_vchain_read(struct vchain *c, void *dst, size_t len);
bool __wrap_gmem_read(const struct gmem *m, gpa_t at, void *dst, size_t len);
bool __wrap_gmem_load_le16(const struct gmem *m, gpa_t at, uint16_t *out);
size_t __wrap_vchain_read(struct vchain *c, void *dst, size_t len);

void race_start(struct gmem *m, const struct race *r)
{
	mem = m;
	race = *r;
}

void race_stop(void)
{
	mem = NULL;
}

static bool is_due(const struct gmem *m)
{
	if (!mem || (m && m != mem) || race.count == 0)
		return false;
	if (race.delay > 0) {
		race.delay--;
		return false;
	}
	race.count--;
	return true;
}

static void flip(uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		p[i] ^= (uint8_t)(race.pattern >> 8 * (i % 4));
		if (i % 4 == 3)
			race.pattern = race.pattern * 5 + 1;
	}
}

bool __wrap_gmem_read(const struct gmem *m, gpa_t at, void *dst, size_t len)
{
	uint8_t now[MOST];
	size_t n = min_size(len, MOST);

	if (!__real_gmem_read(m, at, dst, len))
		return false;
	if (is_due(m)) {
		memcpy(now, dst, n);
		flip(now, n);
		VMM_BUG_ON(!gmem_write(mem, at, now, n));
	}
	return true;
}

bool __wrap_gmem_load_le16(const struct gmem *m, gpa_t at, uint16_t *out)
{
	uint16_t now;

	if (!__real_gmem_load_le16(m, at, out))
		return false;
	if (is_due(m)) {
		now = *out ^ (uint16_t)race.pattern;
		VMM_BUG_ON(!gmem_store_le16(mem, at, now));
	}
	return true;
}

size_t __wrap_vchain_read(struct vchain *c, void *dst, size_t len)
{
	struct vcursor from = c->rd;
	size_t done = __real_vchain_read(c, dst, len);

	if (done > 0 && is_due(NULL)) {
		while (from.off == c->seg[from.seg].iov_len)
			from = (struct vcursor){ .seg = (uint16_t)(from.seg + 1) };
		flip((uint8_t *)c->seg[from.seg].iov_base + from.off,
		     min_size(min_size(done, MOST), c->seg[from.seg].iov_len - from.off));
	}
	return done;
}
