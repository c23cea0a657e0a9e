/*
 * seccomp.c - the filters that keep each thread to its list of system calls.
 *
 * Life of a VM: the filters come with the program: calls.h says what is allowed, and libseccomp
 * made programs of that when vmm was built (tools/seccomp-filters.c). Installed by jail_enter()
 * (BUILD) and by each thread for itself. One that has closed its jail cannot open it any more, so
 * that table is all that a guest which has taken over a thread can ask of the host's kernel.
 *
 * Source: seccomp(2).
 */
#include "calls.h"
#include "layers.h"
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <vmm/base/bug.h>
#include <vmm/base/util.h>

struct program {
	const struct sock_filter *filter;
	unsigned short len;
};

/* filters[role][tells], and call_names[], by number; made by tools/seccomp-filters.c. */
#include "seccomp-filters.inc"

/* The one number that was not known when the filter was made. */
static void fill_in_ourselves(struct sock_filter *f, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		if (f[i].code == (BPF_JMP | BPF_JEQ | BPF_K) && f[i].k == OURSELVES_NUMBER)
			f[i].k = (uint32_t)getpid();
	}
}

static bool tells(const struct jail *j, enum jail_role role)
{
	return j->mode == JAIL_LOG && role != JAIL_BUILD;
}

unsigned short filter_of(const struct jail *j, enum jail_role role, struct sock_filter *f,
			 unsigned int max)
{
	const struct program *p = &filters[role][tells(j, role)];

	VMM_BUG_ON(p->len > max);
	memcpy(f, p->filter, p->len * sizeof(f[0]));
	fill_in_ourselves(f, p->len);
	return p->len;
}

int install_filter(struct jail *j, enum jail_role role, int *log_fd)
{
	struct sock_filter copy[FILTER_MAX];
	struct sock_fprog program = { .filter = copy };
	long rc;

	program.len = filter_of(j, role, copy, FILTER_MAX);
	rc = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
		     tells(j, role) ? SECCOMP_FILTER_FLAG_NEW_LISTENER : 0, &program);
	*log_fd = tells(j, role) && rc >= 0 ? (int)rc : -1;
	return rc < 0 ? -errno : 0;
}

/* Telling ------------------------------------------------------------------------------------ */

static const char *call_name(const struct jail_denial *d)
{
	if (d->arch != CALL_NAMES_ARCH || d->number < 0 || d->number >= (int)ARRAY_SIZE(call_names))
		return NULL;
	return call_names[d->number];
}

void jail_describe_call(const struct jail_denial *d, char *buf, size_t size)
{
	const char *name = call_name(d);
	char number[64];

	snprintf(number, sizeof(number), "system call %d of table %#x", d->number, d->arch);
	snprintf(buf, size, "%s(%#llx, %#llx, %#llx, %#llx, %#llx, %#llx)", name ? name : number,
		 (unsigned long long)d->args[0], (unsigned long long)d->args[1],
		 (unsigned long long)d->args[2], (unsigned long long)d->args[3],
		 (unsigned long long)d->args[4], (unsigned long long)d->args[5]);
}
