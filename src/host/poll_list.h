/*
 * poll_list.h - what is polled: by the event loop, and by its double in the fuzzers. Loop thread.
 */
#ifndef VMM_HOST_POLL_LIST_H
#define VMM_HOST_POLL_LIST_H
#include <stddef.h>
#include <vmm/host/evloop.h>

struct poll_list { /* zeroed: empty */
	struct ev_poll *first;
	struct ev_poll *to_look_at; /* the next one, in a round */
};

static inline void poll_list_add(struct poll_list *list, struct ev_poll *p)
{
	if (p->queued)
		return;
	p->queued = true;
	p->next = list->first;
	list->first = p;
}

static inline void poll_list_remove(struct poll_list *list, struct ev_poll *p)
{
	struct ev_poll **at = &list->first;

	if (!p->queued)
		return;
	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	if (list->to_look_at == p)
		list->to_look_at = p->next;
	p->queued = false;
}

/* One look at each, and a turn for those that have something to do. Has any? */
static inline bool poll_list_look(struct poll_list *list)
{
	bool any = false;

	list->to_look_at = list->first;
	while (list->to_look_at) {
		struct ev_poll *p = list->to_look_at;

		list->to_look_at = p->next;
		if (p->look(p->arg)) {
			p->serve(p->arg);
			any = true;
		}
	}
	return any;
}

/* Empties it; each is told. */
static inline void poll_list_rest(struct poll_list *list)
{
	while (list->first) {
		struct ev_poll *p = list->first;

		poll_list_remove(list, p);
		if (p->rest)
			p->rest(p->arg);
	}
}

#endif
