/*
 * test_vhost.c - src/host/vhost.c: what the kernel is told, in which order, and what is said when
 * it refuses.
 */
#include "unit.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/vhost.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <vmm/host/vhost.h>

#define MAX_CALLS 16u

static int open_error; /* errno; 0: it opens */
static unsigned int fail_at; /* the n-th ioctl fails; 0: none does */
static struct {
	unsigned long request;
	union {
		struct vhost_vring_state state;
		struct vhost_vring_addr addr;
		struct vhost_vring_file file;
		uint64_t features;
	} arg;
} calls[MAX_CALLS];
static unsigned int n_calls;
static uint64_t table[64]; /* a struct vhost_memory */
static struct err e;

/* The C library's, for this program. */
int open(const char *path, int flags, ...)
{
	if (strcmp(path, VHOST_DEVICE) != 0)
		return (int)syscall(SYS_openat, AT_FDCWD, path, flags, 0600);
	errno = open_error;
	return open_error ? -1 : dup(0);
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	void *arg;

	(void)fd;
	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	ck_assert_uint_lt(n_calls, MAX_CALLS);
	calls[n_calls].request = request;
	if (request == VHOST_SET_MEM_TABLE)
		memcpy(table, arg,
		       sizeof(struct vhost_memory) + ((struct vhost_memory *)arg)->nregions *
							     sizeof(struct vhost_memory_region));
	else if (request == VHOST_GET_FEATURES)
		*(uint64_t *)arg = UINT64_C(0x123400000000);
	else if (request == VHOST_GET_VRING_BASE)
		((struct vhost_vring_state *)arg)->num = 4711;
	else if (arg)
		memcpy(&calls[n_calls].arg, arg, _IOC_SIZE(request));
	n_calls++;
	errno = EIO;
	return n_calls == fail_at ? -1 : 0;
}

START_TEST(a_device_that_is_missing_or_shut_is_told_with_the_remedy)
{
	static const struct {
		int error;
		const char *words;
	} answers[] = {
		{ ENOENT, "vhost=on: /dev/vhost-net: No such file or directory; as root: modprobe "
			  "vhost_net; or vhost=off" },
		{ ENODEV, "modprobe vhost_net" },
		{ EACCES, "as root: give yourself leave" },
		{ EMFILE, "vhost=off does without" },
	};
	uint64_t features;
	int fd;

	for (unsigned int i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		open_error = answers[i].error;
		ck_fails(vhost_open(&fd, &features, &e), -answers[i].error, answers[i].words);
	}
}
END_TEST

START_TEST(what_the_kernel_can_do_is_asked_once_it_is_open)
{
	uint64_t features;
	int fd;

	ck_ok(vhost_open(&fd, &features, &e));
	ck_assert_uint_eq(features, UINT64_C(0x123400000000));
	close(fd);
	fail_at = n_calls + 1;
	ck_fails(vhost_open(&fd, &features, &e), -EIO, "VHOST_GET_FEATURES");
	ck_assert_int_eq(fd, -1);
}
END_TEST

START_TEST(the_kernel_gets_an_owner_before_it_gets_memory)
{
	static char ram[2][64];
	const struct vhost_region regions[] = { { 0, 32, ram[0] }, { 4096, 64, ram[1] } };
	const struct vhost_memory *known = (const void *)table;

	ck_ok(vhost_own(0, regions, 2, &e));
	ck_assert_uint_eq(calls[0].request, VHOST_SET_OWNER);
	ck_assert_uint_eq(calls[1].request, VHOST_SET_MEM_TABLE);
	ck_assert_uint_eq(known->nregions, 2);
	ck_assert_uint_eq(known->regions[1].guest_phys_addr, 4096);
	ck_assert_uint_eq(known->regions[1].memory_size, 64);
	ck_assert_uint_eq(known->regions[1].userspace_addr, (uintptr_t)ram[1]);
	fail_at = n_calls + 1;
	ck_fails(vhost_own(0, regions, 2, &e), -EIO, "VHOST_SET_OWNER");
	fail_at = n_calls + 2;
	ck_fails(vhost_own(0, regions, 2, &e), -EIO, "VHOST_SET_MEM_TABLE");
}
END_TEST

