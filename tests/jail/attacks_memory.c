/*
 * attacks_memory.c - new code, and more memory than is its share.
 *
 * Life of a VM: see attack.h.
 */
#include "attack.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>

#define PAGE 4096l
#define ALL (PROT_READ | PROT_WRITE | PROT_EXEC)
#define MUCH (512l << 20)

static bool is_error(long at)
{
	return at < 0 && at > -PAGE;
}

static long mapped(long at, long len)
{
	if (is_error(at))
		return at;
	sys(SYS_munmap, at, len);
	return 0;
}

static long map_code(void)
{
	return mapped(sys(SYS_mmap, NULL, PAGE, ALL, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), PAGE);
}

static long map_code_of_memfd(void)
{
	long fd = sys(SYS_memfd_create, "code", MFD_CLOEXEC), rc;

	if (fd < 0)
		return fd;
	sys(SYS_ftruncate, fd, PAGE);
	rc = mapped(sys(SYS_mmap, NULL, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0), PAGE);
	sys(SYS_close, fd);
	return rc;
}

static long map_code_of(int fd)
{
	long at = sys(SYS_mmap, NULL, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);

	return mapped(at, PAGE);
}

static long map_code_of_each(void)
{
	return over_fds(map_code_of);
}

static long memory_of_ring(int fd)
{
	const unsigned long queue = 0; /* IORING_OFF_SQ_RING */

	return mapped(sys(SYS_mmap, NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, queue),
		      PAGE);
}

static long map_each(void)
{
	return over_fds(memory_of_ring);
}

static long protect(long nr, void *at)
{
	long rc = sys(nr, at, PAGE, ALL, -1);

	if (rc == 0)
		sys(SYS_mprotect, at, PAGE, PROT_READ | PROT_WRITE);
	return rc;
}

static long protect_ram(void)
{
	return protect(SYS_mprotect, door.ram);
}

static long protect_ram_by_key(void)
{
	return protect(SYS_pkey_mprotect, door.ram);
}

static long protect_stack(void)
{
	char here;

	return protect(SYS_mprotect, (void *)((uintptr_t)&here & -PAGE));
}

static long protect_code(void)
{
	void *at = (void *)((uintptr_t)&protect_code & -PAGE);
	long rc = sys(SYS_mprotect, at, PAGE, ALL);

	if (rc == 0)
		sys(SYS_mprotect, at, PAGE, PROT_READ | PROT_EXEC);
	return rc;
}

static long remap(void)
{
	return mapped(sys(SYS_mremap, door.low, 0, PAGE, MREMAP_MAYMOVE), PAGE);
}

static long move_code(void)
{
	uintptr_t at = (uintptr_t)&move_code & -PAGE;

	return mapped(sys(SYS_mremap, at, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP), PAGE);
}

static long attach_code(void)
{
	long id = sys(SYS_shmget, IPC_PRIVATE, PAGE, 0700), at;

	if (id < 0)
		return id;
	at = sys(SYS_shmat, id, NULL, SHM_EXEC);
	sys(SYS_shmctl, id, IPC_RMID, NULL);
	if (is_error(at))
		return at;
	sys(SYS_shmdt, at);
	return 0;
}

static long old_remap(void)
{
	return sys(SYS_remap_file_pages, door.low, PAGE, 0, 0, 0);
}

static long file_in_memory(void)
{
	long fd = sys(SYS_memfd_create, "file", MFD_CLOEXEC);

	if (fd >= 0)
		sys(SYS_close, fd);
	return fd;
}

/* The guest's memory into core dumps; pages of one guest shared with another's. */
static long advise(long advice)
{
	return sys(SYS_madvise, door.ram, PAGE, advice);
}

static long dump_ram(void)
{
	long rc = advise(MADV_DODUMP);

	advise(MADV_DONTDUMP);
	return rc;
}

static long merge_ram(void)
{
	long rc = advise(MADV_MERGEABLE);

	advise(MADV_UNMERGEABLE);
	return rc;
}

/* Touched all over. */
static long take_memory(void)
{
	long at = sys(SYS_mmap, NULL, MUCH, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		      0);

	if (is_error(at))
		return at;
	for (long i = 0; i < MUCH; i += PAGE)
		((volatile char *)at)[i] = 1;
	sys(SYS_munmap, at, MUCH);
	return 0;
}

static long grow_heap(void)
{
	long old = sys(SYS_brk, 0), now;

	if (old < 0)
		return old;
	now = sys(SYS_brk, old + MUCH);
	sys(SYS_brk, old);
	return now == old + MUCH ? 0 : -ENOMEM;
}

static long lock_memory(void)
{
	return sys(SYS_mlock, door.ram, PAGE);
}

const struct attack attacks_on_memory[] = {
	TRY("mmap-exec", "writes code", "mmap", 0, map_code),
	TRY("mmap-exec-memfd", "writes code into a file", "memfd_create", 0, map_code_of_memfd),
	TRY("mmap-exec-each", "runs a file that is open", "mmap", 0, map_code_of_each),
	TRY("mmap-each", "maps a file that is open", "mmap", 0, map_each),
	TRY("mprotect-ram", "runs code of the guest's", "mprotect", 0, protect_ram),
	TRY("mprotect-stack", "runs code on its stack", "mprotect", 0, protect_stack),
	TRY("mprotect-code", "rewrites its code", "mprotect", 0, protect_code),
	TRY("pkey-mprotect", "runs code of the guest's", "pkey_mprotect", 0, protect_ram_by_key),
	{ "pkey-alloc", "has a key for memory", .flags = 0, ONE_CALL(pkey_alloc) },
	TRY("mremap", "only what is shared can be copied", "mremap", NEVER, remap),
	TRY("mremap-code", "moves its code", "mremap", ALONE, move_code),
	TRY("shmat-exec", "runs code in shared memory", "shmget", 0, attach_code),
	TRY("remap-file-pages", "only what is shared can be remapped", "remap_file_pages", NEVER,
	    old_remap),
	TRY("memfd-create", "has a file in memory", "memfd_create", 0, file_in_memory),
	{ "memfd-secret", "hides memory", .flags = 0, ONE_CALL(memfd_secret), ARGS(O_CLOEXEC) },
	TRY("madvise-dump", "puts the guest's memory into dumps", "madvise", 0, dump_ram),
	TRY("madvise-merge", "shares pages with other guests", "madvise", 0, merge_ram),
	TRY("mlock", "holds memory", "mlock", 0, lock_memory),
	TRY("grow-mmap", "takes 512 MiB", "mmap", LAYER_LIMIT | ALONE, take_memory),
	TRY("grow-brk", "takes 512 MiB", "brk", LAYER_LIMIT, grow_heap),
	{ 0 },
};
