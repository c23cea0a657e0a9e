/*
 * match.h - finds a text in a stream that comes in pieces.
 */
#ifndef VMM_BASE_MATCH_H
#define VMM_BASE_MATCH_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MATCH_MAX 256u /* longest text, in bytes */

struct match { /* embedded; no memory of its own */
	const char *text; /* outlives the match */
	uint32_t len, at; /* at: bytes of text that the stream ends with */
	uint16_t back[MATCH_MAX]; /* where to go on after a mismatch */
};

/* text has 1 to MATCH_MAX bytes. */
void match_init(struct match *m, const char *text);

/* One byte of the stream. true: the text ends here. Constant memory, no look at a byte twice. */
bool match_feed(struct match *m, uint8_t byte);

#endif
