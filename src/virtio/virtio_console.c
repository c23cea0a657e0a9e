/*
 * virtio_console.c - a console and named ports, each with a chardev behind it.
 *
 * Life of a VM: made while the board is built; from DRIVER_OK on, bytes pass both ways on the loop
 * thread. At the end what the guest had queued is passed on while the chardevs are drained.
 *
 * Source: VIRTIO 1.2, 5.3 "Console Device"; 5.3.6.2 for the messages of the control queues.
 *
 * Output waits in the guest's own queue while the chardev's ring is full and somebody reads. Linux
 * spins, with interrupts off, until a buffer of a console is used (drivers/char/virtio_console.c,
 * put_chars()), so for the console there is an end to waiting: a reader that has taken nothing for
 * HOLD_NS loses output from there on until it reads again. The other ports wait for ever.
 *
 * Input is taken from the chardev only when the guest has opened the port and has given a buffer:
 * Linux throws away what comes earlier. Messages to the guest are bits until there is a buffer, so
 * a driver that asks for many and takes none costs nothing.
 */
#include <errno.h>
#include <linux/virtio_console.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>
#include <vmm/base/bug.h>
#include <vmm/base/bytes.h>
#include <vmm/base/util.h>
#include <vmm/virtio/virtio_console.h>

#define QUEUE_SIZE 64
#define CONTROL_RX 2u /* 5.3.2: to the driver */
#define CONTROL_TX 3u
#define HOLD_NS NS_PER_S
#define CHUNK 4096u
#define END_BYTES (1 * MIB) /* of a port that are passed on once the guest has ended */
#define MESSAGE_BYTES sizeof(struct virtio_console_control)
#define FEATURE(bit) (UINT64_C(1) << (bit))

/* Messages to the driver, in the order in which a port's are sent. */
enum message { MSG_ADD, MSG_CONSOLE, MSG_NAME, MSG_OPEN, MSG_RESIZE, N_MESSAGES };

struct port {
	struct console *console;
	unsigned int id;
	const char *name; /* NULL: the console */
	struct chardev *chardev; /* NULL: there is no such port */

	bool ready; /* the driver has said PORT_READY */
	bool guest_open; /* and PORT_OPEN */
	uint8_t pending; /* a bit for each enum message */
	bool has_held;
	struct vchain held; /* output that the chardev has no room for */
	size_t after_end; /* bytes passed on since the guest has ended */
	uint64_t tx_bytes, rx_bytes;
};

struct console {
	struct virtio_dev dev;
	struct virtio_console_config config;
	unsigned int n_ports; /* numbers: port 0 may not exist */
	bool ended; /* the loop no longer runs */
	bool lossy; /* the console's reader has been waited for long enough */
	bool told; /* and somebody has been told so */
	bool holding; /* the console's output waits, and `hold` runs */
	struct ev_timer hold; /* loop thread */
	uint64_t n_dropped, n_messages;
	struct port ports[CONSOLE_MAX_PORTS];
};

static struct console *console_of(struct virtio_dev *v)
{
	return container_of(v, struct console, dev);
}

/* 5.3.2: port 0 has queues 0 and 1, the control queues are 2 and 3, port 1 has 4 and 5. */
static unsigned int rx_queue(const struct port *p)
{
	return p->id == 0 ? 0 : 2 * p->id + 2;
}

static unsigned int tx_queue(const struct port *p)
{
	return rx_queue(p) + 1;
}

static struct port *port_of_queue(struct console *c, unsigned int qi)
{
	return &c->ports[qi < 2 ? 0 : qi / 2 - 1];
}

static bool is_console(const struct port *p)
{
	return !p->name && p->chardev;
}

/* Output ------------------------------------------------------------------------------------- */

