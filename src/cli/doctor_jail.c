/*
 * doctor_jail.c - the part of `vmm doctor --jail` that finds out which layers of the jail hold on
 * this host: by going there.
 *
 * Life of a VM: before there is one. A process is made as for a VM, goes to jail with nothing to
 * do, says what has failed, and ends. Main thread.
 */
#include "doctor.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vmm/jail/broker.h>
#include <vmm/jail/cgroup.h>
#include <vmm/jail/jail.h>

/* In the process that goes. */
static void go(struct jail *j, int fd)
{
	struct err e;

	if (jail_enter(j, &e) == 0 && jail_limit(j, &e) == 0)
		jail_close(j, JAIL_LOOP, "loop", &e);
	/* An error of this is an end without a word. */
	(void)!write(fd, j->failed, sizeof(j->failed));
}

static unsigned int say_layers(FILE *out, const int failed[JAIL_LAYERS])
{
	unsigned int n = 0;

	for (unsigned int l = 0; l < JAIL_LAYERS; l++) {
		const char *name = jail_layer_name((enum jail_layer)l);

		if (failed[l])
			fprintf(out, "          missing  %-26s %s\n", name, strerror(failed[l]));
		else
			fprintf(out, "          holds    %-26s %s\n", name,
				jail_layer_what((enum jail_layer)l));
		n += !failed[l];
	}
	return n;
}

static void say_limits(FILE *out)
{
	const struct cgroup_limits l = { .pids = 1000 };
	struct cgroup c = { 0 };
	struct err e;

	if (cgroup_create(&c, &l, &e) < 0)
		fprintf(out, "limits:   none by --limit: %s\n", e.text);
	else
		fprintf(out, "limits:   --limit works here\n");
	cgroup_destroy(&c);
}

static void say_result(FILE *out, unsigned int n, const int failed[JAIL_LAYERS])
{
	if (n == JAIL_LAYERS)
		fprintf(out, "jail:     all %u layers hold\n", n);
	else if (failed[LAYER_EMPTY_ROOT])
		fprintf(out,
			"jail:     %u of %u layers hold; as root, or where user namespaces are "
			"allowed (sysctl user.max_user_namespaces, kernel."
			"unprivileged_userns_clone), more would\n",
			n, (unsigned int)JAIL_LAYERS);
	else
		fprintf(out, "jail:     %u of %u layers hold\n", n, (unsigned int)JAIL_LAYERS);
}

int doctor_jail(FILE *out, bool *inside, struct err *e)
{
	struct broker_end end;
	struct broker b;
	struct jail j;
	int fds[2], rc;

	fflush(out);
	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_errno(e, "pipe");
	jail_init(&j, JAIL_ON);
	rc = broker_fork(&b, &j, NULL, 0, e);
	*inside = b.inside;
	if (rc == 0 && b.inside)
		go(&j, fds[1]);
	close(fds[1]);
	if (rc == 0 && !b.inside)
		rc = broker_serve(&b, &end, e);
	if (rc == 0 && !b.inside &&
	    read(fds[0], j.failed, sizeof(j.failed)) != (ssize_t)sizeof(j.failed))
		rc = err_set(e, -EPROTO, "the process in the jail ended without a word (%#x)",
			     (unsigned int)end.status);
	close(fds[0]);
	if (rc == 0 && !b.inside) {
		fprintf(out, "jail:     what a VM's process has given up on this host, as %s\n",
			j.as_root ? "root" : "an ordinary user");
		say_result(out, say_layers(out, j.failed), j.failed);
		say_limits(out);
	}
	broker_fini(&b);
	jail_fini(&j);
	return rc;
}
