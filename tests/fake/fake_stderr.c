/*
 * fake_stderr.c - see fake_stderr.h.
 */
#include "fake_stderr.h"
#include "unit.h"
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

void stderr_capture(void)
{
	int fd = memfd_create("stderr", 0);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(dup2(fd, STDERR_FILENO), STDERR_FILENO);
	close(fd);
}

const char *stderr_text(char *buf, size_t size)
{
	ssize_t n;

	fflush(stderr);
	n = pread(STDERR_FILENO, buf, size - 1, 0);
	ck_assert_int_ge(n, 0);
	buf[n] = '\0';
	return buf;
}
