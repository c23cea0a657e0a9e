/*
 * err.h - the first kind of failure: what the host or the user did not let us do.
 *
 * A function that can fail so returns int (0 or a negative errno) and fills a struct err, which is
 * carried up to main and printed there, once. The guest's misdeeds are never reported this way.
 */
#ifndef VMM_BASE_ERR_H
#define VMM_BASE_ERR_H

struct err {
	int code; /* negative errno */
	char text[512]; /* what we were doing and what is wrong, in the user's words; NUL-terminated
			 */
};

/*
 * The code for "this file is not an image that can be booted": main turns it into exit status 126.
 * Every other code becomes 125.
 */
#define ERR_IMAGE (-8) /* -ENOEXEC */

/* Sets code and text. Returns code, so that "return err_set(...)" reads well. Too long: cut. */
__attribute__((format(printf, 3, 4))) int err_set(struct err *e, int code, const char *fmt, ...);

/* As err_set(), with ": " and the words for errno added. Returns -errno; -EIO if errno is 0. */
__attribute__((format(printf, 2, 3))) int err_errno(struct err *e, const char *fmt, ...);

/* Puts "fmt: " in front of the text. Returns e->code. */
__attribute__((format(printf, 2, 3))) int err_wrap(struct err *e, const char *fmt, ...);

#endif
