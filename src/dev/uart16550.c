/*
 * uart16550.c - the serial port COM1: a 16550A with a line of infinite speed.
 *
 * Life of a VM: built while the machine is assembled. From the guest's first message on, vCPU
 * threads read and write its eight ports; the loop thread comes in by two callbacks of the chardev,
 * when the host has typed something (input) and when a slow reader has caught up (room).
 *
 * Specification: National Semiconductor PC16550D data sheet, section 8 "Registers"; section numbers
 * below are its own. What a PC adds: OUT2 gates the interrupt.
 *
 * Three things differ from a chip with a cable, each so that no byte is lost:
 * - A byte written is sent at once. Only while the host does not read does it stay in the transmit
 *   FIFO; THRE is off meanwhile, and the guest waits as it would for a slow line.
 * - A byte is taken from the host only when the receive FIFO has room and the guest can be expected
 * to fetch it; see receiver_ready(). So the receiver overruns in loopback only. If the guest clears
 * the FIFO instead of fetching, the byte comes again.
 * - There are no character times: what a 16550A says after four of them of silence, it says here at
 * once.
 */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <vmm/base/util.h>
#include <vmm/bus/bus.h>
#include <vmm/dev/uart16550.h>
#include <vmm/host/chardev.h>

#define N_PORTS 8
enum { RBR_THR = 0, IER = 1, IIR_FCR = 2, LCR = 3, MCR = 4, LSR = 5, MSR = 6, SCR = 7 };
enum { DLL = 0, DLM = 1 }; /* while LCR.DLAB is set */

#define IER_ERBFI 0x01u /* received data; Linux: RDI */
#define IER_ETBEI 0x02u /* transmitter empty; Linux: THRI */
#define IER_ELSI 0x04u /* line status */
#define IER_EDSSI 0x08u /* modem status */
#define IER_MASK 0x0fu

#define IIR_NONE 0x01u
/* By priority, the highest first (8.6, table IV). */
#define IIR_LINE_STATUS 0x06u
#define IIR_RX_DATA 0x04u
#define IIR_RX_TIMEOUT 0x0cu
#define IIR_THR_EMPTY 0x02u
#define IIR_MODEM_STATUS 0x00u
#define IIR_FIFOS_ENABLED 0xc0u

#define FCR_ENABLE 0x01u
#define FCR_CLEAR_RX 0x02u
#define FCR_CLEAR_TX 0x04u
#define FCR_TRIGGER_SHIFT 6

#define LCR_DLAB 0x80u

#define MCR_RTS 0x02u
#define MCR_OUT2 0x08u
#define MCR_LOOP 0x10u
#define MCR_MASK 0x1fu

#define LSR_DR 0x01u
#define LSR_OE 0x02u
#define LSR_THRE 0x20u
#define LSR_TEMT 0x40u

#define MSR_CTS 0x10u
#define MSR_DSR 0x20u
#define MSR_RI 0x40u
#define MSR_DCD 0x80u
#define MSR_DELTA_SHIFT 4 /* each line's "has changed" bit is this far below the line */
#define MSR_CONNECTED (MSR_CTS | MSR_DSR | MSR_DCD) /* the host is always there */

#define FIFO_BYTES 16

/* So many reads of LSR in a row, and nothing else, are a guest that waits for a byte. */
#define POLLS_OF_A_RECEIVER 64

struct fifo {
	uint8_t bytes[FIFO_BYTES];
	unsigned int first, n;
};

struct uart {
	struct device dev;
	struct bus *pio;
	struct chardev *line;
	struct irq irq;

	pthread_mutex_t lock; /* guards what follows; taken before the chardev's own */
	uint8_t ier, fcr, lcr, mcr, scr, dll, dlm;
	uint8_t modem_deltas; /* MSR bits 0-3 */
	bool overrun; /* LSR.OE */
	bool thr_empty_event; /* what IIR_THR_EMPTY tells; not the same as LSR.THRE (8.6, table IV)
			       */
	bool irq_level; /* as last told to the interrupt controller */
	bool thr_written_last; /* the previous access was a write of THR */
	bool rts_used; /* the guest has raised RTS: it means something by lowering it */
	bool polls; /* the guest receives without interrupts */
	bool flow_told; /* what chardev_flow_controlled() was last told */
	unsigned int n_polls; /* reads of LSR in a row */
	bool rx_looped; /* loopback has put bytes into rx */
	struct fifo rx, tx;
	struct fifo again; /* the host's bytes that were in rx when the guest cleared it */
	uint64_t n_rx, n_tx; /* metrics: bytes from and to the host */
};

