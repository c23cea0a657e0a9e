/*
 * procfs.c - what /proc says about processes, by the numbers that they have there.
 *
 * Life of a VM: while the machine is built, on the main thread: who holds a disk's file, whether a
 * helper has given up its power, and whether we have any. Later there is no /proc any more.
 *
 * proc(5); pid_namespaces(7): /proc shows the numbers of the namespace that it was mounted in.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vmm/host/procfs.h>

static bool read_text(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, buf, size - 1);
	close(fd);
	if (n <= 0)
		return false;
	buf[n] = '\0';
	return true;
}

/* 0: no number of a process. */
static pid_t number(const char *text)
{
	unsigned long long n = strtoull(text, NULL, 10);

	return n <= INT32_MAX ? (pid_t)n : 0;
}

pid_t procfs_self(void)
{
	char target[32];
	ssize_t n = readlink("/proc/self", target, sizeof(target) - 1);

	if (n <= 0)
		return 0;
	target[n] = '\0';
	return number(target);
}

pid_t procfs_pid_of(int pid_fd)
{
	char path[48], text[1024], *at;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pid_fd);
	if (!read_text(path, text, sizeof(text)))
		return 0;
	at = strstr(text, "\nPid:\t");
	return at ? number(at + 6) : 0; /* -1 is one that has been reaped */
}

bool procfs_is_gone(pid_t pid)
{
	char path[32];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	return stat(path, &st) < 0 && errno == ENOENT;
}

bool procfs_read(pid_t pid, const char *name, char *buf, size_t size)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	return read_text(path, buf, size);
}

/* user_namespaces(7): each line is the first user inside, the one outside that it is, how many. */
bool procfs_is_lone_user(void)
{
	unsigned int outside, n;
	char text[256];

	return read_text("/proc/self/uid_map", text, sizeof(text)) &&
	       sscanf(text, "%*u %u %u", &outside, &n) == 2 && outside != 0 && n == 1 &&
	       strchr(text, '\n') == strrchr(text, '\n');
}
