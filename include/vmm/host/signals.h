/*
 * signals.h - signals as an orderly end: by handler before and after the loop runs, by signalfd in
 * it.
 *
 * Main thread only.
 */
#ifndef VMM_HOST_SIGNALS_H
#define VMM_HOST_SIGNALS_H
#include <signal.h>
#include <vmm/base/err.h>
#include <vmm/host/evloop.h>

/*
 * First thing in a program: SIGPIPE and SIGXFSZ are ignored (the write fails); SIGINT, SIGTERM,
 * SIGHUP and SIGQUIT end the process with status 128+N after emergency_undo(); so do crashes, by
 * their own signal. Ignored ones stay ignored. SIGPWR and SIGUSR1 are ignored while nobody watches.
 */
void signals_init(void);

struct signals { /* embedded; zeroed means "not watching" */
	struct ev_fd ev;
	sigset_t set; /* that is watched */
	void (*fn)(void *arg, int signo);
	void *arg;
};

/* From here on those signals, and SIGPWR, SIGUSR1 and SIGWINCH, reach fn on the loop. Threads made
 * later have them blocked. */
int signals_watch(struct signals *s, struct evloop *l, void (*fn)(void *arg, int signo), void *arg,
		  struct err *e);
/* Which these are, in this process: those that were ignored from the start are none. */
void signals_watched(sigset_t *set);
/* Back to what signals_init() set up. */
void signals_unwatch(struct signals *s);

/*
 * The signal that kicks a vCPU out of KVM_RUN. One that is ignored by default, so that a stray one
 * is harmless in every state of the process, and that no user sends: SIGUSR1 and SIGUSR2 are for
 * them. Not a real-time one: those are refused when the user's queue of pending signals is full.
 */
#define SIGNALS_KICK SIGURG

/* Makes it harmless, before there are vCPUs. */
void signals_kick_init(void);

#endif
