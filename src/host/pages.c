/*
 * pages.c - the memory that the guest will take for RAM.
 *
 * Life of a VM: mapped while the machine is built, discarded at a reset, unmapped at the end; on
 * the main thread. An address error of ours hits a guard page, not another object of the VMM.
 */
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <vmm/base/bug.h>
#include <vmm/base/util.h>
#include <vmm/host/pages.h>

#define HUGE_PAGE (2 * MIB)
#define GUARD HUGE_PAGE

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
	/* Advice only: a kernel without transparent huge pages or core dumps refuses it, rightly.
	 */
	madvise(ram, len, MADV_HUGEPAGE);
	madvise(ram, len, MADV_DONTDUMP);
	*out = ram;
	return 0;
}

void pages_unmap(void *p, size_t len)
{
	if (p)
		VMM_BUG_ON(munmap((uint8_t *)p - GUARD, len + 2 * GUARD) < 0);
}

void pages_discard(void *p, size_t len)
{
	VMM_BUG_ON(madvise(p, len, MADV_DONTNEED) < 0);
}