static void fifo_push(struct fifo *f, uint8_t byte)
{
	f->bytes[(f->first + f->n) % FIFO_BYTES] = byte;
	f->n++;
}

static void fifo_push_front(struct fifo *f, uint8_t byte)
{
	f->first = (f->first + FIFO_BYTES - 1) % FIFO_BYTES;
	f->bytes[f->first] = byte;
	f->n++;
}

static uint8_t fifo_pop(struct fifo *f)
{
	uint8_t byte = f->bytes[f->first];

	f->first = (f->first + 1) % FIFO_BYTES;
	f->n--;
	return byte;
}

/* Both FIFOs are one byte deep until they are enabled (8.5). */
static unsigned int depth(const struct uart *u)
{
	return u->fcr & FCR_ENABLE ? FIFO_BYTES : 1;
}

static unsigned int rx_trigger(const struct uart *u)
{
	static const uint8_t levels[] = { 1, 4, 8, 14 };

	return u->fcr & FCR_ENABLE ? levels[u->fcr >> FCR_TRIGGER_SHIFT] : 1;
}

/* Interrupts -------------------------------------------------------------------------------- */

static uint8_t highest_interrupt(const struct uart *u)
{
	if (u->ier & IER_ELSI && u->overrun)
		return IIR_LINE_STATUS;
	if (u->ier & IER_ERBFI && u->rx.n >= rx_trigger(u))
		return IIR_RX_DATA;
	if (u->ier & IER_ERBFI && u->rx.n > 0)
		return IIR_RX_TIMEOUT;
	if (u->ier & IER_ETBEI && u->thr_empty_event)
		return IIR_THR_EMPTY;
	if (u->ier & IER_EDSSI && u->modem_deltas)
		return IIR_MODEM_STATUS;
	return IIR_NONE;
}

static void irq_line(struct uart *u, bool level)
{
	if (level != u->irq_level)
		irq_set(&u->irq, level);
	u->irq_level = level;
}

/* OUT2 connects the line to the interrupt controller; in loopback the pin is inactive (8.8). */
static void irq_update(struct uart *u)
{
	bool gate = (u->mcr & (MCR_OUT2 | MCR_LOOP)) == MCR_OUT2;

	irq_line(u, gate && highest_interrupt(u) != IIR_NONE);
}

/* Receiver ---------------------------------------------------------------------------------- */

/*
 * Will the guest fetch a byte that it is given now? Drivers clear the FIFO and read RBR "for luck"
 * when they start, so not before they ask for interrupts, or poll; and not while RTS says "not
 * now". A guest that never raised RTS does no flow control.
 */
static bool receiver_ready(const struct uart *u)
{
	if (u->mcr & MCR_LOOP)
		return false;
	if (u->rts_used && !(u->mcr & MCR_RTS))
		return false;
	return u->ier & IER_ERBFI || u->polls;
}

/*
 * Will no byte be lost however fast they come? A guest that polls takes one when it has a place for
 * it. A driver with interrupts needs RTS and CTS for that, and one that uses them watches the modem
 * lines: Linux sets EDSSI with CRTSCTS (and without CLOCAL, which is not how consoles are opened).
 */
static void tell_flow(struct uart *u)
{
	bool on = u->polls || (u->ier & IER_ERBFI && u->ier & IER_EDSSI);

	if (on != u->flow_told)
		chardev_flow_controlled(u->line, on);
	u->flow_told = on;
}

static void rx_fill(struct uart *u)
{
	uint8_t bytes[FIFO_BYTES];
	size_t n;

	if (!receiver_ready(u))
		return;
	if (u->rx.n == 0)
		u->rx_looped = false;
	while (u->again.n > 0 && u->rx.n < depth(u))
		fifo_push(&u->rx, fifo_pop(&u->again));
	if (u->rx.n >= depth(u))
		return;
	n = chardev_get(u->line, bytes, depth(u) - u->rx.n);
	for (size_t i = 0; i < n; i++)
		fifo_push(&u->rx, bytes[i]);
	metric_add(&u->n_rx, n);
}

