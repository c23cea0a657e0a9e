/*
 * broker.c - the process outside: forks the VM's, serves it, outlives it.
 *
 * Life of a VM: broker_fork() when the options have been checked and before anything is opened;
 * then this process waits in broker_serve() until the other one has ended. Its memory is what it
 * was at the fork; it reads nothing of the guest's, and of the VM's nothing but messages of fixed
 * size.
 */
#include "layers.h"
#include <errno.h>
#include <limits.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vmm/base/log.h>
#include <vmm/base/util.h>
#include <vmm/host/emergency.h>
#include <vmm/host/evloop.h>
#include <vmm/host/signals.h>
#include <vmm/jail/broker.h>

#define LOG_JOB UINT32_MAX /* no job: a descriptor that tells of a thread's calls */
#define END_NS (10 * NS_PER_S)
#define N_SEEN 512u /* calls are told once for each thread and number */

struct request {
	uint32_t job, is_request; /* 1; so that no jail_denial looks like one */
	uint64_t value;
	char thread[JAIL_NAME]; /* LOG_JOB */
};
_Static_assert(sizeof(struct request) != sizeof(struct jail_denial), "told apart by their size");

struct answer {
	int32_t rc;
};

struct broker_log {
	int fd;
	char thread[JAIL_NAME];
	uint64_t seen[N_SEEN / 64];
};

/* Messages ----------------------------------------------------------------------------------- */

/* fd: goes along, unless it is -1. flags: MSG_DONTWAIT, or 0. */
static int send_message(int to, void *data, size_t len, int fd, int flags)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec iov = { data, len };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fd >= 0) {
		m.msg_control = &control;
		m.msg_controllen = sizeof(control);
		control.head = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)),
						 .cmsg_level = SOL_SOCKET,
						 .cmsg_type = SCM_RIGHTS };
		memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
	}
	while (sendmsg(to, &m, flags | MSG_NOSIGNAL) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return 0;
}

/* Bytes that were sent, perhaps more than len; 0 at the end, or -errno. *fd: what came, or -1. */
static ssize_t receive_message(int from, void *data, size_t len, int *fd)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = { data, len };
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = &control,
			    .msg_controllen = CMSG_LEN(sizeof(int)) }; /* one, and no second one */
	struct cmsghdr *c;
	ssize_t n;

	*fd = -1;
	/* ECONNRESET comes once, of one that has gone with answers unread: what it had said is
	 * still there. */
	do {
		n = recvmsg(from, &m, MSG_CMSG_CLOEXEC | MSG_TRUNC);
	} while (n < 0 && (errno == EINTR || errno == ECONNRESET));
	c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
	    c->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(fd, CMSG_DATA(c), sizeof(*fd));
	return n < 0 ? -errno : n;
}

/* In the VM ---------------------------------------------------------------------------------- */

int broker_ask(const struct broker *b, unsigned int job, uint64_t value, int *give)
{
	struct request r = { .job = job, .is_request = 1, .value = value };
	struct answer a = { 0 };
	int fd, rc = send_message(b->fd, &r, sizeof(r), -1, 0);
	ssize_t n;

	if (rc < 0)
		return rc;
	n = receive_message(b->fd, &a, sizeof(a), &fd);
	if (n != (ssize_t)sizeof(a))
		return n < 0 ? (int)n : -EPIPE;
	if (give)
		*give = fd;
	else if (fd >= 0)
		close(fd);
	return a.rc;
}

int broker_give_logs(const struct broker *b, struct jail *j)
{
	int rc = 0;

	for (unsigned int i = 0; i < j->n_logs && rc == 0; i++) {
		struct request r = { .job = LOG_JOB, .is_request = 1 };

		memcpy(r.thread, j->logs[i].thread, sizeof(r.thread));
		rc = send_message(b->fd, &r, sizeof(r), j->logs[i].fd, 0);
		close(j->logs[i].fd);
	}
	j->n_logs = 0;
	return rc;
}

/* In the broker ------------------------------------------------------------------------------ */

/* It goes to the user's terminal, and whoever has sent it may not be who we think. */
static void make_printable(char name[JAIL_NAME])
{
	name[JAIL_NAME - 1] = '\0';
	for (char *p = name; *p; p++) {
		if (*p < ' ' || *p > '~')
			*p = '?';
	}
}

static void add_log(struct broker *b, const struct request *r, int fd)
{
	struct broker_log *more = NULL;

	if (fd >= 0 && b->takes_logs && b->n_logs < BROKER_MAX_LOGS)
		more = realloc(b->logs, (b->n_logs + 1) * sizeof(*more));
	if (!more) {
		if (fd >= 0) /* whoever waits for it gets ENOSYS */
			close(fd);
		return;
	}
	b->logs = more;
	b->logs[b->n_logs] = (struct broker_log){ .fd = fd };
	memcpy(b->logs[b->n_logs].thread, r->thread, JAIL_NAME);
	make_printable(b->logs[b->n_logs++].thread);
}

