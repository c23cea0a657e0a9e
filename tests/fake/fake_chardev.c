/*
 * fake_chardev.c - see fake_chardev.h.
 */
#include "fake_chardev.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <vmm/base/bug.h>
#include <vmm/base/util.h>

struct chardev {
	bool flow_controlled;
	const struct chardev_events *ev; /* the loop thread's */
	void *arg;
	size_t room;

	pthread_mutex_t lock; /* guards what follows */
	bool refused; /* `room` is owed */
	bool detached;
	uint16_t cols, rows;
	uint8_t in[FAKE_CHARDEV_BYTES], out[FAKE_CHARDEV_BYTES];
	size_t n_in, n_out;
};

struct chardev *fake_chardev_create(size_t room)
{
	struct chardev *c = calloc(1, sizeof(*c));

	VMM_BUG_ON(!c || room > FAKE_CHARDEV_BYTES);
	c->room = room;
	pthread_mutex_init(&c->lock, NULL);
	return c;
}

void fake_chardev_destroy(struct chardev *c)
{
	pthread_mutex_destroy(&c->lock);
	free(c);
}

void fake_chardev_type(struct chardev *c, const void *data, size_t len)
{
	pthread_mutex_lock(&c->lock);
	VMM_BUG_ON(len > sizeof(c->in) - c->n_in);
	memcpy(c->in + c->n_in, data, len);
	c->n_in += len;
	pthread_mutex_unlock(&c->lock);
	if (c->ev && c->ev->input)
		c->ev->input(c->arg);
}

size_t fake_chardev_untaken(struct chardev *c)
{
	size_t n;

	pthread_mutex_lock(&c->lock);
	n = c->n_in;
	pthread_mutex_unlock(&c->lock);
	return n;
}

size_t fake_chardev_take(struct chardev *c, void *data, size_t max)
{
	bool tell;
	size_t n;

	pthread_mutex_lock(&c->lock);
	n = min_size(max, c->n_out);
	memcpy(data, c->out, n);
	memmove(c->out, c->out + n, c->n_out - n);
	c->n_out -= n;
	tell = c->refused && c->n_out < c->room;
	if (tell)
		c->refused = false;
	pthread_mutex_unlock(&c->lock);
	if (tell && c->ev && c->ev->room)
		c->ev->room(c->arg);
	return n;
}

bool fake_chardev_is_listened_to(struct chardev *c)
{
	return c->ev;
}

void chardev_listen(struct chardev *c, const struct chardev_events *ev, void *arg)
{
	c->ev = ev;
	c->arg = arg;
}

size_t chardev_write(struct chardev *c, const uint8_t *data, size_t len)
{
	size_t n;

	pthread_mutex_lock(&c->lock);
	n = min_size(len, c->room - c->n_out);
	memcpy(c->out + c->n_out, data, n);
	c->n_out += n;
	if (n < len)
		c->refused = true;
	pthread_mutex_unlock(&c->lock);
	return n;
}

bool chardev_put(struct chardev *c, uint8_t byte)
{
	return chardev_write(c, &byte, 1) == 1;
}

void fake_chardev_attach(struct chardev *c, bool attached)
{
	pthread_mutex_lock(&c->lock);
	c->detached = !attached;
	pthread_mutex_unlock(&c->lock);
	if (c->ev && c->ev->attached)
		c->ev->attached(c->arg, attached);
}

bool chardev_is_attached(struct chardev *c)
{
	bool attached;

	pthread_mutex_lock(&c->lock);
	attached = !c->detached;
	pthread_mutex_unlock(&c->lock);
	return attached;
}

void fake_chardev_resize(struct chardev *c, uint16_t cols, uint16_t rows)
{
	c->cols = cols;
	c->rows = rows;
	if (c->ev && c->ev->resized)
		c->ev->resized(c->arg);
}

bool chardev_winsize(const struct chardev *c, uint16_t *cols, uint16_t *rows)
{
	*cols = c->cols;
	*rows = c->rows;
	return c->cols && c->rows;
}

size_t chardev_input(struct chardev *c)
{
	return fake_chardev_untaken(c);
}

void chardev_flow_controlled(struct chardev *c, bool on)
{
	pthread_mutex_lock(&c->lock);
	c->flow_controlled = on;
	pthread_mutex_unlock(&c->lock);
}

bool fake_chardev_is_flow_controlled(struct chardev *c)
{
	bool on;

	pthread_mutex_lock(&c->lock);
	on = c->flow_controlled;
	pthread_mutex_unlock(&c->lock);
	return on;
}

bool chardev_has_room(struct chardev *c)
{
	bool room;

	pthread_mutex_lock(&c->lock);
	room = c->n_out < c->room;
	if (!room)
		c->refused = true;
	pthread_mutex_unlock(&c->lock);
	return room;
}

size_t chardev_get(struct chardev *c, uint8_t *buf, size_t max)
{
	size_t n;

	pthread_mutex_lock(&c->lock);
	n = min_size(max, c->n_in);
	memcpy(buf, c->in, n);
	memmove(c->in, c->in + n, c->n_in - n);
	c->n_in -= n;
	pthread_mutex_unlock(&c->lock);
	return n;
}
