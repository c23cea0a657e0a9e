/*
 * console_spec.c - what a user asks for in consoles and ports: --console, --port.
 *
 * Life of a VM: with the options, before anything is built. Main thread.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <vmm/base/bug.h>
#include <vmm/virtio/virtio_console.h>

#define NAME_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

int console_spec_parse_console(struct console_spec *s, const char *text, struct err *e)
{
	if (chardev_spec_parse(&s->console, text, e) < 0)
		return e->code;
	s->console.name = "hvc0";
	s->has_console = true;
	return 0;
}

static bool is_taken(const struct console_spec *s, const char *name)
{
	for (unsigned int i = 0; i < s->n_ports; i++) {
		if (strcmp(s->ports[i].name, name) == 0)
			return true;
	}
	return false;
}

int console_spec_parse_port(struct console_spec *s, const char *text, struct err *e)
{
	struct console_port_spec port = { 0 };
	const char *eq = strchr(text, '=');
	size_t len = eq ? (size_t)(eq - text) : 0;

	if (len == 0)
		return err_set(e, -EINVAL, "expected NAME=BACKEND, as in agent=unix=/run/agent");
	if (len > CONSOLE_NAME_MAX)
		return err_set(e, -EINVAL, "a name has at most %u bytes", CONSOLE_NAME_MAX);
	memcpy(port.name, text, len);
	/* The guest's rules make a file of it: /dev/virtio-ports/NAME. */
	if (strspn(port.name, NAME_CHARS) != len)
		return err_set(e, -EINVAL, "'%s': a name has letters, digits, '.', '_' and '-'",
			       port.name);
	if (is_taken(s, port.name))
		return err_set(e, -EINVAL, "'%s': there is one already", port.name);
	if (s->n_ports == CONSOLE_MAX_NAMED)
		return err_set(e, -E2BIG, "more than %u ports", CONSOLE_MAX_NAMED);
	if (chardev_spec_parse(&port.chardev, eq + 1, e) < 0)
		return err_wrap(e, "%s", port.name);
	snprintf(port.label, sizeof(port.label), "port %s", port.name);
	s->ports[s->n_ports++] = port;
	return 0;
}

/* What is no file: whoever writes there does not write over anything. */
static bool is_device(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISCHR(st.st_mode);
}

/* Is the other end of port i that of another port, or of COM1, too? */
static bool is_shared(const struct console_spec *s, const struct chardev_spec *serial,
		      unsigned int i)
{
	struct chardev_spec c = console_spec_chardev(s, i);

	if (!c.path || is_device(c.path))
		return false;
	for (unsigned int k = 0; k < i; k++) {
		struct chardev_spec other = console_spec_chardev(s, k);

		if (other.path && strcmp(c.path, other.path) == 0)
			return true;
	}
	return serial->path && strcmp(c.path, serial->path) == 0;
}

int console_spec_check(const struct console_spec *s, const struct chardev_spec *serial,
		       struct err *e)
{
	unsigned int n = serial->kind == CHARDEV_STDIO;

	for (unsigned int i = 0; i < console_spec_n_ports(s); i++) {
		n += console_spec_chardev(s, i).kind == CHARDEV_STDIO;
		if (is_shared(s, serial, i))
			return err_set(e, -EINVAL,
				       "%s is the other end of two of --serial, --console and "
				       "--port: give each its own",
				       console_spec_chardev(s, i).path);
	}
	if (n > 1)
		return err_set(e, -EINVAL,
			       "only one of --serial, --console and --port can be on stdio: say "
			       "--serial null, or another");
	return 0;
}

unsigned int console_spec_n_ports(const struct console_spec *s)
{
	return s->n_ports + s->has_console;
}

struct chardev_spec console_spec_chardev(const struct console_spec *s, unsigned int i)
{
	struct chardev_spec c;

	VMM_BUG_ON(i >= console_spec_n_ports(s));
	if (s->has_console && i == 0)
		return s->console;
	i -= s->has_console;
	c = s->ports[i].chardev;
	c.name = s->ports[i].label;
	return c;
}
