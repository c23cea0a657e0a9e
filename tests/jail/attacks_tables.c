/*
 * attacks_tables.c - the other two tables of system calls that an x86-64 kernel may have: that of
 * 32-bit programs (int 0x80) and x32 (bit 30 of the number), where the numbers mean something else.
 *
 * Life of a VM: see attack.h. Pointers must be below 4 GiB. No filter lets these through, not even
 * where calls are only told of: no other layer is asked.
 */
#include "attack.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define X32 0x40000000

/* arch/x86/entry/syscalls/syscall_32.tbl */
enum {
	I386_OPEN = 5,
	I386_EXECVE = 11,
	I386_PTRACE = 26,
	I386_KILL = 37,
	I386_SOCKETCALL = 102,
	I386_MMAP2 = 192,
	I386_OPENAT = 295,
	I386_SOCKET = 359,
};

static long sys32(long nr, long b, long c, long d, long si, long di)
{
	long rc = nr;

	__asm__ volatile("int $0x80"
			 : "+a"(rc)
			 : "b"(b), "c"(c), "d"(d), "S"(si), "D"(di)
			 : "r8", "r9", "r10", "r11", "memory");
	return (int)rc;
}

/* The string in the low page, so far from its start. */
static long low_at(long at, const char *s)
{
	long i = 0;

	do
		door.low[at + i] = s[i];
	while (s[i++]);
	return (long)door.low + at;
}

static long low(const char *s)
{
	return low_at(0, s);
}

static long open32(void)
{
	return sys32(I386_OPEN, low("/etc/passwd"), O_RDONLY | O_CLOEXEC, 0, 0, 0);
}

static long openat32(void)
{
	return sys32(I386_OPENAT, AT_FDCWD, low(door.path), O_RDWR | O_CLOEXEC, 0, 0);
}

static long socket32(void)
{
	return sys32(I386_SOCKET, AF_INET, SOCK_STREAM, 0, 0, 0);
}

static long socketcall32(void)
{
	int *args = (int *)(void *)door.low;

	args[0] = AF_INET;
	args[1] = SOCK_STREAM;
	args[2] = 0;
	return sys32(I386_SOCKETCALL, 1, (long)door.low, 0, 0, 0);
}

static long execve32(void)
{
	uint32_t *argv = (uint32_t *)(void *)(door.low + 512);

	argv[0] = (uint32_t)low("/bin/sh");
	argv[1] = (uint32_t)low_at(64, "-c");
	argv[2] = (uint32_t)low_at(128, "echo 'attack i386-execve: got in: runs a program' >&2");
	argv[3] = 0;
	return sys32(I386_EXECVE, argv[0], (long)argv, 0, 0, 0);
}

static long kill32(void)
{
	return sys32(I386_KILL, door.pid, SIGURG, 0, 0, 0);
}

static long ptrace32(void)
{
	return sys32(I386_PTRACE, 16, door.pid, 0, 0, 0); /* PTRACE_ATTACH */
}

static long map32(void)
{
	long at = sys32(I386_MMAP2, 0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
			MAP_PRIVATE | MAP_ANONYMOUS, -1);

	return at < 0 && at > -4096 ? at : 0;
}

static long open_x32(void)
{
	return sys(X32 | SYS_open, "/etc/passwd", O_RDONLY | O_CLOEXEC);
}

static long socket_x32(void)
{
	return sys(X32 | SYS_socket, AF_INET, SOCK_STREAM, 0);
}

static long execve_x32(void)
{
	return sys(X32 | 520, "/bin/true", NULL, NULL);
}

/* Linux before 5.4 took the numbers of x86-64 as x32's here. */
static long execve_x32_wrongly(void)
{
	return sys(X32 | SYS_execve, "/bin/true", NULL, NULL);
}

const struct attack attacks_by_other_tables[] = {
	TRY("i386-open", "reads /etc/passwd", "*", ALONE, open32),
	TRY("i386-openat", "opens a file", "*", ALONE, openat32),
	TRY("i386-socket", "has a socket", "*", ALONE, socket32),
	TRY("i386-socketcall", "has a socket", "*", ALONE, socketcall32),
	TRY("i386-execve", "runs a program", "*", ALONE, execve32),
	TRY("i386-kill", "sends a signal", "*", ALONE, kill32),
	TRY("i386-ptrace", "traces another", "*", ALONE, ptrace32),
	TRY("i386-mmap", "writes code", "*", ALONE, map32),
	TRY("x32-open", "reads /etc/passwd", "*", ALONE, open_x32),
	TRY("x32-socket", "has a socket", "*", ALONE, socket_x32),
	TRY("x32-execve", "runs a program", "*", ALONE, execve_x32),
	TRY("x32-execve-wrong", "runs a program", "*", ALONE, execve_x32_wrongly),
	{ 0 },
};
