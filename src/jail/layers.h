/*
 * layers.h - private to src/jail: the steps of jail_enter(). Each returns 0 or -errno, and changes
 * nothing if it fails. Main thread.
 */
#ifndef VMM_SRC_JAIL_LAYERS_H
#define VMM_SRC_JAIL_LAYERS_H
#include <sys/types.h>
#include <vmm/jail/jail.h>

struct sock_filter; /* <linux/filter.h> */

/* namespaces.c */
pid_t fork_apart(
	struct jail *j); /* fork(), into a PID namespace; without one, notes it in j->failed */
int enter_mount_namespace(struct jail *j);
int enter_net_namespace(struct jail *j);
int enter_ipc_namespace(struct jail *j);
int enter_uts_namespace(struct jail *j);
int enter_cgroup_namespace(struct jail *j);
int enter_empty_root(struct jail *j);
int enter_user_namespace(struct jail *j);

/* privileges.c */
int drop_groups(struct jail *j);
int become_nobody(struct jail *j);
int drop_capabilities(struct jail *j);
int set_no_new_privileges(struct jail *j);
int set_undumpable(struct jail *j);
int set_first_limits(struct jail *j);
int set_last_limits(struct jail *j);

/* landlock.c */
int restrict_paths(struct jail *j);

/* seccomp.c */
int install_filter(struct jail *j, enum jail_role role, int *log_fd);
/* What it installs, for those who read it: in f, of max instructions. Returns how many. */
unsigned short filter_of(const struct jail *j, enum jail_role role, struct sock_filter *f,
			 unsigned int max);

#endif
