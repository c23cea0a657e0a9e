/*
 * pages.c - the memory that the guest will take for RAM.
 *
 * Life of a VM: mapped, and locked or merged if the user wants that, while the machine is built,
 * and filled with a file's pages, of the kernel; discarded at a reset, unmapped at the end; on the
 * main thread. An address error of ours hits a guard page, not another object of the VMM.
 */
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <vmm/base/bug.h>
#include <vmm/base/util.h>
#include <vmm/host/pages.h>

#define HUGE_PAGE (2 * MIB)
#define GUARD HUGE_PAGE

#ifndef MADV_DONTNEED_LOCKED /* Linux 5.18; not in the C library of that time */
#define MADV_DONTNEED_LOCKED 24
#endif

/* A kernel without transparent huge pages or core dumps refuses it, rightly. */
static void advise(void *p, size_t len)
{
	madvise(p, len, MADV_HUGEPAGE);
	madvise(p, len, MADV_DONTDUMP);
}

int pages_map(void **out, size_t len, struct err *e)
{
	size_t total;
	uint8_t *all, *ram;

	/* One guard below, one above, and up to a huge page lost to the alignment. */
	if (__builtin_add_overflow(len, 2 * GUARD + HUGE_PAGE, &total))
		return err_set(e, -ENOMEM, "%zu bytes of guest RAM: more than an address space",
			       len);
	all = mmap(NULL, total, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (all == MAP_FAILED)
		return err_errno(e, "%zu MiB of guest RAM", (size_t)(len / MIB));
	ram = (uint8_t *)align_up((uintptr_t)all + GUARD, HUGE_PAGE);
	/* Keep exactly [ram - GUARD, ram + len + GUARD), so that pages_unmap() can find it again.
	 */
	if (ram - GUARD > all)
		munmap(all, (size_t)(ram - GUARD - all));
	if (ram + len + GUARD < all + total)
		munmap(ram + len + GUARD, (size_t)(all + total - (ram + len + GUARD)));
	if (mprotect(ram, len, PROT_READ | PROT_WRITE) < 0) {
		err_errno(e, "%zu MiB of guest RAM", (size_t)(len / MIB));
		pages_unmap(ram, len);
		return e->code;
	}
	advise(ram, len);
	*out = ram;
	return 0;
}

void pages_unmap(void *p, size_t len)
{
	if (p)
		VMM_BUG_ON(munmap((uint8_t *)p - GUARD, len + 2 * GUARD) < 0);
}

int pages_unmap_file(void *p, size_t len, struct err *e)
{
	if (mmap(p, len, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED)
		return err_errno(e, "%zu KiB of guest RAM", (size_t)(len / KIB));
	advise(p, len);
	return 0;
}

bool pages_map_file(void *p, size_t len, int fd, uint64_t off, struct err *e)
{
	int flags = MAP_PRIVATE | MAP_NORESERVE | MAP_FIXED;

	*e = (struct err){ 0 };
	if (mmap(p, len, PROT_READ | PROT_WRITE, flags, fd, (off_t)off) == MAP_FAILED) {
		pages_unmap_file(p, len, e); /* mmap(2): it may have taken away what was there */
		return false;
	}
	madvise(p, len, MADV_DONTDUMP);
	return true;
}

static int too_much_to_lock(size_t len, struct err *e)
{
	struct rlimit limit = { 0 };
	int code = -errno;

	getrlimit(RLIMIT_MEMLOCK, &limit);
	return err_set(
		e, code,
		"%zu MiB of guest RAM, but this process may lock %llu MiB of memory: run it as "
		"root, or after a 'ulimit -l' of so much (in systemd, LimitMEMLOCK=)",
		(size_t)(len / MIB), (unsigned long long)(limit.rlim_cur / MIB));
}

int pages_lock(void *p, size_t len, struct err *e)
{
	if (mlock2(p, len, MLOCK_ONFAULT) == 0)
		return 0;
	/* mlock(2): what has no other cause here. */
	if (errno == ENOMEM || errno == EPERM)
		return too_much_to_lock(len, e);
	return err_errno(e, "%zu MiB of guest RAM", (size_t)(len / MIB));
}

int pages_merge(void *p, size_t len, struct err *e)
{
	if (madvise(p, len, MADV_MERGEABLE) == 0)
		return 0;
	if (errno == EINVAL)
		return err_set(e, -EINVAL,
			       "this host's kernel has no KSM (CONFIG_KSM); leave it out");
	return err_errno(e, "%zu MiB of guest RAM", (size_t)(len / MIB));
}

void pages_discard(void *p, size_t len)
{
	if (madvise(p, len, MADV_DONTNEED) == 0)
		return;
	VMM_BUG_ON(errno != EINVAL); /* which says that it is locked */
	if (madvise(p, len, MADV_DONTNEED_LOCKED) < 0)
		memset(p, 0, len);
}