/* As much of the held chain as there is room for. true: nothing is left of it. */
static bool tx_move(struct port *p)
{
	uint8_t buf[CHUNK];
	size_t n, taken;

	while (p->chardev) {
		struct vcursor before = p->held.rd;

		n = vchain_read(&p->held, buf, sizeof(buf));
		if (n == 0)
			return true;
		/* A chain may name the same RAM often: the last words of a guest have an end. */
		if (p->console->ended && p->after_end >= END_BYTES) {
			metric_add(&p->console->n_dropped, n + vchain_left_readable(&p->held));
			return true;
		}
		taken = chardev_write(p->chardev, buf, n);
		metric_add(&p->tx_bytes, taken);
		p->after_end += p->console->ended ? taken : 0;
		if (taken < n) {
			p->held.rd = before;
			vchain_skip_read(&p->held, taken);
			return false;
		}
	}
	return true; /* a port that does not exist takes all */
}

/* The reader is slow: its room event goes on. Or it has stopped: then somebody must end it. */
static void tx_hold(struct port *p)
{
	struct console *c = p->console;

	if (!is_console(p) || c->ended || c->holding)
		return;
	c->holding = true;
	evloop_timer_set(c->dev.loop, &c->hold, evloop_now_ns() + HOLD_NS);
}

static void tx_done(struct port *p)
{
	p->has_held = false;
	virtio_dev_push(&p->console->dev, tx_queue(p), p->held.head, 0);
	if (is_console(p))
		p->console->holding = false;
}

static void tx_turn(struct port *p)
{
	struct console *c = p->console;

	while (p->has_held || virtio_dev_pop(&c->dev, tx_queue(p), &p->held)) {
		p->has_held = true;
		if (!tx_move(p)) {
			if (!is_console(p) || !c->lossy) {
				tx_hold(p);
				return;
			}
			metric_add(&c->n_dropped, vchain_left_readable(&p->held));
		}
		tx_done(p);
	}
}

/* The timer of a hold that has ended is left to run out. */
static void on_hold_over(void *arg)
{
	struct console *c = arg;
	struct port *p = &c->ports[0];

	virtio_dev_lock(&c->dev);
	if (c->holding) {
		c->lossy = true;
		if (!c->told)
			log_warn("hvc0: nobody reads the output: it is lost until somebody does");
		c->told = true;
		virtio_dev_kick(&c->dev, tx_queue(p));
	}
	virtio_dev_unlock(&c->dev);
}

static void on_room(void *arg)
{
	struct port *p = arg;
	struct console *c = p->console;

	virtio_dev_lock(&c->dev);
	if (is_console(p))
		c->lossy = c->holding = false; /* it reads: its time begins anew */
	if (c->ended)
		tx_turn(p);
	else
		virtio_dev_kick(&c->dev, tx_queue(p));
	virtio_dev_unlock(&c->dev);
}

void virtio_console_flush(struct virtio_dev *v)
{
	struct console *c = console_of(v);

	virtio_dev_lock(v);
	evloop_timer_cancel(&c->hold);
	c->ended = true;
	for (unsigned int i = 0; i < c->n_ports; i++)
		tx_turn(&c->ports[i]);
	virtio_dev_unlock(v);
}

/* Input -------------------------------------------------------------------------------------- */

static uint32_t rx_fill(struct port *p, struct vchain *c)
{
	uint8_t buf[CHUNK];
	uint32_t done = 0;
	size_t n;

	do {
		n = min_size(vchain_left_writable(c), sizeof(buf));
		n = chardev_get(p->chardev, buf, n);
		done += (uint32_t)vchain_write(c, buf, n);
	} while (n > 0);
	metric_add(&p->rx_bytes, done);
	return done;
}

static void rx_turn(struct port *p)
{
	struct virtio_dev *v = &p->console->dev;
	struct vchain c;

	if (!p->chardev || !p->guest_open)
		return;
	while (chardev_input(p->chardev) > 0 && virtio_dev_pop(v, rx_queue(p), &c))
		virtio_dev_push(v, rx_queue(p), c.head, rx_fill(p, &c));
}

static void on_input(void *arg)
{
	struct port *p = arg;

	virtio_dev_kick(&p->console->dev, rx_queue(p));
}

/* Messages to the driver --------------------------------------------------------------------- */

static void want(struct port *p, unsigned int messages)
{
	p->pending |= (uint8_t)messages;
	virtio_dev_kick(&p->console->dev, CONTROL_RX);
}