/*
 * Linux's driver sets IER_ERBFI when it probes and before it enables the FIFO, which clears what
 * has come by then. On a cable that is noise; here it is what the host has sent: it is sent again.
 */
static void rx_clear(struct uart *u)
{
	for (unsigned int i = u->rx.n; i > 0 && !u->rx_looped; i--)
		fifo_push_front(&u->again, u->rx.bytes[(u->rx.first + i - 1) % FIFO_BYTES]);
	u->rx.n = 0;
	u->rx_looped = false;
}

static uint8_t rbr_read(struct uart *u)
{
	uint8_t byte = 0;

	if (u->rx.n > 0)
		byte = fifo_pop(&u->rx);
	/*
	 * On a chip the line falls here, and rises with the next byte or the next timeout. A driver
	 * that takes one byte per interrupt needs that edge, though no time passes between the two.
	 */
	if (u->rx.n < rx_trigger(u))
		irq_line(u, false);
	if (u->rx.n == 0)
		rx_fill(u);
	return byte;
}

/* Transmitter ------------------------------------------------------------------------------- */

/* Sends what the FIFO holds, as far as the host takes it. */
static void tx_push(struct uart *u)
{
	if (u->tx.n == 0)
		return;
	while (u->tx.n > 0 && chardev_put(u->line, u->tx.bytes[u->tx.first])) {
		(void)fifo_pop(&u->tx);
		metric_add(&u->n_tx, 1);
	}
	if (u->tx.n == 0)
		u->thr_empty_event = true;
}

/* Loopback: the transmitter feeds the receiver (8.8, bit 4), and that can overrun (8.4, bit 1). */
static void loop_back(struct uart *u, uint8_t byte)
{
	if (u->rx.n >= depth(u)) {
		u->overrun = true;
		if (u->fcr & FCR_ENABLE)
			return; /* the byte in the shift register is overwritten, the FIFO is not */
		(void)fifo_pop(&u->rx);
	}
	fifo_push(&u->rx, byte);
	u->rx_looped = true;
}

static void thr_write(struct uart *u, uint8_t byte)
{
	/*
	 * Writing takes the event back, sending brings it again at once. The fall between the two
	 * is shown, for drivers that write without having read IIR; not within a burst into the
	 * FIFO, which is one event to a chip (8.11) and would cost two system calls a byte here.
	 */
	u->thr_empty_event = false;
	if (!(u->thr_written_last && u->fcr & FCR_ENABLE))
		irq_update(u);
	if (u->mcr & MCR_LOOP) {
		loop_back(u, byte);
		u->thr_empty_event = u->tx.n == 0;
		return;
	}
	if (u->tx.n >= depth(u))
		return; /* THRE was off; a chip loses a byte here as well */
	fifo_push(&u->tx, byte);
	tx_push(u);
}

/* Control registers ------------------------------------------------------------------------- */

static void ier_write(struct uart *u, uint8_t val)
{
	uint8_t enabled = val & ~u->ier & IER_MASK;

	u->ier = val & IER_MASK;
	/* 8.4, bit 5: enabling the interrupt while THR is empty raises it. Linux tests this. */
	if (enabled & IER_ETBEI && u->tx.n == 0)
		u->thr_empty_event = true;
	if (enabled & IER_ERBFI)
		u->polls = false; /* from now on this tells whether the guest receives */
	tell_flow(u);
	rx_fill(u);
}

static uint8_t iir_read(struct uart *u)
{
	uint8_t id = highest_interrupt(u);

	if (id == IIR_THR_EMPTY)
		u->thr_empty_event = false; /* 8.6, table IV: reading IIR, if this is the source */
	return id | (u->fcr & FCR_ENABLE ? IIR_FIFOS_ENABLED : 0);
}

