/*
 * path.h - opening the files that the user names.
 *
 * Root is often asked to run what others have prepared, and a symbolic link among it may lead
 * anywhere. So for root there is a rule: a link that belongs to another user leads to what is in a
 * folder of that user's, or is not followed. Links of root's own lead where they like.
 *
 * Any thread, while files may be opened by name.
 */
#ifndef VMM_HOST_PATH_H
#define VMM_HOST_PATH_H
#include <limits.h>
#include <stdio.h>
#include <sys/types.h>
#include <vmm/base/err.h>

/*
 * As open(2), and with its errors, each in words without the path: a descriptor, or e->code. As
 * root, by the rule above: -ELOOP with a text that says whose link leads whither. Nothing is opened
 * or made then.
 */
int path_open(const char *path, int flags, mode_t mode, struct err *e);

/* A stream to a file that is made, or emptied; owned by the caller. Errors: as path_open(). */
int path_create(FILE **out, const char *path, struct err *e);

/*
 * The folder of what the path leads to in the end, for the *at() calls, and its name there; "." if
 * the path can only be that of a folder. The file itself need not exist. A name that is a link
 * nevertheless is one of /proc's, which leads to an open file and has to be followed. Errors: as
 * path_open(). Whoever replaces a file by its name does so here.
 */
int path_open_folder(const char *path, char name[NAME_MAX + 1], struct err *e);

/*
 * path_open() as it works for root, where links of `trusted` are those of root's own. For
 * path_open(), and for tests, which may not be root.
 */
int path_walk(const char *path, int flags, mode_t mode, uid_t trusted, struct err *e);

#endif
