/*
 * chardev_spec.c - reads what a user writes for the host's end of a console or port.
 *
 * Life of a VM: with the options, before anything is opened. Main thread.
 */
#include <errno.h>
#include <string.h>
#include <vmm/base/util.h>
#include <vmm/host/chardev.h>

int chardev_spec_parse(struct chardev_spec *out, const char *s, struct err *e)
{
	static const struct {
		const char *name;
		enum chardev_kind kind;
		bool path;
	} kinds[] = {
		{ "stdio", CHARDEV_STDIO, false }, { "pty", CHARDEV_PTY, false },
		{ "null", CHARDEV_NULL, false },   { "file", CHARDEV_FILE, true },
		{ "unix", CHARDEV_UNIX, true },
	};
	const char *eq = strchr(s, '=');
	size_t len = eq ? (size_t)(eq - s) : strlen(s);

	for (unsigned int i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (strlen(kinds[i].name) != len || strncmp(kinds[i].name, s, len) != 0)
			continue;
		if (kinds[i].path ? !eq || !eq[1] : eq != NULL)
			break;
		out->kind = kinds[i].kind;
		out->path = eq ? eq + 1 : NULL;
		return 0;
	}
	return err_set(e, -EINVAL, "expected stdio, pty, null, file=PATH or unix=PATH");
}