static void fcr_write(struct uart *u, uint8_t val)
{
	bool toggled = (val ^ u->fcr) & FCR_ENABLE;

	/* 8.5: bit 0 must be set for the others to count, and changing it clears both FIFOs. */
	u->fcr = val & FCR_ENABLE ? val & (FCR_ENABLE | 3u << FCR_TRIGGER_SHIFT) : 0;
	if (toggled || (val & FCR_ENABLE && val & FCR_CLEAR_RX)) {
		rx_clear(u);
		u->polls = false; /* a driver starts: hold the input until it is ready */
		tell_flow(u);
	}
	if ((toggled || (val & FCR_ENABLE && val & FCR_CLEAR_TX)) && u->tx.n > 0) {
		u->tx.n = 0;
		u->thr_empty_event = true;
	}
	rx_fill(u);
}

/* The four modem lines as MSR shows them. In loopback they are MCR's outputs (8.8, bit 4). */
static uint8_t modem_lines(uint8_t mcr)
{
	static const uint8_t looped[] = { MSR_DSR, MSR_CTS, MSR_RI,
					  MSR_DCD }; /* DTR RTS OUT1 OUT2 */
	uint8_t lines = 0;

	if (!(mcr & MCR_LOOP))
		return MSR_CONNECTED;
	for (unsigned int i = 0; i < ARRAY_SIZE(looped); i++) {
		if (mcr & 1u << i)
			lines |= looped[i];
	}
	return lines;
}

static void mcr_write(struct uart *u, uint8_t val)
{
	uint8_t before = modem_lines(u->mcr), after;
	uint8_t changed;

	u->mcr = val & MCR_MASK;
	after = modem_lines(u->mcr);
	/* 8.9: CTS, DSR and DCD tell every change, RI its falling edge only. */
	changed = (before ^ after) & (MSR_CONNECTED | (before & MSR_RI));
	u->modem_deltas |= changed >> MSR_DELTA_SHIFT;
	if ((u->mcr & (MCR_RTS | MCR_LOOP)) == MCR_RTS)
		u->rts_used = true;
	rx_fill(u);
}

static uint8_t lsr_read(struct uart *u)
{
	uint8_t val = 0;

	/* A guest that waits for the transmitter polls too, but then THRE is off. */
	u->n_polls = u->tx.n > 0 || u->ier & IER_ERBFI ? 0 : u->n_polls + 1;
	if (u->n_polls == POLLS_OF_A_RECEIVER) {
		u->polls = true;
		tell_flow(u);
	}
	if (u->rx.n == 0)
		rx_fill(u);
	if (u->rx.n > 0)
		val |= LSR_DR;
	if (u->overrun)
		val |= LSR_OE;
	if (u->tx.n == 0)
		val |= LSR_THRE | LSR_TEMT;
	u->overrun = false; /* 8.4: reading clears the errors */
	return val;
}

static uint8_t msr_read(struct uart *u)
{
	uint8_t val = modem_lines(u->mcr) | u->modem_deltas;

	u->modem_deltas = 0;
	return val;
}

/* The bus's side ---------------------------------------------------------------------------- */

static uint8_t register_read(struct uart *u, unsigned int reg)
{
	if (u->lcr & LCR_DLAB && reg <= DLM)
		return reg == DLL ? u->dll : u->dlm;
	switch (reg) {
	case RBR_THR:
		return rbr_read(u);
	case IER:
		return u->ier;
	case IIR_FCR:
		return iir_read(u);
	case LCR:
		return u->lcr;
	case MCR:
		return u->mcr;
	case LSR:
		return lsr_read(u);
	case MSR:
		return msr_read(u);
	default:
		return u->scr;
	}
}

static void register_write(struct uart *u, unsigned int reg, uint8_t val)
{
	if (u->lcr & LCR_DLAB && reg <= DLM) {
		*(reg == DLL ? &u->dll : &u->dlm) = val; /* no line, no speed: kept to be read */
		return;
	}
	switch (reg) {
	case RBR_THR:
		thr_write(u, val);
		break;
	case IER:
		ier_write(u, val);
		break;
	case IIR_FCR:
		fcr_write(u, val);
		break;
	case LCR:
		u->lcr = val; /* only DLAB has a meaning without a line */
		break;
	case MCR:
		mcr_write(u, val);
		break;
	case SCR:
		u->scr = val;
		break;
	default:
		break; /* LSR and MSR are there to be read (8.4) */
	}
}

