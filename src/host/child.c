/*
 * child.c - a helper process.
 *
 * Life of a VM: started while devices are made, ended with them. Between fork() and exec() nothing
 * but system calls happens, so that it does not matter which other threads there are. What is done
 * later names it by its pidfd, so it hits no other process, and needs no kill(2).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vmm/base/util.h>
#include <vmm/host/child.h>

#define GO_MS 2000 /* for one that we may not end to do so by itself */

/* What the child needs between fork() and exec(); fail_fd takes an errno. */
struct setup {
	const char *const *argv;
	int null_fd, err_fd, fd, fail_fd;
	pid_t parent;
};

/* Moves the descriptors to 0, 1, 2, 3 and 4; first out of each other's way. */
static bool arrange(struct setup *s)
{
	int *const fds[] = { &s->null_fd, &s->null_fd, &s->err_fd, &s->fd, &s->fail_fd };

	for (unsigned int i = 1; i < ARRAY_SIZE(fds); i++) {
		int fd = fcntl(*fds[i], F_DUPFD_CLOEXEC, (int)ARRAY_SIZE(fds));

		if (fd < 0) /* fail_fd stays, to tell so */
			return false;
		*fds[i] = fd;
	}
	for (int i = 0; i < (int)ARRAY_SIZE(fds); i++) {
		if (dup2(*fds[i], i) < 0)
			return false;
	}
	s->fail_fd = CHILD_FD + 1;
	if (fcntl(s->fail_fd, F_SETFD, FD_CLOEXEC) <
	    0) /* else our parent waits for its end in vain */
		return false;
	/* By number: nothing is left open that the program was not given. */
	return syscall(SYS_close_range, s->fail_fd + 1, ~0u, CLOSE_RANGE_CLOEXEC) == 0 ||
	       errno == ENOSYS || errno == EINVAL;
}

static void become(struct setup *s)
{
	sigset_t none;

	setsid();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != s->parent) /* it was quicker than that call */
		return;
	for (int signo = 1; signo < NSIG; signo++)
		signal(signo, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (arrange(s))
		execvp(s->argv[0], (char *const *)(uintptr_t)s->argv);
}

static pid_t fork_exec(struct setup *s)
{
	pid_t pid = fork();
	int error;

	if (pid != 0)
		return pid;
	become(s);
	error = errno;
	/* Nobody is left to be told of an error in telling an error. */
	(void)!write(s->fail_fd, &error, sizeof(error));
	_Exit(127);
}

static void close_all(const int *fds, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
	}
}

/* Waits for exec(): then the pipe closes without a word. */
static int wait_for_exec(struct child *c, int fail_fd, const char *name, struct err *e)
{
	int error;
	ssize_t n;

	do {
		n = read(fail_fd, &error, sizeof(error));
	} while (n < 0 && errno == EINTR);
	if (n == 0)
		return 0;
	if (n < 0)
		error = errno;
	child_stop(c);
	errno = error;
	return err_errno(e, "%s", name);
}

int child_start(struct child *c, const char *const *argv, int fd, struct err *e)
{
	int err_pipe[2] = { -1, -1 }, fail_pipe[2] = { -1, -1 }, null_fd;
	struct setup s;
	int rc;

	*c = (struct child){ .pid_fd = -1, .err_fd = -1 };
	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null_fd < 0 || pipe2(err_pipe, O_CLOEXEC) < 0 || pipe2(fail_pipe, O_CLOEXEC) < 0) {
		rc = err_errno(e, "%s", argv[0]);
		goto out;
	}
	s = (struct setup){ argv, null_fd, err_pipe[1], fd, fail_pipe[1], getpid() };
	c->pid = fork_exec(&s);
	if (c->pid < 0) {
		c->pid = 0;
		rc = err_errno(e, "%s: fork", argv[0]);
		goto out;
	}
	c->pid_fd = (int)syscall(SYS_pidfd_open, c->pid, 0);
	if (c->pid_fd >= 0)
		fcntl(c->pid_fd, F_SETFD, FD_CLOEXEC);
	c->err_fd = err_pipe[0];
	err_pipe[0] = -1;
	fcntl(c->err_fd, F_SETFL, O_NONBLOCK);
	close(fail_pipe[1]);
	fail_pipe[1] = -1;
	rc = wait_for_exec(c, fail_pipe[0], argv[0], e);
out:
	close_all(err_pipe, 2);
	close_all(fail_pipe, 2);
	close_all(&null_fd, 1);
	return rc;
}

/* The newest bytes stay. false: nothing more comes, now or (end of file) ever. */
static bool take_words(struct child *c)
{
	char buf[512];
	ssize_t n = read(c->err_fd, buf, sizeof(buf));
	size_t keep;

	if (n < 0)
		return errno == EINTR;
	if (n == 0) {
		evloop_del(&c->ev_err); /* or the loop would spin on it */
		return false;
	}
	keep = min_size(c->n_words, CHILD_WORDS - (size_t)n);
	memmove(c->words, c->words + c->n_words - keep, keep);
	memcpy(c->words + keep, buf, (size_t)n);
	c->n_words = keep + (size_t)n;
	c->words[c->n_words] = '\0';
	return true;
}

static void on_words(void *arg, uint32_t events)
{
	(void)events;
	take_words(arg);
}

bool child_has_ended(struct child *c)
{
	if (c->pid == 0)
		return true;
	if (waitpid(c->pid, &c->status, WNOHANG) != c->pid)
		return false;
	c->pid = 0;
	while (take_words(c))
		;
	return true;
}

static void on_end(void *arg, uint32_t events)
{
	struct child *c = arg;

	(void)events;
	if (!child_has_ended(c))
		return;
	evloop_del(&c->ev_end);
	c->ended(c->arg);
}

int child_watch(struct child *c, struct evloop *l, void (*ended)(void *arg), void *arg,
		struct err *e)
{
	int rc = c->pid_fd < 0 ? -ENOSYS : 0;

	c->ended = ended;
	c->arg = arg;
	if (rc == 0)
		rc = evloop_add(l, &c->ev_end, c->pid_fd, EPOLLIN, on_end, c);
	if (rc == 0)
		rc = evloop_add(l, &c->ev_err, c->err_fd, EPOLLIN, on_words, c);
	errno = -rc;
	return rc < 0 ? err_errno(e, "watching a process") : 0;
}

/* By number only where there is no pidfd: before child_watch(), on an old kernel. */
static bool send_kill(const struct child *c)
{
	if (c->pid_fd < 0)
		return kill(c->pid, SIGKILL) == 0;
	return syscall(SYS_pidfd_send_signal, c->pid_fd, SIGKILL, NULL, 0) == 0;
}

/* One that has become another user, while we have no power any more, may go by itself or not. */
static bool has_gone_by_itself(const struct child *c)
{
	struct pollfd p = { .fd = c->pid_fd, .events = POLLIN };

	return poll(&p, 1, GO_MS) > 0;
}

static void end(const struct child *c)
{
	if (!send_kill(c) && errno == EPERM && !has_gone_by_itself(c))
		return;
	while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
		;
}

void child_stop(struct child *c)
{
	if (c->pid > 0)
		end(c);
	evloop_del(&c->ev_end);
	evloop_del(&c->ev_err);
	if (c->pid_fd > 0)
		close(c->pid_fd);
	if (c->err_fd > 0)
		close(c->err_fd);
	c->pid = 0;
	c->pid_fd = c->err_fd = -1;
}