static void do_job(struct broker *b, const struct request *r)
{
	struct answer a = { .rc = -EINVAL };
	int rc, give = -1;

	if (r->job < b->n_jobs)
		a.rc = b->jobs[r->job].fn(b->jobs[r->job].arg, r->value, &give);
	/* It does not listen, for which nobody waits, as signals come here, too; or memory has run
	 * out. So that it does not wait either, there are no more answers. */
	rc = send_message(b->fd, &a, sizeof(a), give, MSG_DONTWAIT);
	if (rc < 0 && rc != -EPIPE)
		log_error("an answer to the VM: %s", strerror(-rc));
	if (rc < 0)
		shutdown(b->fd, SHUT_WR);
	if (give >= 0)
		close(give);
}

/* false: nothing more will come. */
static bool take_message(struct broker *b, struct broker_end *end)
{
	union {
		struct request request;
		struct jail_denial denial;
	} m;
	int fd;
	ssize_t n = receive_message(b->fd, &m, sizeof(m), &fd);

	if (n == (ssize_t)sizeof(m.denial)) {
		end->was_denied = true;
		end->denial = m.denial;
		make_printable(end->denial.thread);
	} else if (n == (ssize_t)sizeof(m.request) && m.request.job == LOG_JOB) {
		add_log(b, &m.request, fd);
		fd = -1;
	} else if (n == (ssize_t)sizeof(m.request)) {
		do_job(b, &m.request);
	} else if (n < 0) {
		log_error("a message of the VM: %s", strerror((int)-n));
	}
	if (fd >= 0)
		close(fd);
	return n > 0;
}

static void tell_log(struct broker_log *l, const struct seccomp_notif *n)
{
	struct jail_denial d = { .number = n->data.nr, .arch = n->data.arch };
	unsigned int nr = (unsigned int)n->data.nr % N_SEEN;
	char call[256];

	if (l->seen[nr / 64] >> nr % 64 & 1)
		return;
	l->seen[nr / 64] |= UINT64_C(1) << nr % 64;
	memcpy(d.args, n->data.args, sizeof(d.args));
	jail_describe_call(&d, call, sizeof(call));
	log_say("jail: thread %s called %s: not on its list, let through (--jail log)", l->thread,
		call);
}

/* false: the thread has ended. */
static bool take_log(struct broker_log *l)
{
	struct seccomp_notif n;
	struct seccomp_notif_resp go_on = { .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE };

	memset(&n, 0, sizeof(n)); /* the kernel wants it so */
	if (ioctl(l->fd, SECCOMP_IOCTL_NOTIF_RECV, &n) < 0)
		return errno == EINTR || errno == ENOENT;
	tell_log(l, &n);
	go_on.id = n.id;
	(void)ioctl(l->fd, SECCOMP_IOCTL_NOTIF_SEND, &go_on); /* ENOENT: the thread has gone */
	return true;
}

/*
 * A key on the terminal, or a new size of it, reaches the VM by itself. Its hang-up does only if we
 * do not lead its session: then it is ours alone.
 */
static bool has_reached_vm(const struct signalfd_siginfo *info)
{
	int signo = (int)info->ssi_signo;

	if (info->ssi_code != SI_KERNEL)
		return false;
	return signo == SIGINT || signo == SIGQUIT || signo == SIGWINCH ||
	       (signo == SIGHUP && getsid(0) != getpid());
}

/* As init of its PID namespace the VM is not stopped by a key, nor by SIGTSTP; by us it is. */
static void stop_both(const struct broker *b)
{
	kill(b->pid, SIGSTOP);
	raise(SIGSTOP);
	kill(b->pid, SIGCONT);
}

/* A VM that is asked to end has so long. It may be in a stranger's hands. */
static void expect_end(struct broker *b, int signo)
{
	if (signo != SIGUSR1 && signo != SIGPWR && signo != SIGWINCH && !b->kill_at_ns)
		b->kill_at_ns = evloop_now_ns() + END_NS;
}

