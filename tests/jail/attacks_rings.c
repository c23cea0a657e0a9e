/*
 * attacks_rings.c - the VM's own io_uring: a way around the filter, for what is asked of a ring is
 * no system call.
 *
 * Life of a VM: see attack.h. The ring is that of a disk which the guest leaves alone, so nothing
 * else is in it. Entries are written as the kernel wants them (io_uring(7)): the library would do
 * as well, but might call first.
 */
#include "attack.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/stat.h>
#include <sys/socket.h>
#include <sys/un.h>

#define MARK 0xd00d

static void publish(struct io_uring *r, const struct io_uring_sqe *entry)
{
	unsigned int tail = *r->sq.ktail, at = tail & *r->sq.kring_mask;

	r->sq.sqes[at] = *entry;
	r->sq.array[at] = at;
	r->sq.sqe_head++;
	r->sq.sqe_tail++;
	__atomic_store_n(r->sq.ktail, tail + 1, __ATOMIC_RELEASE);
}

/* The result of the entry, or -errno if the ring cannot be entered. */
static long ask(struct io_uring_sqe entry)
{
	struct io_uring *r = door.ring;
	unsigned int head;
	long rc;

	if (!r)
		return -ENODEV;
	entry.user_data = MARK;
	publish(r, &entry);
	rc = sys(SYS_io_uring_enter, r->ring_fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0);
	if (rc < 0)
		return rc;
	head = *r->cq.khead;
	if (head == __atomic_load_n(r->cq.ktail, __ATOMIC_ACQUIRE))
		return -EAGAIN;
	rc = r->cq.cqes[head & *r->cq.kring_mask].res;
	__atomic_store_n(r->cq.khead, head + 1, __ATOMIC_RELEASE);
	return rc;
}

static long open_file(const char *path, unsigned int flags)
{
	return ask((struct io_uring_sqe){ .opcode = IORING_OP_OPENAT,
					  .fd = AT_FDCWD,
					  .addr = (uintptr_t)path,
					  .open_flags = flags | O_CLOEXEC });
}

static long ring_open(void)
{
	return closed(open_file("/etc/passwd", O_RDONLY));
}

static long ring_open_outside(void)
{
	return closed(open_file(door.path, O_RDWR));
}

static long ring_openat2(void)
{
	const uint64_t how[3] = { O_RDONLY, 0, 0 };

	return closed(ask((struct io_uring_sqe){ .opcode = IORING_OP_OPENAT2,
						 .fd = AT_FDCWD,
						 .addr = (uintptr_t)door.path,
						 .len = sizeof(how),
						 .off = (uintptr_t)how }));
}

static long ring_statx(void)
{
	struct statx st;

	return ask((struct io_uring_sqe){ .opcode = IORING_OP_STATX,
					  .fd = AT_FDCWD,
					  .addr = (uintptr_t)door.path,
					  .len = STATX_BASIC_STATS,
					  .off = (uintptr_t)&st });
}

static long ring_unlink(void)
{
	long rc = ask((struct io_uring_sqe){ .opcode = IORING_OP_UNLINKAT,
					     .fd = AT_FDCWD,
					     .addr = (uintptr_t) "/no-such-file-of-vmm-door" });

	return rc == -ENOENT ? 0 : rc;
}

static long ring_socket(void)
{
	return closed(ask((struct io_uring_sqe){
		.opcode = IORING_OP_SOCKET, .fd = AF_UNIX, .off = SOCK_STREAM }));
}

static long ring_connect(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	size_t n = 0;
	long fd, rc;

	for (; door.abstract[n]; n++)
		a.sun_path[n + 1] = door.abstract[n];
	fd = ask((struct io_uring_sqe){
		.opcode = IORING_OP_SOCKET, .fd = AF_UNIX, .off = SOCK_STREAM });
	if (fd < 0)
		return fd;
	rc = ask((struct io_uring_sqe){ .opcode = IORING_OP_CONNECT,
					.fd = (int)fd,
					.addr = (uintptr_t)&a,
					.off = offsetof(struct sockaddr_un, sun_path) + 1 + n });
	sys(SYS_close, fd);
	return rc;
}