START_TEST(a_ring_begins_when_all_about_it_is_known)
{
	static char ram[3];
	const struct vhost_ring r = { .size = 64,
				      .base = 7,
				      .desc = &ram[0],
				      .avail = &ram[1],
				      .used = &ram[2],
				      .kick_fd = 11,
				      .call_fd = 12,
				      .err_fd = 13 };

	ck_assert_int_eq(vhost_start_ring(0, VHOST_SEND, &r, 99), 0);
	ck_assert_uint_eq(n_calls, 7);
	ck_assert_uint_eq(calls[0].request, VHOST_SET_VRING_NUM);
	ck_assert_uint_eq(calls[0].arg.state.num, 64);
	ck_assert_uint_eq(calls[1].request, VHOST_SET_VRING_BASE);
	ck_assert_uint_eq(calls[1].arg.state.num, 7);
	ck_assert_uint_eq(calls[2].request, VHOST_SET_VRING_ADDR);
	ck_assert_uint_eq(calls[2].arg.addr.desc_user_addr, (uintptr_t)&ram[0]);
	ck_assert_uint_eq(calls[2].arg.addr.avail_user_addr, (uintptr_t)&ram[1]);
	ck_assert_uint_eq(calls[2].arg.addr.used_user_addr, (uintptr_t)&ram[2]);
	ck_assert_uint_eq(calls[2].arg.addr.flags, 0);
	for (unsigned int i = 0; i < 7; i++)
		ck_assert_uint_eq(calls[i].arg.state.index, VHOST_SEND);
	for (unsigned int i = 3; i < 6; i++)
		ck_assert_int_eq(calls[i].arg.file.fd, calls[i].request == VHOST_SET_VRING_KICK ? 11
						       : calls[i].request == VHOST_SET_VRING_CALL
							       ? 12
							       : 13);
	ck_assert_uint_eq(calls[6].request, VHOST_NET_SET_BACKEND);
	ck_assert_int_eq(calls[6].arg.file.fd, 99);
}
END_TEST

START_TEST(a_ring_of_which_anything_is_refused_does_not_begin)
{
	const struct vhost_ring r = { .size = 64 };

	for (unsigned int at = 1; at <= 7; at++) {
		n_calls = 0;
		fail_at = at;
		ck_assert_int_eq(vhost_start_ring(0, VHOST_SEND, &r, 99), -EIO);
		ck_assert_uint_eq(n_calls, at);
	}
}
END_TEST

START_TEST(a_ring_is_taken_back_before_it_is_asked_how_far_it_has_come)
{
	ck_assert_uint_eq(vhost_stop_ring(0, VHOST_RECEIVE), 4711);
	ck_assert_uint_eq(calls[0].request, VHOST_NET_SET_BACKEND);
	ck_assert_int_eq(calls[0].arg.file.fd, -1);
	ck_assert_uint_eq(calls[0].arg.file.index, VHOST_RECEIVE);
	ck_assert_uint_eq(calls[1].request, VHOST_GET_VRING_BASE);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("vhost");

	UNIT_TEST(s, a_device_that_is_missing_or_shut_is_told_with_the_remedy);
	UNIT_TEST(s, what_the_kernel_can_do_is_asked_once_it_is_open);
	UNIT_TEST(s, the_kernel_gets_an_owner_before_it_gets_memory);
	UNIT_TEST(s, a_ring_begins_when_all_about_it_is_known);
	UNIT_TEST(s, a_ring_of_which_anything_is_refused_does_not_begin);
	UNIT_TEST(s, a_ring_is_taken_back_before_it_is_asked_how_far_it_has_come);
	return s;
}

UNIT_MAIN("vhost", suite)