/* What there is to be told about a port that the driver has made ready. */
static void want_all(struct port *p)
{
	if (is_console(p))
		want(p, 1 << MSG_CONSOLE | 1 << MSG_OPEN | 1 << MSG_RESIZE);
	else if (chardev_is_attached(p->chardev))
		want(p, 1 << MSG_NAME | 1 << MSG_OPEN);
	else
		want(p, 1 << MSG_NAME);
}

/* Returns the length; 0: there is nothing to be said after all. */
static size_t compose(const struct port *p, enum message m, uint8_t *out)
{
	static const uint16_t events[] = {
		[MSG_ADD] = VIRTIO_CONSOLE_PORT_ADD,         [MSG_NAME] = VIRTIO_CONSOLE_PORT_NAME,
		[MSG_CONSOLE] = VIRTIO_CONSOLE_CONSOLE_PORT, [MSG_OPEN] = VIRTIO_CONSOLE_PORT_OPEN,
		[MSG_RESIZE] = VIRTIO_CONSOLE_RESIZE,
	};
	const struct virtio_console_config *cfg = &p->console->config;
	bool open = is_console(p) || chardev_is_attached(p->chardev);

	store_le32(out, p->id);
	store_le16(out + 4, events[m]);
	store_le16(out + 6, m != MSG_OPEN || open);
	if (m == MSG_NAME) { /* without a NUL */
		memcpy(out + MESSAGE_BYTES, p->name, strlen(p->name));
		return MESSAGE_BYTES + strlen(p->name);
	}
	if (m == MSG_RESIZE) {
		/*
		 * As 5.3.6.2 has it. Linux before 6.15, and before 6.1.160 and 6.12.64 of its
		 * stable series, takes them the other way round.
		 */
		memcpy(out + MESSAGE_BYTES, &cfg->cols, 2);
		memcpy(out + MESSAGE_BYTES + 2, &cfg->rows, 2);
		return cfg->cols ? MESSAGE_BYTES + 4 : 0;
	}
	return MESSAGE_BYTES;
}

/* false: the driver has no buffer for it. One that is too small loses the message. */
static bool say(struct port *p, enum message m)
{
	uint8_t text[MESSAGE_BYTES + CONSOLE_NAME_MAX + 4];
	struct virtio_dev *v = &p->console->dev;
	size_t len = compose(p, m, text);
	struct vchain c;

	if (len > 0) {
		if (!virtio_dev_pop(v, CONTROL_RX, &c))
			return false;
		if (vchain_left_writable(&c) < len)
			len = 0;
		virtio_dev_push(v, CONTROL_RX, c.head, (uint32_t)vchain_write(&c, text, len));
		metric_add(&p->console->n_messages, 1);
	}
	p->pending &= (uint8_t) ~(1u << m);
	return true;
}

static void control_rx_turn(struct console *c)
{
	for (unsigned int i = 0; i < c->n_ports; i++) {
		for (unsigned int m = 0; m < N_MESSAGES; m++) {
			if (c->ports[i].pending & 1u << m && !say(&c->ports[i], m))
				return;
		}
	}
}

static bool take_winsize(struct console *c)
{
	uint16_t cols, rows;

	if (!is_console(&c->ports[0]) || !chardev_winsize(c->ports[0].chardev, &cols, &rows))
		return false;
	store_le16(&c->config.cols, cols);
	store_le16(&c->config.rows, rows);
	return true;
}

static void on_resized(void *arg)
{
	struct port *p = arg;
	struct console *c = p->console;

	if (!is_console(p))
		return;
	virtio_dev_lock(&c->dev);
	if (take_winsize(c)) {
		virtio_dev_config_changed(&c->dev);
		if (p->ready)
			want(p, 1 << MSG_RESIZE);
	}
	virtio_dev_unlock(&c->dev);
}

/* The console is always open: the guest goes on printing while nobody looks. */
static void on_attached(void *arg, bool attached)
{
	struct port *p = arg;

	(void)attached; /* compose() asks for what is true by then */
	on_resized(p); /* a client may have brought another window */
	virtio_dev_lock(&p->console->dev);
	if (p->ready && !is_console(p))
		want(p, 1 << MSG_OPEN);
	virtio_dev_unlock(&p->console->dev);
}

