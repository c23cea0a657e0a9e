/*
 * gmem.c - guest RAM: where it is, and the proof that an access stays inside.
 *
 * Life of a VM: filled by machine_build() before any vCPU exists, then read-only as a map. Used on
 * the main thread by the loaders, and on any thread by devices.
 *
 * This is the only file in which a guest-physical address becomes a host pointer (span()), which is
 * what makes the rule "no access outside guest RAM" something that one can check by reading.
 */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <vmm/base/checked.h>
#include <vmm/base/util.h>
#include <vmm/host/pages.h>
#include <vmm/mem/gmem.h>

#define PAGE 4096u
#define MAX_FILE_PIECES 16

struct region {
	gpa_t base;
	uint64_t len;
	uint8_t *host;
};

struct file_piece { /* of a region: it shows a file */
	void *host;
	uint64_t len;
};

struct gmem {
	struct region region[GMEM_MAX_REGIONS];
	unsigned int n_regions;
	struct file_piece file[MAX_FILE_PIECES];
	unsigned int n_files;
	bool no_files; /* each page was asked to be of some kind that a file's is not */
};

int gmem_create(struct gmem **out, struct err *e)
{
	*out = calloc(1, sizeof(**out));
	return *out ? 0 : err_set(e, -ENOMEM, "guest memory map: out of memory");
}

void gmem_destroy(struct gmem *m)
{
	if (!m)
		return;
	for (unsigned int i = 0; i < m->n_regions; i++)
		pages_unmap(m->region[i].host, m->region[i].len);
	free(m);
}

static bool overlaps(const struct gmem *m, gpa_t base, gpa_t end)
{
	for (unsigned int i = 0; i < m->n_regions; i++) {
		const struct region *r = &m->region[i];

		if (base < r->base + r->len && r->base < end)
			return true;
	}
	return false;
}

int gmem_add_ram(struct gmem *m, gpa_t base, uint64_t len, struct err *e)
{
	gpa_t end;
	void *host;

	if (m->n_regions == GMEM_MAX_REGIONS || len == 0 || (base | len) % PAGE ||
	    !checked_add_u64(base, len, &end) || overlaps(m, base, end))
		return err_set(e, -EINVAL, "RAM at %#" PRIx64 ", %#" PRIx64 " bytes: bad range",
			       base, len);
	if (pages_map(&host, len, e) < 0)
		return e->code;
	m->region[m->n_regions++] = (struct region){ base, len, host };
	return 0;
}

int gmem_lock(struct gmem *m, struct err *e)
{
	m->no_files = true;
	for (unsigned int i = 0; i < m->n_regions; i++) {
		if (pages_lock(m->region[i].host, m->region[i].len, e) < 0)
			return e->code;
	}
	return 0;
}

int gmem_merge(struct gmem *m, struct err *e)
{
	m->no_files = true;
	for (unsigned int i = 0; i < m->n_regions; i++) {
		if (pages_merge(m->region[i].host, m->region[i].len, e) < 0)
			return e->code;
	}
	return 0;
}

int gmem_clear(struct gmem *m, struct err *e)
{
	for (; m->n_files > 0; m->n_files--) {
		const struct file_piece *f = &m->file[m->n_files - 1];

		if (pages_unmap_file(f->host, f->len, e) < 0)
			return e->code;
	}
	for (unsigned int i = 0; i < m->n_regions; i++)
		pages_discard(m->region[i].host, m->region[i].len);
	return 0;
}

int gmem_each_region(const struct gmem *m, gmem_region_fn fn, void *arg)
{
	for (unsigned int i = 0; i < m->n_regions; i++) {
		const struct region *r = &m->region[i];
		int rc = fn(arg, i, r->base, r->len, r->host);

		if (rc)
			return rc;
	}
	return 0;
}

/*
 * The only place where a guest address becomes a host pointer. *len is cut to what this region
 * holds from `at` on; NULL: `at` is not RAM. Written with differences, so that no sum can overflow.
 */
static uint8_t *span(const struct gmem *m, gpa_t at, uint64_t *len)
{
	for (unsigned int i = 0; i < m->n_regions; i++) {
		const struct region *r = &m->region[i];

		if (at < r->base || at - r->base >= r->len)
			continue;
		*len = min_u64(*len, r->len - (at - r->base));
		return r->host + (at - r->base);
	}
	return NULL;
}

bool gmem_map_file(struct gmem *m, gpa_t at, uint64_t len, int fd, uint64_t off, struct err *e)
{
	uint64_t part = len;
	void *host = span(m, at, &part);

	*e = (struct err){ 0 };
	if (!host || part < len || len == 0 || (at | len | off) % PAGE || m->no_files ||
	    m->n_files == MAX_FILE_PIECES)
		return false;
	if (!pages_map_file(host, len, fd, off, e))
		return false;
	m->file[m->n_files++] = (struct file_piece){ host, len };
	return true;
}

int gmem_iov(const struct gmem *m, gpa_t at, uint64_t len, struct iovec *iov, int max)
{
	int n = 0;

	while (len > 0) {
		uint64_t part = len;
		uint8_t *p = span(m, at, &part);

		if (!p || n == max)
			return -1;
		iov[n++] = (struct iovec){ p, part };
		at += part;
		len -= part;
	}
	return n;
}

bool gmem_read(const struct gmem *m, gpa_t at, void *dst, size_t len)
{
	struct iovec v[GMEM_MAX_REGIONS];
	int n = gmem_iov(m, at, len, v, GMEM_MAX_REGIONS);
	uint8_t *to = dst;

	for (int i = 0; i < n; i++) {
		memcpy(to, v[i].iov_base, v[i].iov_len);
		to += v[i].iov_len;
	}
	/* The compiler may not look at RAM a second time: the guest may have changed it. */
	atomic_signal_fence(memory_order_seq_cst);
	return n >= 0;
}

bool gmem_write(struct gmem *m, gpa_t at, const void *src, size_t len)
{
	struct iovec v[GMEM_MAX_REGIONS];
	int n = gmem_iov(m, at, len, v, GMEM_MAX_REGIONS);
	const uint8_t *from = src;

	for (int i = 0; i < n; i++) {
		memcpy(v[i].iov_base, from, v[i].iov_len);
		from += v[i].iov_len;
	}
	return n >= 0;
}

/* A word of its own, or NULL. A region's host address is aligned to 2 MiB, so `at` decides. */
static void *word(const struct gmem *m, gpa_t at, uint64_t width)
{
	uint64_t len = width;
	void *p = at % width ? NULL : span(m, at, &len);

	return len == width ? p : NULL;
}

#define ACCESSORS(bits)                                                                            \
	bool gmem_load_le##bits(const struct gmem *m, gpa_t at, uint##bits##_t *out)               \
	{                                                                                          \
		const uint##bits##_t *p = word(m, at, sizeof(*out));                               \
                                                                                                   \
		if (p)                                                                             \
			*out = le##bits##toh(__atomic_load_n(p, __ATOMIC_ACQUIRE));                \
		return p != NULL;                                                                  \
	}                                                                                          \
                                                                                                   \
	bool gmem_store_le##bits(struct gmem *m, gpa_t at, uint##bits##_t val)                     \
	{                                                                                          \
		uint##bits##_t *p = word(m, at, sizeof(val));                                      \
                                                                                                   \
		if (p)                                                                             \
			__atomic_store_n(p, htole##bits(val), __ATOMIC_RELEASE);                   \
		return p != NULL;                                                                  \
	}

ACCESSORS(16)
ACCESSORS(32)
ACCESSORS(64)
