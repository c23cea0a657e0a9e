/*
 * signals.c - how Ctrl-C, kill and crashes end the VMM.
 *
 * Life of a VM: handlers from the first line of main; a signalfd on the loop while the VM runs, so
 * that the end is an event like any other; handlers again while the last output drains.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include <vmm/base/bug.h>
#include <vmm/base/util.h>
#include <vmm/host/emergency.h>
#include <vmm/host/signals.h>

/* Whatever would end a process by default and is not a crash: the terminal must be restored. */
static const int ending[] = {
	SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGALRM, SIGVTALRM, SIGXCPU, SIGUSR2
};
static const int crashing[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS };

/* What the loop has acted on last, and how it was sent; 0: nothing. */
static volatile sig_atomic_t acted_on, acted_code;

/*
 * A signal to all processes of a group, or of a name, reaches us twice: by itself, and by the
 * process that passes signals on. The second one is no wish to end more quickly.
 */
static void on_ending(int signo, siginfo_t *info, void *context)
{
	(void)context;
	if (signo == acted_on && info->si_code != acted_code) {
		acted_on = 0;
		return;
	}
	emergency_undo();
	_exit(128 + signo);
}

static void on_crash(int signo)
{
	emergency_undo();
	raise(signo); /* SA_RESETHAND: the default action, with a core dump where the user has them
		       */
}

static void on_kick(int signo)
{
	(void)signo; /* its arrival is all: KVM_RUN returns EINTR */
}

static void install(int signo, void (*fn)(int), int flags)
{
	struct sigaction sa = { .sa_handler = fn, .sa_flags = flags };

	VMM_BUG_ON(sigaction(signo, &sa, NULL) < 0);
}

static void install_ending(int signo)
{
	struct sigaction sa = { .sa_sigaction = on_ending, .sa_flags = SA_SIGINFO };

	VMM_BUG_ON(sigaction(signo, &sa, NULL) < 0);
}

static bool is_ignored(int signo)
{
	struct sigaction old;

	return sigaction(signo, NULL, &old) == 0 && old.sa_handler == SIG_IGN;
}

void signals_init(void)
{
	sigset_t none;

	/* Whoever started us may have blocked some: masks survive exec. */
	sigemptyset(&none);
	pthread_sigmask(SIG_SETMASK, &none, NULL);
	install(SIGPIPE, SIG_IGN, 0);
	install(SIGXFSZ, SIG_IGN, 0);
	install(SIGPWR, SIG_IGN, 0); /* there is no power button yet, or no longer */
	install(SIGUSR1, SIG_IGN, 0); /* nor anything to count */
	install(SIGCHLD, SIG_DFL, 0); /* who ignores it is not told of an end */
	for (unsigned int i = 0; i < ARRAY_SIZE(ending); i++) {
		if (!is_ignored(ending[i])) /* nohup and its like */
			install_ending(ending[i]);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(crashing); i++)
		install(crashing[i], on_crash, (int)SA_RESETHAND);
}

/* An ignored signal that is blocked reaches a signalfd all the same: right for SIGPWR, SIGUSR1 and
 * SIGWINCH (ignored by default), not for the others. */
void signals_watched(sigset_t *set)
{
	sigemptyset(set);
	for (unsigned int i = 0; i < ARRAY_SIZE(ending); i++) {
		if (!is_ignored(ending[i]))
			sigaddset(set, ending[i]);
	}
	sigaddset(set, SIGPWR);
	sigaddset(set, SIGUSR1);
	sigaddset(set, SIGWINCH);
}

static void on_readable(void *arg, uint32_t events)
{
	struct signalfd_siginfo info;
	struct signals *s = arg;

	(void)events;
	if (read(s->ev.fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return;
	acted_on = (int)info.ssi_signo;
	acted_code = info.ssi_code;
	s->fn(s->arg, (int)info.ssi_signo);
}

int signals_watch(struct signals *s, struct evloop *l, void (*fn)(void *arg, int signo), void *arg,
		  struct err *e)
{
	sigset_t set;
	int fd;

	signals_watched(&set);
	s->set = set;
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	s->fn = fn;
	s->arg = arg;
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd >= 0 && evloop_add(l, &s->ev, fd, EPOLLIN, on_readable, s) == 0)
		return 0;
	err_errno(e, "signalfd");
	if (fd >= 0)
		close(fd);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	return e->code;
}

void signals_unwatch(struct signals *s)
{
	if (!s->ev.loop)
		return;
	evloop_del(&s->ev);
	close(s->ev.fd);
	pthread_sigmask(SIG_UNBLOCK, &s->set, NULL);
}

void signals_kick_init(void)
{
	install(SIGNALS_KICK, on_kick, 0); /* no SA_RESTART: KVM_RUN must come back */
}