/* Messages from the driver ------------------------------------------------------------------- */

static void device_ready(struct console *c, bool ready)
{
	for (unsigned int i = 0; i < c->n_ports; i++) {
		if (c->ports[i].chardev && ready)
			want(&c->ports[i], 1 << MSG_ADD);
	}
}

static void port_ready(struct port *p, bool ready)
{
	p->ready = ready;
	p->pending = 0;
	if (ready)
		want_all(p);
	else
		p->guest_open = false;
}

static void port_open(struct port *p, bool open)
{
	p->guest_open = open;
	if (open)
		virtio_dev_kick(&p->console->dev, rx_queue(p));
}

static void obey(struct console *c, uint32_t id, uint16_t event, uint16_t value)
{
	if (event == VIRTIO_CONSOLE_DEVICE_READY)
		device_ready(c, value); /* concerns no port: id does not count */
	else if (id >= c->n_ports || !c->ports[id].chardev)
		log_guest(&c->dev.limit, "%s: there is no port %u", c->dev.name, id);
	else if (event == VIRTIO_CONSOLE_PORT_READY)
		port_ready(&c->ports[id], value);
	else if (event == VIRTIO_CONSOLE_PORT_OPEN)
		port_open(&c->ports[id], value);
	else
		log_guest(&c->dev.limit, "%s: unknown message %u", c->dev.name, event);
}

static void control_tx_turn(struct console *c)
{
	uint8_t text[MESSAGE_BYTES];
	struct vchain chain;

	while (virtio_dev_pop(&c->dev, CONTROL_TX, &chain)) {
		if (vchain_read(&chain, text, sizeof(text)) == sizeof(text))
			obey(c, load_le32(text), load_le16(text + 4), load_le16(text + 6));
		else
			log_guest(&c->dev.limit, "%s: a message that is too short", c->dev.name);
		virtio_dev_push(&c->dev, CONTROL_TX, chain.head, 0);
	}
}

/* The driver's side -------------------------------------------------------------------------- */

static void on_queue_ready(struct virtio_dev *v, unsigned int qi)
{
	struct console *c = console_of(v);

	/* 5.3.2: without MULTIPORT there is only port 0. */
	if (qi >= 2 && !virtio_dev_has(v, VIRTIO_CONSOLE_F_MULTIPORT))
		return;
	if (qi == CONTROL_RX)
		control_rx_turn(c);
	else if (qi == CONTROL_TX)
		control_tx_turn(c);
	else if (qi % 2 == 0)
		rx_turn(port_of_queue(c, qi));
	else
		tx_turn(port_of_queue(c, qi));
}

/* 5.3.4, emerg_wr: one character, at any time, before there is a driver too. */
static void on_config_write(struct virtio_dev *v, uint32_t off, const void *src, uint32_t len)
{
	const uint32_t at = offsetof(struct virtio_console_config, emerg_wr);
	struct port *p = &console_of(v)->ports[0];

	if (off <= at && at - off < len && p->chardev)
		chardev_write(p->chardev, (const uint8_t *)src + (at - off), 1);
}

static void on_activate(struct virtio_dev *v)
{
	console_of(v)->ports[0].guest_open = !virtio_dev_has(v, VIRTIO_CONSOLE_F_MULTIPORT);
}

static void on_reset(struct virtio_dev *v)
{
	struct console *c = console_of(v);

	for (unsigned int i = 0; i < c->n_ports; i++) {
		struct port *p = &c->ports[i];

		p->ready = p->guest_open = false;
		p->pending = 0;
		if (p->has_held)
			tx_done(p);
	}
	c->lossy = false;
}

/* The machine's side ------------------------------------------------------------------------- */

