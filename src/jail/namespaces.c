/*
 * namespaces.c - a world of its own for the VM's process: nobody else's processes, files, networks.
 *
 * Life of a VM: the PID namespace before the process of the VM is forked, for it begins with a
 * child; the others from jail_enter(), when everything has been opened. What is open stays usable:
 * a descriptor does not care in which namespace its owner is. Main thread.
 *
 * Source: namespaces(7), user_namespaces(7), pivot_root(2).
 */
#include "layers.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

static int enter(int flag)
{
	return unshare(flag) < 0 ? -errno : 0;
}

int enter_mount_namespace(struct jail *j)
{
	(void)j;
	return enter(CLONE_NEWNS);
}

int enter_net_namespace(struct jail *j)
{
	(void)j;
	return enter(CLONE_NEWNET);
}

int enter_ipc_namespace(struct jail *j)
{
	(void)j;
	return enter(CLONE_NEWIPC);
}

int enter_uts_namespace(struct jail *j)
{
	(void)j;
	return enter(CLONE_NEWUTS);
}

int enter_cgroup_namespace(struct jail *j)
{
	(void)j;
	return enter(CLONE_NEWCGROUP);
}

/* Nobody has any number in it, us included, so that there is nobody to become. */
int enter_user_namespace(struct jail *j)
{
	(void)j;
	return enter(CLONE_NEWUSER);
}

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	(void)!write(fd, text, strlen(text));
	close(fd);
}

/* As fork(), which knows no flags; there is no other thread whose locks it would have to see to. */
static pid_t fork_with(unsigned long flags)
{
	return (pid_t)syscall(SYS_clone, flags | SIGCHLD, NULL, NULL, NULL, NULL);
}

/* In the child: the user keeps his number, because files are opened in here. */
static void keep_number(unsigned int uid, unsigned int gid)
{
	char map[48];

	snprintf(map, sizeof(map), "%u %u 1", uid, uid);
	put("/proc/self/uid_map", map);
	put("/proc/self/setgroups", "deny");
	snprintf(map, sizeof(map), "%u %u 1", gid, gid);
	put("/proc/self/gid_map", map);
}

/*
 * An ordinary user has all power in a user namespace of his own, and so may make the other kinds in
 * there. What was left of the numbers if keep_number() failed would be told by the first file that
 * cannot be opened.
 */
pid_t fork_apart(struct jail *j)
{
	unsigned int uid = geteuid(), gid = getegid();
	pid_t pid = -1;

	if (j->mode == JAIL_OFF)
		return fork();
	pid = fork_with(CLONE_NEWPID | (j->as_root ? 0 : CLONE_NEWUSER));
	if (pid < 0) {
		j->failed[LAYER_PID_NAMESPACE] = errno;
		return fork();
	}
	if (pid == 0 && !j->as_root)
		keep_number(uid, gid);
	return pid;
}

/* Folders that are there wherever Linux runs; one is covered up, in our view alone. */
static int mount_somewhere(const char **where)
{
	static const char *const folders[] = { "/tmp", "/proc", "/dev", "/sys" };

	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		if (mount("vmm-empty", folders[i], "tmpfs",
			  MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
			  "size=4k,nr_inodes=1,mode=555") == 0) {
			*where = folders[i];
			return 0;
		}
	}
	return -errno;
}

/*
 * An empty file system that nobody can write to becomes the root, and the old one goes.
 * pivot_root(2), "pivot_root(".",
 * ".")": the old root lies on top of the new one for a moment.
 */
int enter_empty_root(struct jail *j)
{
	const char *where = "/";
	int rc;

	if (j->failed[LAYER_MOUNT_NAMESPACE])
		return -j->failed[LAYER_MOUNT_NAMESPACE];
	/* Nothing of this may reach the host's own view. */
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -errno;
	rc = mount_somewhere(&where);
	if (rc < 0)
		return rc;
	if (chdir(where) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 ||
	    umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return -errno;
	return 0;
}
