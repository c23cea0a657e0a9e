/*
 * uart_driver.h - what the tests of the serial port share: a driver on one side, the host on the
 * other.
 */
#ifndef TESTS_UART_DRIVER_H
#define TESTS_UART_DRIVER_H
#include "fake_chardev.h"
#include "fake_env.h"
#include "unit.h"
#include <vmm/bus/bus.h>
#include <vmm/dev/uart16550.h>

enum { RBR = 0, THR = 0, IER = 1, IIR = 2, FCR = 2, LCR = 3, MCR = 4, LSR = 5, MSR = 6, SCR = 7 };

#define RDI 0x01
#define THRI 0x02
#define RLSI 0x04
#define MSI 0x08
#define IIR_NONE 0x01
#define IIR_FIFO 0xc0
#define FCR_ON 0x01
#define FCR_CLEAR 0x07 /* on, and both FIFOs emptied */
#define DLAB 0x80
#define DTR 0x01
#define RTS 0x02
#define OUT1 0x04
#define OUT2 0x08
#define LOOP 0x10
#define DR 0x01
#define OE 0x02
#define TX_EMPTY 0x60 /* THRE, TEMT */

#define FIFO_BYTES 16

static struct fake_env f;
static struct chardev *host;
static struct device *dev;

static inline void start_with_room(size_t room)
{
	struct err e;

	fake_env_init(&f);
	host = fake_chardev_create(room);
	f.env.console = host;
	ck_ok(uart16550_create(&dev, &f.env, &e));
}

static inline void start(void)
{
	start_with_room(FAKE_CHARDEV_BYTES);
}

static inline void stop(void)
{
	dev->ops->destroy(dev);
	ck_assert(!fake_chardev_is_listened_to(host));
	fake_chardev_destroy(host);
	fake_env_fini(&f);
}

static inline uint8_t in(unsigned int reg)
{
	return fake_in8(&f, (uint16_t)(UART_COM1_BASE + reg));
}

static inline void out(unsigned int reg, unsigned int val)
{
	fake_out8(&f, (uint16_t)(UART_COM1_BASE + reg), (uint8_t)val);
}

static inline void send(const char *text)
{
	for (; *text; text++)
		out(THR, (uint8_t)*text);
}

static inline void type(const char *text)
{
	fake_chardev_type(host, text, strlen(text));
}

/* The host takes what the guest has sent: it must be exactly this. */
static inline void ck_host_gets(const char *want)
{
	char got[256];
	size_t n = fake_chardev_take(host, got, sizeof(got) - 1);

	got[n] = '\0';
	ck_assert_str_eq(got, want);
}

static inline bool line(void)
{
	return f.irq[UART_COM1_IRQ].level;
}

/* How often the line has risen since this was last asked: the interrupts of an edge-triggered line.
 */
static inline unsigned int edges(void)
{
	unsigned int n = f.irq[UART_COM1_IRQ].n_rises;

	f.irq[UART_COM1_IRQ].n_rises = 0;
	return n;
}

/* A driver that is ready to receive, FIFOs on, trigger at 1. */
static inline void start_receiving(void)
{
	start();
	out(FCR, FCR_CLEAR);
	out(MCR, DTR | RTS | OUT2);
	out(IER, RDI);
}

#endif
