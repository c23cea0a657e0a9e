/*
 * emergency.c - the last acts of a dying VMM.
 *
 * Life of a VM: registered when the console opens, undone when it closes, or by the handlers of
 * signals.c when a signal or a bug of ours ends the process first. SIGKILL alone gets past it.
 */
#include <stdatomic.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>
#include <vmm/base/log.h>
#include <vmm/host/emergency.h>

static struct {
	atomic_bool has_terminal, has_path; /* set last, cleared first */
	int fd;
	struct termios saved;
	char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
} undo;

void emergency_keep_terminal(int fd, const struct termios *saved)
{
	undo.fd = fd;
	undo.saved = *saved;
	atomic_store(&undo.has_terminal, true);
}

void emergency_keep_unlink(const char *path)
{
	strncpy(undo.path, path, sizeof(undo.path) - 1);
	atomic_store(&undo.has_path, true);
}

void emergency_undo(void)
{
	if (atomic_exchange(&undo.has_terminal, false)) {
		/* Not TCSAFLUSH: what the user has typed ahead is the shell's. Not TCSADRAIN: that
		 * may wait. */
		tcsetattr(undo.fd, TCSANOW, &undo.saved);
		log_set_raw(false);
	}
	if (atomic_exchange(&undo.has_path, false))
		unlink(undo.path);
}