/* true: the VM has ended. */
static bool take_signal(struct broker *b, struct broker_end *end)
{
	struct signalfd_siginfo info;

	if (read(b->signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return false;
	if (info.ssi_signo == SIGCHLD)
		return waitpid(b->pid, &end->status, WNOHANG) == b->pid;
	if (info.ssi_signo == SIGTSTP) {
		stop_both(b);
		return false;
	}
	expect_end(b, (int)info.ssi_signo);
	if (!has_reached_vm(&info)) /* told apart from one that somebody else sends to it */
		sigqueue(b->pid, (int)info.ssi_signo, (union sigval){ 0 });
	return false;
}

static int wait_ms(const struct broker *b)
{
	uint64_t now = evloop_now_ns();

	if (!b->kill_at_ns)
		return -1;
	return b->kill_at_ns <= now ? 0
				    : (int)min_u64((b->kill_at_ns - now) / NS_PER_MS + 1, INT_MAX);
}

/* In the order of their importance: signals, the VM, its threads' calls. */
static bool serve_once(struct broker *b, struct pollfd *p, struct broker_end *end)
{
	p[0] = (struct pollfd){ .fd = b->signal_fd, .events = POLLIN };
	p[1] = (struct pollfd){ .fd = b->fd, .events = POLLIN };
	for (unsigned int i = 0; i < b->n_logs; i++)
		p[2 + i] = (struct pollfd){ .fd = b->logs[i].fd, .events = POLLIN };
	if (poll(p, 2 + b->n_logs, wait_ms(b)) < 0)
		return false;
	if (b->kill_at_ns && evloop_now_ns() >= b->kill_at_ns) {
		end->was_killed = true;
		b->kill_at_ns = 0;
		kill(b->pid, SIGKILL);
	}
	/* Backwards: a message may add one. */
	for (unsigned int i = b->n_logs; i-- > 0;) {
		if (p[2 + i].revents && !take_log(&b->logs[i])) {
			close(b->logs[i].fd);
			b->logs[i] = b->logs[--b->n_logs];
		}
	}
	if (p[1].revents && !take_message(b, end)) {
		close(b->fd);
		b->fd = -1;
	}
	return p[0].revents && take_signal(b, end);
}

int broker_serve(struct broker *b, struct broker_end *end, struct err *e)
{
	struct pollfd *p = NULL;
	bool ended = false;

	*end = (struct broker_end){ 0 };
	while (!ended) {
		struct pollfd *more = realloc(p, (2 + b->n_logs) * sizeof(*p));

		if (!more) {
			kill(b->pid, SIGKILL);
			waitpid(b->pid, &end->status, 0);
			free(p);
			return err_set(e, -ENOMEM, "waiting for the VM: out of memory");
		}
		p = more;
		ended = serve_once(b, p, end);
	}
	/* What it had said last may still be on its way. */
	while (b->fd >= 0 && poll(&(struct pollfd){ .fd = b->fd, .events = POLLIN }, 1, 0) > 0) {
		if (!take_message(b, end))
			break;
	}
	free(p);
	return 0;
}

/* Two ---------------------------------------------------------------------------------------- */

static void broker_signals(sigset_t *set)
{
	signals_watched(set);
	sigaddset(set, SIGCHLD);
	sigaddset(set, SIGTSTP);
}

static int outside(struct broker *b, struct err *e)
{
	sigset_t set;

	broker_signals(&set);
	b->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (b->signal_fd >= 0)
		return 0;
	err_errno(e, "signalfd");
	kill(b->pid, SIGKILL);
	waitpid(b->pid, NULL, 0);
	return e->code;
}

static int inside(struct broker *b, struct jail *j, struct err *e)
{
	char byte;

	b->inside = true;
	j->report_fd = b->fd;
	emergency_guard_leave();
	signal(SIGTTIN, SIG_IGN); /* an init is not stopped by them, and would try for ever */
	signal(SIGTTOU, SIG_IGN);
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (recv(b->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0) /* it was quicker than that */
		return err_set(e, -EPIPE, "the process that waits for the VM is gone");
	return 0;
}

int broker_fork(struct broker *b, struct jail *j, const struct broker_job *jobs, unsigned int n,
		struct err *e)
{
	sigset_t set, before;
	int pair[2];

	*b = (struct broker){ .fd = -1,
			      .signal_fd = -1,
			      .jobs = jobs,
			      .n_jobs = n,
			      .takes_logs = j->mode == JAIL_LOG };
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_errno(e, "a socket to the VM");
	/* Before there is somebody whose end could be missed. */
	broker_signals(&set);
	sigprocmask(SIG_BLOCK, &set, &before);
	b->pid = fork_apart(j);
	if (b->pid <= 0)
		sigprocmask(SIG_SETMASK, &before, NULL);
	if (b->pid < 0) {
		err_errno(e, "the VM's process: fork");
		close(pair[0]);
		close(pair[1]);
		return e->code;
	}
	b->fd = pair[b->pid == 0];
	close(pair[b->pid != 0]);
	return b->pid == 0 ? inside(b, j, e) : outside(b, e);
}

void broker_fini(struct broker *b)
{
	sigset_t set;

	if (b->fd >= 0)
		close(b->fd);
	if (b->signal_fd >= 0) {
		close(b->signal_fd);
		broker_signals(&set);
		sigprocmask(SIG_UNBLOCK, &set, NULL);
	}
	for (unsigned int i = 0; i < b->n_logs; i++)
		close(b->logs[i].fd);
	free(b->logs);
	*b = (struct broker){ .fd = -1, .signal_fd = -1 };
}