/* /dev/null takes commands, and does nothing. */
static long ring_command(void)
{
	long fd = open_file("/dev/null", O_RDWR), rc;

	if (fd < 0)
		return fd;
	rc = ask((struct io_uring_sqe){ .opcode = IORING_OP_URING_CMD, .fd = (int)fd });
	sys(SYS_close, fd);
	return rc;
}

static long send_by(int fd)
{
	long rc = ask((struct io_uring_sqe){ .opcode = IORING_OP_SEND,
					     .fd = fd,
					     .addr = (uintptr_t) "x",
					     .len = 1,
					     .msg_flags = MSG_DONTWAIT | MSG_NOSIGNAL });

	return rc;
}

static long ring_send(void)
{
	return over_fds(send_by);
}

static long ring_close(void)
{
	long rc = ask((struct io_uring_sqe){ .opcode = IORING_OP_CLOSE, .fd = MOST_FDS * 4 });

	return rc == -EBADF ? 0 : rc;
}

static long ring_message(void)
{
	return ask((struct io_uring_sqe){ .opcode = IORING_OP_MSG_RING,
					  .fd = door.ring ? door.ring->ring_fd : -1,
					  .off = MARK });
}

static long ring_nothing(void)
{
	return ask((struct io_uring_sqe){ .opcode = IORING_OP_NOP });
}

static long enlist(unsigned int what, void *arg, unsigned int n)
{
	return sys(SYS_io_uring_register, door.ring ? door.ring->ring_fd : -1, what, arg, n);
}

static long register_buffers(void)
{
	struct iovec iov = { door.low, 4096 };
	long rc = enlist(IORING_REGISTER_BUFFERS, &iov, 1);

	if (rc >= 0)
		enlist(IORING_UNREGISTER_BUFFERS, NULL, 0);
	return rc;
}

static long register_files(void)
{
	int fd = 2;
	long rc = enlist(IORING_REGISTER_FILES, &fd, 1);

	if (rc >= 0)
		enlist(IORING_UNREGISTER_FILES, NULL, 0);
	return rc;
}

static long register_personality(void)
{
	return enlist(IORING_REGISTER_PERSONALITY, NULL, 0);
}

static long register_workers(void)
{
	unsigned int most[2] = { 0, 0 };

	return enlist(IORING_REGISTER_IOWQ_MAX_WORKERS, most, 2);
}

#define RING(name, got, fn) TRY("ring-" name, got, "io_uring_enter", 0, ring_##fn)
#define RING_FS(name, got, fn) TRY("ring-" name, got, "io_uring_enter", LAYER_FS, ring_##fn)
#define REGISTER(name, got, fn)                                                                    \
	TRY("ring-register-" name, got, "io_uring_register", 0, register_##fn)

const struct attack attacks_on_rings[] = {
	RING_FS("open", "opens /etc/passwd by the ring", open),
	RING_FS("open-outside", "opens a file by the ring", open_outside),
	RING_FS("openat2", "opens a file by the ring", openat2),
	RING("statx", "learns of a file by the ring", statx),
	RING("unlink", "may remove files by the ring", unlink),
	RING("socket", "has a socket by the ring", socket),
	RING("connect", "reaches a server by the ring", connect),
	RING("command", "commands a device by the ring", command),
	RING("send", "sends by the ring", send),
	RING("close", "closes by the ring", close),
	RING("message", "sends itself a message by the ring", message),
	RING("nop", "has the ring do what no disk needs", nothing),
	REGISTER("buffers", "pins memory", buffers),
	REGISTER("files", "keeps files in the ring", files),
	REGISTER("personality", "keeps who it is in the ring", personality),
	REGISTER("workers", "changes how many threads the kernel has", workers),
	{ 0 },
};
