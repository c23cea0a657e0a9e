/*
 * match.c - finds a text in a stream that comes in pieces.
 *
 * Life of a VM: on the loop thread, for each byte of console output. Source: Knuth, Morris and
 * Pratt, "Fast Pattern Matching in Strings", SIAM J. Comput. 6 (1977).
 */
#include <string.h>
#include <vmm/base/bug.h>
#include <vmm/base/match.h>

/* The longest start of the text that is also an end of its first `at` bytes plus this one. */
static uint32_t advance(const struct match *m, uint32_t at, uint8_t byte)
{
	while (at > 0 && (at == m->len || (uint8_t)m->text[at] != byte))
		at = m->back[at - 1];
	return (uint8_t)m->text[at] == byte ? at + 1 : 0;
}

void match_init(struct match *m, const char *text)
{
	size_t len = strlen(text);

	VMM_BUG_ON(len == 0 || len > MATCH_MAX);
	*m = (struct match){ .text = text, .len = (uint32_t)len };
	for (uint32_t i = 1; i < m->len; i++)
		m->back[i] = (uint16_t)advance(m, m->back[i - 1], (uint8_t)text[i]);
}

bool match_feed(struct match *m, uint8_t byte)
{
	m->at = advance(m, m->at, byte);
	return m->at == m->len;
}
