/*
 * cgroup_private.h - private to src/jail: the files of cgroups.
 */
#ifndef VMM_SRC_JAIL_CGROUP_PRIVATE_H
#define VMM_SRC_JAIL_CGROUP_PRIVATE_H
#include <vmm/base/err.h>
#include <vmm/jail/cgroup.h>

/* Controllers, as bits. */
#define CGROUP_MEMORY 1u
#define CGROUP_CPU 2u
#define CGROUP_PIDS 4u
#define CGROUP_IO 8u
/* "+memory +cpu": each with the sign. */
#define CGROUP_NAMES 64u
void cgroup_names(char buf[CGROUP_NAMES], unsigned int controllers, const char *sign);

/* The command that gives us a cgroup of our own. */
const char *cgroup_remedy(void);

/* Writes one line to DIR/FILE, as a whole. Errors name the file. */
int cgroup_put(const char *dir, const char *file, const char *text, struct err *e);
/* Which of our controllers are in DIR/FILE: a list of names. 0 also if there is no such file. */
unsigned int cgroup_get(const char *dir, const char *file);
/* The number behind this word, in DIR/FILE: a word and a number in each line. 0 also if there is
 * none. */
uint64_t cgroup_count(const char *dir, const char *file, const char *word);

/*
 * cgroup_find.c: the folder of the cgroup that we are in; owned by the caller. It has the
 * controllers that are wanted. -ENOTSUP.
 */
int cgroup_find(char **base, const char *root, unsigned int want, struct err *e);

/* cgroup_io.c: io.max of the cgroup in that folder. */
int cgroup_limit_io(const char *leaf, const char *root, const struct cgroup_limits *l,
		    struct err *e);

#endif