static void on_counters(struct virtio_dev *v, metric_fn fn, void *arg)
{
	const struct console *c = console_of(v);
	uint64_t tx = 0, rx = 0;

	for (unsigned int i = 1; i < c->n_ports; i++) {
		tx += metric_get(&c->ports[i].tx_bytes);
		rx += metric_get(&c->ports[i].rx_bytes);
	}
	fn(arg, "console_tx_bytes", metric_get(&c->ports[0].tx_bytes));
	fn(arg, "console_rx_bytes", metric_get(&c->ports[0].rx_bytes));
	fn(arg, "console_dropped_bytes", metric_get(&c->n_dropped));
	fn(arg, "port_tx_bytes", tx);
	fn(arg, "port_rx_bytes", rx);
	fn(arg, "control_messages", metric_get(&c->n_messages));
}

static void on_destroy(struct virtio_dev *v)
{
	struct console *c = console_of(v);

	evloop_timer_cancel(&c->hold);
	for (unsigned int i = 0; i < c->n_ports; i++) {
		if (c->ports[i].chardev)
			chardev_listen(c->ports[i].chardev, NULL, NULL);
	}
	virtio_dev_fini(v);
	free(c);
}

static const struct virtio_dev_ops console_ops = {
	.type = "virtio-console",
	.id = VIRTIO_ID_CONSOLE,
	.pci_class = { 0x07, 0x80, 0x00 }, /* communication controller, other */
	.config_write = on_config_write,
	.activate = on_activate,
	.queue_ready = on_queue_ready,
	.reset = on_reset,
	.counters = on_counters,
	.destroy = on_destroy,
};

static const struct chardev_events port_events = {
	.input = on_input,
	.room = on_room,
	.attached = on_attached,
	.resized = on_resized,
};

/* The console is port 0; the others begin with 1 in any case, so that they keep their numbers. */
static void take_ports(struct console *c, const struct console_port *ports, unsigned int n)
{
	unsigned int id = ports[0].is_console ? 0 : 1;

	c->n_ports = n + id;
	VMM_BUG_ON(n == 0 || c->n_ports > CONSOLE_MAX_PORTS);
	for (unsigned int i = 0; i < c->n_ports; i++)
		c->ports[i] = (struct port){ .console = c, .id = i };
	for (unsigned int i = 0; i < n; i++, id++) {
		VMM_BUG_ON((id == 0) != ports[i].is_console || !ports[i].name == (id > 0));
		c->ports[id].name = ports[i].name;
		c->ports[id].chardev = ports[i].chardev;
	}
	store_le32(&c->config.max_nr_ports, c->n_ports);
	take_winsize(c);
}

static uint64_t features(const struct console *c)
{
	uint64_t f = FEATURE(VIRTIO_CONSOLE_F_MULTIPORT);

	if (is_console(&c->ports[0]))
		f |= FEATURE(VIRTIO_CONSOLE_F_SIZE) | FEATURE(VIRTIO_CONSOLE_F_EMERG_WRITE);
	return f;
}

int virtio_console_create(struct virtio_dev **out, const struct console_port *ports,
			  unsigned int n_ports, const char *name, const struct device_env *env,
			  struct err *e)
{
	struct console *c = calloc(1, sizeof(*c));
	struct virtio_dev_params params;

	if (!c)
		return err_set(e, -ENOMEM, "%s: out of memory", name);
	c->hold = (struct ev_timer){ .fn = on_hold_over, .arg = c };
	take_ports(c, ports, n_ports);
	params = (struct virtio_dev_params){
		.name = name,
		.mem = env->mem,
		.loop = env->loop,
		.features = features(c),
		.config = &c->config,
		.config_len = sizeof(c->config),
		.n_queues = 2 * c->n_ports + 2,
		.queue_size = QUEUE_SIZE,
	};
	if (virtio_dev_init(&c->dev, &console_ops, &params, e) < 0) {
		free(c);
		return e->code;
	}
	for (unsigned int i = 0; i < c->n_ports; i++) {
		if (!c->ports[i].chardev)
			continue;
		chardev_listen(c->ports[i].chardev, &port_events, &c->ports[i]);
		chardev_flow_controlled(c->ports[i].chardev, true); /* the queue is that */
	}
	*out = &c->dev;
	return 0;
}
