/*
 * privileges.c - groups, user, capabilities, and what keeps them from coming back.
 *
 * Life of a VM: from jail_enter(); the last limits once all threads are there. Main thread, and the
 * only one until then: all of this but the limits is of a thread.
 *
 * Source: credentials(7), capabilities(7), prctl(2), setrlimit(2).
 */
#include "layers.h"
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <vmm/base/util.h>

/*
 * A number that is nobody's, each VM with its own: no files, no other processes. Above what systemd
 * hands out (systemd.io, "Users, Groups, UIDs and GIDs"), with room for 2^22 process numbers.
 */
#define FIRST_UID 0x70000000u
#define NOBODY 65534u /* where a container has no such numbers */
#define MORE_BYTES (64 * MIB) /* beyond what the process has when the guest starts */
#define MORE_FDS 64u /* clients of sockets, and what the broker hands over */

int drop_groups(struct jail *j)
{
	if (!j->as_root)
		return 0; /* a user cannot, nor does he need to: user_namespaces(7) */
	return setgroups(0, NULL) < 0 ? -errno : 0;
}

static int become(uid_t id)
{
	if (setresgid(id, id, id) < 0 || setresuid(id, id, id) < 0)
		return -errno;
	return 0;
}

int become_nobody(struct jail *j)
{
	int rc;

	if (!j->as_root)
		return 0; /* is an ordinary user, and stays that one */
	rc = become(FIRST_UID + j->number);
	return rc == -EINVAL ? become(NOBODY) : rc;
}

/* None in any set, none to be had by a program or by being root. */
int drop_capabilities(struct jail *j)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { { 0 } };

	(void)j;
	for (unsigned int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		(void)prctl(PR_CAPBSET_DROP, cap, 0, 0, 0); /* EPERM: there is no power to do so */
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	(void)prctl(PR_SET_SECUREBITS,
		    SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
			    SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
			    SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED,
		    0, 0, 0);
	return syscall(SYS_capset, &head, none) < 0 ? -errno : 0;
}

int set_no_new_privileges(struct jail *j)
{
	(void)j;
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
}

/* No core dump, nobody traces us, /proc/PID is root's. */
int set_undumpable(struct jail *j)
{
	(void)j;
	return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ? -errno : 0;
}

static int limit(__rlimit_resource_t what, rlim_t most)
{
	struct rlimit r;

	if (getrlimit(what, &r) < 0)
		return -errno;
	r.rlim_cur = r.rlim_max = r.rlim_max < most ? r.rlim_max : most;
	return setrlimit(what, &r) < 0 ? -errno : 0;
}

int set_first_limits(struct jail *j)
{
	int rc = limit(RLIMIT_CORE, 0);

	(void)j;
	if (rc == 0)
		rc = limit(RLIMIT_MSGQUEUE, 0);
	if (rc == 0)
		rc = limit(RLIMIT_SIGPENDING, 1024);
	return rc;
}

/* In bytes; 0: not known. The first number in statm is of pages: proc(5). */
static uint64_t address_space(const struct jail *j)
{
	char text[64] = "";

	if (j->statm_fd < 0 || pread(j->statm_fd, text, sizeof(text) - 1, 0) <= 0)
		return 0;
	return strtoull(text, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* The lowest number that is free says how many there are, but for holes. statm's becomes one. */
static int limit_fds(struct jail *j)
{
	rlim_t more = MORE_FDS;
	int fd = dup(0), error = errno;

	if (j->statm_fd >= 0) {
		close(j->statm_fd);
		j->statm_fd = -1;
		more--;
	}
	if (fd < 0)
		return -error;
	close(fd);
	return limit(RLIMIT_NOFILE, (rlim_t)fd + more);
}

/*
 * Not RLIMIT_NPROC: KVM and io_uring have threads of their own, which the kernel starts in our
 * name, and late. That we start none is seccomp's.
 */
int set_last_limits(struct jail *j)
{
	uint64_t bytes = address_space(j);
	int rc = limit_fds(j);

	if (rc == 0 && bytes > 0)
		rc = limit(RLIMIT_AS, bytes + MORE_BYTES);
	return rc;
}
