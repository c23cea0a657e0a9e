/*
 * doctor.h - private to src/cli: the parts of `vmm doctor`.
 */
#ifndef VMM_SRC_CLI_DOCTOR_H
#define VMM_SRC_CLI_DOCTOR_H
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <vmm/base/err.h>

/*
 * doctor_cpu.c: what one guest, or another process, may find out about a guest by way of this host:
 * a few lines. root: in front of /proc and /sys; "", or a test's folder.
 */
void doctor_cpu(FILE *out, const char *root);

/*
 * doctor_jail.c: which layers of the jail hold. Returns in two processes: *inside tells that this
 * is the one in the jail, which has nothing more to do. 0 or an error.
 */
int doctor_jail(FILE *out, bool *inside, struct err *e);

/* The first line of a file, without its end, cut to size. false: there is none, or no file. */
bool doctor_first_line(const char *path, char *buf, size_t size);

#endif
