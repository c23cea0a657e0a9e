/*
 * inherited.h - descriptors that we were started with, but for the first three.
 */
#ifndef VMM_HOST_INHERITED_H
#define VMM_HOST_INHERITED_H

/* First thing in a program: which are open now? */
void inherited_note(void);
/* Closes those; in this process. They have not been used but by path, which makes others. */
void inherited_close(void);

#endif