static uint64_t uart_read(void *p, uint64_t off, unsigned int size)
{
	struct uart *u = p;
	uint8_t val;

	(void)size; /* always 1 */
	pthread_mutex_lock(&u->lock);
	val = register_read(u, (unsigned int)off);
	u->thr_written_last = false;
	if (off != LSR)
		u->n_polls = 0;
	irq_update(u);
	pthread_mutex_unlock(&u->lock);
	return val;
}

static void uart_write(void *p, uint64_t off, unsigned int size, uint64_t val)
{
	struct uart *u = p;

	(void)size; /* always 1 */
	pthread_mutex_lock(&u->lock);
	register_write(u, (unsigned int)off, (uint8_t)val);
	u->thr_written_last = off == RBR_THR;
	u->n_polls = 0;
	irq_update(u);
	pthread_mutex_unlock(&u->lock);
}

static const struct bus_ops uart_bus_ops = {
	.name = "uart16550",
	.max_size = 1, /* a wider access is one of each register, as on an ISA bus */
	.read = uart_read,
	.write = uart_write,
};

/* The chardev's side: loop thread ----------------------------------------------------------- */

static void uart_input(void *arg)
{
	struct uart *u = arg;

	pthread_mutex_lock(&u->lock);
	rx_fill(u);
	irq_update(u);
	pthread_mutex_unlock(&u->lock);
}

static void uart_room(void *arg)
{
	struct uart *u = arg;

	pthread_mutex_lock(&u->lock);
	tx_push(u);
	irq_update(u);
	pthread_mutex_unlock(&u->lock);
}

static const struct chardev_events uart_events = { .input = uart_input, .room = uart_room };

/* The machine's side ------------------------------------------------------------------------ */

static void registers_init(struct uart *u)
{
	u->ier = u->fcr = u->lcr = u->mcr = u->scr = 0; /* 8.0, table I */
	u->dll = u->dlm = 0;
	u->modem_deltas = 0;
	u->overrun = u->thr_empty_event = false;
	u->thr_written_last = u->rts_used = u->polls = false;
	u->n_polls = 0;
	u->rx_looped = false;
	u->rx = u->tx = u->again = (struct fifo){ 0 };
}

static void uart_reset(struct device *d)
{
	struct uart *u = container_of(d, struct uart, dev);

	pthread_mutex_lock(&u->lock);
	registers_init(u);
	irq_update(u);
	tell_flow(u);
	pthread_mutex_unlock(&u->lock);
}

static void uart_counters(struct device *d, metric_fn fn, void *arg)
{
	const struct uart *u = container_of(d, struct uart, dev);

	fn(arg, "rx_bytes", metric_get(&u->n_rx));
	fn(arg, "tx_bytes", metric_get(&u->n_tx));
}

static void uart_destroy(struct device *d)
{
	struct uart *u = container_of(d, struct uart, dev);

	bus_unmap(u->pio, UART_COM1_BASE);
	chardev_listen(u->line, NULL, NULL);
	pthread_mutex_destroy(&u->lock);
	free(u);
}

static const struct device_ops uart_ops = {
	.type = "uart16550",
	.reset = uart_reset,
	.counters = uart_counters,
	.destroy = uart_destroy,
};

int uart16550_create(struct device **out, const struct device_env *env, struct err *e)
{
	struct uart *u = calloc(1, sizeof(*u));

	if (!u)
		return err_set(e, -ENOMEM, "uart16550: out of memory");
	*u = (struct uart){
		.dev.ops = &uart_ops,
		.pio = env->pio,
		.line = env->console,
		.irq = device_irq(env, UART_COM1_IRQ),
		.lock = PTHREAD_MUTEX_INITIALIZER,
	};
	registers_init(u);
	if (bus_map(u->pio, UART_COM1_BASE, N_PORTS, &uart_bus_ops, u, e) < 0) {
		free(u);
		return err_wrap(e, "uart16550");
	}
	chardev_listen(u->line, &uart_events, u);
	*out = &u->dev;
	return 0;
}
