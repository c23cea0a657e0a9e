/*
 * task_list.h - tasks in the order in which they shall run: of the event loop, and of its double in
 * the fuzzers. Whoever has the list sees to it that one thread at a time changes it.
 */
#ifndef VMM_HOST_TASK_LIST_H
#define VMM_HOST_TASK_LIST_H
#include <stddef.h>
#include <vmm/host/evloop.h>

struct task_list {
	struct ev_task *first, **last;
};

static inline void task_list_init(struct task_list *list)
{
	list->first = NULL;
	list->last = &list->first;
}

/* One that is in no list. */
static inline void task_list_add(struct task_list *list, struct ev_task *t)
{
	t->queued = true;
	t->next = NULL;
	*list->last = t;
	list->last = &t->next;
}

/* One that is in it, or not queued at all. */
static inline void task_list_remove(struct task_list *list, struct ev_task *t)
{
	struct ev_task **at = &list->first;

	if (!t->queued)
		return;
	while (*at != t)
		at = &(*at)->next;
	*at = t->next;
	if (!*at)
		list->last = at;
	t->queued = false;
}

/* The first of a list that is not empty. */
static inline struct ev_task *task_list_take(struct task_list *list)
{
	struct ev_task *t = list->first;

	task_list_remove(list, t);
	return t;
}

static inline unsigned int task_list_length(const struct task_list *list)
{
	unsigned int n = 0;

	for (const struct ev_task *t = list->first; t; t = t->next)
		n++;
	return n;
}

#endif
