/*
 * fake_stderr.h - what this process says on stderr, kept for the test.
 */
#ifndef TESTS_FAKE_STDERR_H
#define TESTS_FAKE_STDERR_H
#include <stddef.h>

/* From here on stderr is a file without a name. */
void stderr_capture(void);
/* The text until now, at most size - 1 bytes of it. Returns buf. */
const char *stderr_text(char *buf, size_t size);

#endif
