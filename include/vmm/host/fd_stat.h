/*
 * fd_stat.h - fstat(2) by its own system call: the C library of some years asks by another one,
 * which takes paths, too, and so is on no list of the jail's.
 */
#ifndef VMM_HOST_FD_STAT_H
#define VMM_HOST_FD_STAT_H
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* 0, or -1 and errno. Any thread. */
static inline int fd_stat(int fd, struct stat *st)
{
	return (int)syscall(SYS_fstat, fd, st);
}

#endif
