/*
 * emergency.c - the last acts of a dying VMM.
 *
 * Life of a VM: registered when a console or port opens, undone when it closes, or by the handlers
 * of signals.c when a signal or a bug of ours ends the process first. SIGKILL gets past those, and
 * a process in its jail has no paths any more: so a guard, a process beside it that sleeps until
 * the other ends, undoes what is left in any case. The table is in memory that the two share, until
 * the VM's process goes to jail: whoever breaks into that one must not choose what the guard
 * removes.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <vmm/base/log.h>
#include <vmm/host/emergency.h>

struct path {
	atomic_bool kept; /* set last, cleared first */
	bool is_folder;
	dev_t dev;
	ino_t ino;
	char text[EMERGENCY_PATH_MAX];
};

struct undo {
	atomic_bool has_terminal; /* set last, cleared first */
	int fd;
	struct termios saved;
	struct path paths[EMERGENCY_MAX_PATHS];
};

static struct undo own, *undo = &own; /* or what is shared with the guard */

static struct {
	pid_t pid; /* 0: there is none */
	int fd; /* it ends when nobody has this any more */
} guard = { 0, -1 };

void emergency_keep_terminal(int fd, const struct termios *saved)
{
	undo->fd = fd;
	undo->saved = *saved;
	atomic_store(&undo->has_terminal, true);
}

static int keep(const char *path, bool is_folder)
{
	struct stat st = { 0 };

	for (int i = 0; i < (int)EMERGENCY_MAX_PATHS; i++) {
		struct path *p = &undo->paths[i];

		if (atomic_load(&p->kept))
			continue;
		strncpy(p->text, path, sizeof(p->text) - 1);
		if (lstat(path, &st) < 0)
			st.st_ino = 0; /* whatever will be there */
		p->is_folder = is_folder;
		p->dev = st.st_dev;
		p->ino = st.st_ino;
		atomic_store(&p->kept, true);
		return i;
	}
	return -1;
}

int emergency_keep_unlink(const char *path)
{
	return keep(path, false);
}

int emergency_keep_rmdir(const char *path)
{
	return keep(path, true);
}

void emergency_undo_terminal(void)
{
	if (!atomic_exchange(&undo->has_terminal, false))
		return;
	/* Not TCSAFLUSH: what the user has typed ahead is the shell's. Not TCSADRAIN: that may
	 * wait. */
	tcsetattr(undo->fd, TCSANOW, &undo->saved);
	log_set_raw(false);
}

/* Unless somebody has put another one in its place. */
static void remove_path(const struct path *p)
{
	struct stat st;

	if (p->ino && lstat(p->text, &st) == 0 && (st.st_dev != p->dev || st.st_ino != p->ino))
		return;
	if (p->is_folder)
		rmdir(p->text);
	else
		unlink(p->text);
}

void emergency_undo_unlink(int id)
{
	if (id >= 0 && atomic_exchange(&undo->paths[id].kept, false))
		remove_path(&undo->paths[id]);
}

void emergency_undo(void)
{
	emergency_undo_terminal();
	for (int i = 0; i < (int)EMERGENCY_MAX_PATHS; i++)
		emergency_undo_unlink(i);
}

/* The guard ---------------------------------------------------------------------------------- */

/* A cgroup goes only when the last process in it has gone, which is told to nobody: so it tries for
 * a while. */
static void undo_patiently(void)
{
	const struct timespec pause = { .tv_nsec = 10000000 };

	emergency_undo_terminal();
	for (int i = 0; i < (int)EMERGENCY_MAX_PATHS; i++) {
		struct path *p = &undo->paths[i];

		if (!atomic_load(&p->kept))
			continue;
		for (int n = 0; n < 100 && p->is_folder && rmdir(p->text) < 0 && errno == EBUSY;
		     n++)
			nanosleep(&pause, NULL);
		emergency_undo_unlink(i);
	}
}

/* Nobody's signals, nobody's descriptors but the terminal's and the one that it waits for. */
__attribute__((noreturn)) static void be_guard(int fd)
{
	sigset_t all;
	char byte;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	setsid();
	prctl(PR_SET_NAME, "vmm-guard", 0, 0, 0);
	if (dup2(fd, STDERR_FILENO + 1) >= 0) {
		fd = STDERR_FILENO + 1;
		syscall(SYS_close_range, STDERR_FILENO + 2, ~0u, 0);
	}
	while (read(fd, &byte, 1) < 0 && errno == EINTR)
		;
	undo_patiently();
	_Exit(0);
}

int emergency_guard_start(struct err *e)
{
	struct undo *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int fds[2];

	if (shared == MAP_FAILED)
		return err_errno(e, "the guard's memory");
	if (pipe2(fds, O_CLOEXEC) < 0) {
		err_errno(e, "the guard's pipe");
		munmap(shared, sizeof(*shared));
		return e->code;
	}
	undo = shared;
	guard.pid = fork();
	if (guard.pid == 0) {
		close(fds[1]);
		be_guard(fds[0]);
	}
	close(fds[0]);
	guard.fd = fds[1];
	if (guard.pid > 0)
		return 0;
	guard.pid = 0;
	err_errno(e, "the guard: fork");
	emergency_guard_end();
	return e->code;
}

void emergency_guard_end(void)
{
	emergency_guard_leave();
	if (guard.pid > 0) {
		while (waitpid(guard.pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	guard.pid = 0;
	emergency_undo(); /* should it have been killed itself */
	emergency_seal();
}

void emergency_guard_leave(void)
{
	if (guard.fd >= 0)
		close(guard.fd);
	guard.fd = -1;
}

void emergency_seal(void)
{
	struct undo *shared = undo;

	if (shared == &own)
		return;
	own.fd = shared->fd;
	own.saved = shared->saved;
	own.has_terminal = atomic_load(&shared->has_terminal);
	undo = &own;
	munmap(shared, sizeof(*shared));
}
