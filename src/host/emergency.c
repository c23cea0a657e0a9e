/*
 * emergency.c - the last acts of a dying VMM.
 *
 * Life of a VM: registered when a console or port opens, undone when it closes, or by the handlers
 * of signals.c when a signal or a bug of ours ends the process first. SIGKILL alone gets past it.
 */
#include <stdatomic.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>
#include <vmm/base/log.h>
#include <vmm/host/emergency.h>

struct path {
	atomic_bool kept; /* set last, cleared first */
	char text[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
};

static struct {
	atomic_bool has_terminal; /* set last, cleared first */
	int fd;
	struct termios saved;
	struct path paths[EMERGENCY_MAX_PATHS];
} undo;

void emergency_keep_terminal(int fd, const struct termios *saved)
{
	undo.fd = fd;
	undo.saved = *saved;
	atomic_store(&undo.has_terminal, true);
}

int emergency_keep_unlink(const char *path)
{
	for (int i = 0; i < (int)EMERGENCY_MAX_PATHS; i++) {
		struct path *p = &undo.paths[i];

		if (atomic_load(&p->kept))
			continue;
		strncpy(p->text, path, sizeof(p->text) - 1);
		atomic_store(&p->kept, true);
		return i;
	}
	return -1;
}

void emergency_undo_terminal(void)
{
	if (!atomic_exchange(&undo.has_terminal, false))
		return;
	/* Not TCSAFLUSH: what the user has typed ahead is the shell's. Not TCSADRAIN: that may
	 * wait. */
	tcsetattr(undo.fd, TCSANOW, &undo.saved);
	log_set_raw(false);
}

void emergency_undo_unlink(int id)
{
	if (id >= 0 && atomic_exchange(&undo.paths[id].kept, false))
		unlink(undo.paths[id].text);
}

void emergency_forget_unlink(int id)
{
	if (id >= 0)
		atomic_store(&undo.paths[id].kept, false);
}

void emergency_undo(void)
{
	emergency_undo_terminal();
	for (int i = 0; i < (int)EMERGENCY_MAX_PATHS; i++)
		emergency_undo_unlink(i);
}
