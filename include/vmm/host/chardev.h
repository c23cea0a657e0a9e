/*
 * chardev.h - the host's end of a console or port: terminal, pseudo-terminal, file, unix socket,
 * nothing. A machine may have several, but one on stdio.
 *
 * Bytes pass unchanged both ways, except that on a terminal Ctrl-A starts a command to the VMM.
 * Output is taken from any thread into a bounded ring and written by the loop in batches, so that
 * no vCPU ever waits for a reader; when the ring is full and somebody is reading, chardev_put()
 * says so and the device tells its guest. While nobody is attached (pty, unix) the newest bytes are
 * kept for the first client and the oldest go.
 */
#ifndef VMM_HOST_CHARDEV_H
#define VMM_HOST_CHARDEV_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <vmm/base/err.h>

#define CHARDEV_OUT_BYTES 65536u /* the output ring */
#define CHARDEV_IN_BYTES 4096u /* input read ahead of the guest, at most */

struct chardev;
struct evloop;

enum chardev_kind {
	CHARDEV_STDIO,
	CHARDEV_PTY,
	CHARDEV_FILE,
	CHARDEV_UNIX,
	CHARDEV_NULL,
	CHARDEV_SOCKET, /* somebody else inside the program; no user can ask for it */
};

struct chardev_spec { /* strings are borrowed, and outlive the chardev */
	enum chardev_kind kind;
	const char *path; /* FILE, UNIX */
	int fd; /* SOCKET: a stream socket, still the caller's; outlives the chardev */
	const char *name; /* what messages call it: "hvc0", "port agent"; NULL: the console on COM1
			   */
};

/* "stdio", "pty", "null", "file=PATH" or "unix=PATH" -> kind and path, which points into s; name is
 * left alone. -EINVAL, with the choices. */
int chardev_spec_parse(struct chardev_spec *out, const char *s, struct err *e);

/* What the device wants to hear; each may be NULL, runs on the loop thread, no lock held. */
struct chardev_events {
	void (*input)(void *arg); /* chardev_get() has something new */
	void (*room)(void *arg); /* the ring was full and is no longer */
	void (*attached)(void *arg, bool attached); /* pty, unix: a client has come or gone */
	void (*resized)(void *arg); /* chardev_winsize() may say something else now */
};
struct chardev_watch { /* of the machine, not of the device */
	void (*output)(void *arg, const uint8_t *data,
		       size_t len); /* each byte once, before it is written */
	void (*command)(void *arg, char key); /* Ctrl-A key; 'h' is answered here */
	void *arg;
};

/*
 * Opens the backend; a terminal is put into raw mode by chardev_start(). Errors name the path.
 * Owned by the caller. With PTY the client's path is printed on stderr.
 */
int chardev_create(struct chardev **out, struct evloop *l, const struct chardev_spec *spec,
		   const struct chardev_watch *watch, struct err *e);
/* Starts input and waits for clients, makes the terminal raw. Loop thread. */
void chardev_start(struct chardev *c);
/* Shows the watch, and the reader as far as it takes it, what has been put so far. Loop thread. */
void chardev_flush(struct chardev *c);
/*
 * Writes out what the ring still holds once the VM has ended. Waits for a slow reader until
 * deadline_ns (CLOCK_MONOTONIC; 0: for as long as it takes, as any program in a pipe does). A
 * terminal or a client that has taken nothing for 2 s is not waited for any longer.
 */
void chardev_drain(struct chardev *c, uint64_t deadline_ns);
/* Restores the terminal, removes the socket. NULL is fine. */
void chardev_destroy(struct chardev *c);
/* SIGWINCH has come: the device is told, if this is a terminal. Loop thread. */
void chardev_resize(struct chardev *c);

/* The device side. NULL ev: nobody listens. Loop thread, while no vCPU runs. */
void chardev_listen(struct chardev *c, const struct chardev_events *ev, void *arg);

/* Any thread. false: the ring is full, the byte was not taken; `room` will be called. */
bool chardev_put(struct chardev *c, uint8_t byte);
bool chardev_has_room(struct chardev *c);
/* Any thread. As so many chardev_put(), under one lock: returns how many of the first bytes were
 * taken. */
size_t chardev_write(struct chardev *c, const uint8_t *data, size_t len);
/* Any thread. Takes up to max bytes of input; 0: none now, `input` will be called. */
size_t chardev_get(struct chardev *c, uint8_t *buf, size_t max);
/* Any thread. How many bytes chardev_get() would give now; only that call makes them fewer. */
size_t chardev_input(struct chardev *c);

/* Any thread. Is somebody there? Always true but for a pty or a socket without a client. */
bool chardev_is_attached(struct chardev *c);
/* Any thread. The size of the terminal behind STDIO or PTY; false: there is none, or it has none.
 */
bool chardev_winsize(const struct chardev *c, uint16_t *cols, uint16_t *rows);

/*
 * Any thread. Does the guest hold input back when it cannot take more? As long as it has not shown
 * that it does, input from anything but a terminal comes at the speed of a serial line, after a
 * first burst.
 */
void chardev_flow_controlled(struct chardev *c, bool on);

#endif
