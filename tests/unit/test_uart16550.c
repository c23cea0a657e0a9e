/*
 * test_uart16550.c - the serial port, seen by a driver on one side and by the host on the other.
 */
#include "uart_driver.h"
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
/* Registers --------------------------------------------------------------------------------- */

static void ck_power_on_values(void)
{
	static const uint8_t want[] = { 0, 0, IIR_NONE, 0, 0, TX_EMPTY, 0xb0, 0 };

	for (unsigned int reg = 0; reg < sizeof(want); reg++)
		ck_assert_uint_eq(in(reg), want[reg]);
	ck_assert(!line());
}

START_TEST(the_power_on_values_are_those_of_the_data_sheet)
{
	start();
	ck_power_on_values();
	stop();
}
END_TEST

START_TEST(a_reset_is_as_good_as_power_on)
{
	start_receiving();
	type("abc");
	out(SCR, 0x55);
	out(LCR, DLAB);
	out(0, 0x12);
	out(LCR, 0x1b);
	out(MCR, LOOP | RTS | OUT1);
	out(MCR, RTS | OUT2);
	out(IER, RDI | THRI | RLSI | MSI);
	ck_assert(line());
	dev->ops->reset(dev);
	ck_power_on_values();
	out(LCR, DLAB);
	ck_assert_uint_eq(in(0), 0);
	stop();
}
END_TEST

START_TEST(plain_registers_keep_their_bits)
{
	start();
	out(SCR, 0xa5);
	out(LCR, 0x7f);
	out(IER, 0xff);
	out(MCR, 0xff);
	ck_assert_uint_eq(in(SCR), 0xa5);
	ck_assert_uint_eq(in(LCR), 0x7f);
	ck_assert_uint_eq(in(IER), 0x0f); /* no sleep modes: those are later chips */
	ck_assert_uint_eq(in(MCR), 0x1f);
	out(LSR, 0x00);
	out(MSR, 0x00);
	ck_assert_uint_eq(in(LSR), TX_EMPTY);
	stop();
}
END_TEST

START_TEST(the_divisor_hides_behind_dlab)
{
	start();
	out(IER, MSI);
	out(LCR, DLAB);
	out(0, 0x34);
	out(1, 0x12);
	ck_assert_uint_eq(in(0), 0x34);
	ck_assert_uint_eq(in(1), 0x12);
	out(LCR, 0x03);
	ck_assert_uint_eq(in(IER), MSI);
	ck_host_gets("");
	stop();
}
END_TEST

START_TEST(a_wide_access_is_one_of_each_register)
{
	const uint8_t word[] = { 'x', THRI };
	uint8_t all[8];

	start();
	bus_write(f.pio, UART_COM1_BASE, word, sizeof(word));
	ck_host_gets("x");
	out(SCR, 0x77);
	bus_read(f.pio, UART_COM1_BASE, all, sizeof(all));
	ck_assert_mem_eq(all, "\x00\x02\x02\x00\x00\x60\xb0\x77", sizeof(all));
	stop();
}
END_TEST

/* What Linux 6.1 does in 8250_port.c: autoconfig() and the first lines of size tests. */
START_TEST(linux_takes_it_for_a_16550a)
{
	start();
	out(IER, 0);
	ck_assert_uint_eq(in(IER)&0x0f, 0);
	out(IER, 0x0f);
	ck_assert_uint_eq(in(IER)&0x0f, 0x0f);
	out(IER, 0);
	out(MCR, LOOP | 0x0a);
	ck_assert_uint_eq(in(MSR)&0xf0, 0x90);
	out(MCR, 0);
	out(LCR, 0xbf); /* where later chips have an EFR: must not read as 0 */
	out(FCR, 0);
	out(LCR, 0);
	out(FCR, FCR_ON);
	ck_assert_uint_eq(in(IIR) >> 6, 3);
	out(LCR, DLAB);
	ck_assert_uint_ne(in(2), 0);
	out(LCR, 0xbf);
	ck_assert_uint_ne(in(2), 0);
	out(LCR, 0);
	out(FCR, FCR_ON | 0x20); /* 64-byte FIFO of a 16750 */
	ck_assert_uint_eq(in(IIR) >> 5, 6);
	out(IER, 0x40); /* XScale's "UART unit enable" */
	ck_assert_uint_eq(in(IER), 0);
	stop();
}
END_TEST

/* Transmitter ------------------------------------------------------------------------------- */

START_TEST(a_byte_written_is_sent_at_once)
{
	start();
	send("hello");
	ck_assert_uint_eq(in(LSR), TX_EMPTY);
	ck_host_gets("hello");
	stop();
}
END_TEST

/* 8250_port.c, serial8250_do_startup(): UART_BUG_THRE and UART_BUG_TXEN. */
START_TEST(linux_finds_no_bug_in_the_transmitter_interrupt)
{
	start();
	for (int i = 0; i < 2; i++) {
		out(IER, THRI);
		ck_assert_uint_eq(in(IIR), 0x02);
		out(IER, 0);
		ck_assert_uint_eq(in(IIR), IIR_NONE);
	}
	out(IER, THRI);
	ck_assert_uint_eq(in(LSR), TX_EMPTY);
	ck_assert_uint_eq(in(IIR), 0x02);
	stop();
}
END_TEST

START_TEST(reading_iir_takes_the_transmitter_interrupt_back)
{
	start();
	out(MCR, OUT2);
	out(IER, THRI);
	ck_assert(line());
	ck_assert_uint_eq(in(IIR), 0x02);
	ck_assert(!line());
	ck_assert_uint_eq(in(IIR), IIR_NONE);
	out(IER, THRI); /* it was enabled already */
	ck_assert_uint_eq(in(IIR), IIR_NONE);
	send("x");
	ck_assert(line());
	ck_assert_uint_eq(in(IIR), 0x02);
	stop();
}
END_TEST

START_TEST(a_driver_that_never_reads_iir_gets_an_edge_for_each_byte)
{
	start();
	out(MCR, OUT2);
	out(IER, THRI);
	ck_assert_uint_eq(edges(), 1);
	for (int i = 0; i < 5; i++) {
		send("x");
		ck_assert_uint_eq(edges(), 1);
	}
	stop();
}
END_TEST

START_TEST(a_burst_into_the_fifo_is_one_edge)
{
	start();
	out(FCR, FCR_CLEAR);
	out(MCR, OUT2);
	out(IER, THRI);
	for (int i = 0; i < 5; i++) {
		(void)in(IIR);
		(void)edges();
		send("0123456789abcdef");
		ck_assert_uint_eq(edges(), 1);
	}
	stop();
}
END_TEST

START_TEST(while_the_host_does_not_read_the_transmitter_is_not_empty)
{
	start_with_room(4);
	out(MCR, OUT2);
	out(FCR, FCR_CLEAR);
	out(IER, THRI);
	send("1234");
	ck_assert_uint_eq(in(LSR), TX_EMPTY);
	ck_assert_uint_eq(in(IIR), IIR_FIFO | 0x02);
	send("5");
	ck_assert_uint_eq(in(LSR), 0);
	ck_assert_uint_eq(in(IIR), IIR_FIFO | IIR_NONE);
	ck_assert(!line());
	out(IER, 0);
	out(IER, THRI); /* no event while it is not empty */
	ck_assert(!line());
	ck_host_gets("1234");
	ck_assert_uint_eq(in(LSR), TX_EMPTY);
	ck_assert(line());
	ck_assert_uint_eq(in(IIR), IIR_FIFO | 0x02);
	ck_host_gets("5");
	stop();
}
END_TEST

START_TEST(a_driver_that_fills_the_fifo_on_thre_loses_nothing)
{
	char got[64];
	size_t n, total = 0;

	start_with_room(5);
	out(FCR, FCR_CLEAR);
	for (int burst = 0; burst < 10; burst++) {
		for (int i = 0; i < FIFO_BYTES; i++)
			out(THR, (unsigned int)(burst * FIFO_BYTES + i));
		while (in(LSR) != TX_EMPTY) {
			n = fake_chardev_take(host, got, sizeof(got));
			for (size_t i = 0; i < n; i++)
				ck_assert_uint_eq((uint8_t)got[i], total++);
		}
	}
	total += fake_chardev_take(host, got, sizeof(got));
	ck_assert_uint_eq(total, (size_t)10 * FIFO_BYTES);
	stop();
}
END_TEST

START_TEST(what_does_not_fit_into_a_full_fifo_is_lost)
{
	start_with_room(1);
	send("abcd"); /* one sent, one held, no FIFO */
	ck_host_gets("a");
	ck_host_gets("b");
	ck_host_gets("");
	out(FCR, FCR_CLEAR);
	send("a0123456789abcdefXYZ");
	for (const char *c = "a0123456789abcdef"; *c; c++)
		ck_host_gets((const char[]){ *c, '\0' });
	ck_host_gets("");
	stop();
}
END_TEST

START_TEST(clearing_the_transmit_fifo_makes_it_empty)
{
	start_with_room(1);
	out(MCR, OUT2);
	out(FCR, FCR_CLEAR);
	send("abc");
	out(IER, THRI);
	ck_assert(!line());
	out(FCR, FCR_ON | 0x04);
	ck_assert(line());
	ck_assert_uint_eq(in(LSR), TX_EMPTY);
	ck_host_gets("a");
	ck_host_gets("");
	stop();
}
END_TEST

/* Interrupts and modem lines ------------------------------------------------------------------ */

START_TEST(out2_connects_the_interrupt)
{
	start();
	out(IER, THRI);
	ck_assert(!line());
	ck_assert_uint_eq(in(MSR)&0xf, 0);
	out(MCR, OUT2);
	ck_assert(line());
	out(MCR, 0);
	ck_assert(!line());
	out(MCR, OUT2 | LOOP);
	ck_assert(!line());
	stop();
}
END_TEST

START_TEST(the_line_is_told_only_when_it_changes)
{
	start();
	out(MCR, OUT2);
	for (int i = 0; i < 100; i++) {
		(void)in((unsigned int)i % 8);
		out(SCR, (unsigned int)i);
	}
	ck_assert_uint_eq(f.irq[UART_COM1_IRQ].n_calls, 0);
	stop();
}
END_TEST

START_TEST(iir_names_the_most_urgent_source_first)
{
	start();
	out(FCR, FCR_CLEAR | 0x40); /* trigger 4 */
	out(MCR, LOOP);
	for (int i = 0; i < FIFO_BYTES + 1; i++)
		out(THR, 'x'); /* fills the receiver, and overruns */
	out(MCR, LOOP | RTS);
	out(IER, RDI | THRI | RLSI | MSI);
	ck_assert_uint_eq(in(IIR), IIR_FIFO | 0x06);
	ck_assert_uint_eq(in(LSR), TX_EMPTY | OE | DR);
	ck_assert_uint_eq(in(IIR), IIR_FIFO | 0x04);
	for (int i = 0; i < FIFO_BYTES - 3; i++)
		(void)in(RBR);
	ck_assert_uint_eq(in(IIR), IIR_FIFO | 0x0c);
	for (int i = 0; i < 3; i++)
		(void)in(RBR);
	ck_assert_uint_eq(in(IIR), IIR_FIFO | 0x02);
	ck_assert_uint_eq(in(IIR), IIR_FIFO | 0x00);
	ck_assert_uint_eq(in(MSR)&0x0f, 0x0b); /* CTS rose; DSR... fell when loopback began */
	ck_assert_uint_eq(in(IIR), IIR_FIFO | IIR_NONE);
	stop();
}
END_TEST

START_TEST(in_loopback_what_is_sent_is_received_and_stays_inside)
{
	start_receiving();
	out(MCR, LOOP | RTS);
	type("from outside");
	send("inside");
	for (const char *c = "inside"; *c; c++) {
		ck_assert_uint_eq(in(LSR), TX_EMPTY | DR);
		ck_assert_uint_eq(in(RBR), *c);
	}
	ck_assert_uint_eq(in(LSR), TX_EMPTY);
	ck_host_gets("");
	out(MCR, RTS | OUT2);
	ck_assert(line());
	ck_assert_uint_eq(in(RBR), 'f');
	stop();
}
END_TEST

START_TEST(in_loopback_the_receiver_can_overrun)
{
	start();
	out(MCR, LOOP);
	send("ab"); /* without FIFO the newer byte replaces the older */
	ck_assert_uint_eq(in(LSR), TX_EMPTY | DR | OE);
	ck_assert_uint_eq(in(LSR), TX_EMPTY | DR);
	ck_assert_uint_eq(in(RBR), 'b');
	out(FCR, FCR_CLEAR);
	send("0123456789abcdefXY"); /* with FIFO it is lost */
	ck_assert_uint_eq(in(LSR), TX_EMPTY | DR | OE);
	for (const char *c = "0123456789abcdef"; *c; c++)
		ck_assert_uint_eq(in(RBR), *c);
	ck_assert_uint_eq(in(LSR), TX_EMPTY);
	stop();
}
END_TEST

START_TEST(in_loopback_the_modem_outputs_are_the_inputs)
{
	static const uint8_t want[] = { 0x20, 0x10, 0x40, 0x80 }; /* DTR RTS OUT1 OUT2 */

	start();
	out(MCR, LOOP);
	ck_assert_uint_eq(in(MSR), 0x0b); /* CTS, DSR and DCD have gone */
	for (unsigned int i = 0; i < 4; i++) {
		uint8_t delta = want[i] >> 4;

		out(MCR, LOOP | 1u << i);
		/* RI tells its end, not its beginning. */
		ck_assert_uint_eq(in(MSR), want[i] | (1u << i == OUT1 ? 0 : delta));
		ck_assert_uint_eq(in(MSR), want[i]); /* reading clears the changes */
		out(MCR, LOOP);
		ck_assert_uint_eq(in(MSR), delta);
	}
	out(MCR, 0);
	ck_assert_uint_eq(in(MSR), 0xbb);
	ck_assert_uint_eq(in(MSR), 0xb0);
	stop();
}
END_TEST

/* Everything at once -------------------------------------------------------------------------- */

START_TEST(no_sequence_of_accesses_upsets_the_chip)
{
	char got[64];
	unsigned int seed = 1;

	start_with_room(8);
	for (int n = 0; n < 300000; n++) {
		seed = seed * 1664525 + 1013904223;
		if (seed >> 31)
			out(seed >> 28 & 7, seed >> 16);
		else
			(void)in(seed >> 28 & 7);
		if (n % 16 == 0 && fake_chardev_untaken(host) < 100)
			type("some text");
		if (n % 64 == 0)
			(void)fake_chardev_take(host, got, sizeof(got));
	}
	/* Whatever state that left it in, a driver can start from here. */
	while (fake_chardev_take(host, got, sizeof(got)) > 0)
		;
	out(LCR, 0x03);
	out(IER, 0);
	out(FCR, FCR_CLEAR);
	out(MCR, DTR | RTS | OUT2);
	ck_assert_uint_eq(in(LSR)&TX_EMPTY, TX_EMPTY);
	send("alive");
	ck_host_gets("alive");
	stop();
}
END_TEST

#define N_TRAFFIC 20000

static atomic_bool traffic_over;

static void *transmit(void *arg)
{
	(void)arg;
	for (unsigned int i = 0; i < N_TRAFFIC; i++) {
		while (!(in(LSR)&0x20))
			sched_yield();
		out(THR, i % 251);
	}
	return NULL;
}

static void *receive(void *arg)
{
	unsigned int *n_wrong = arg;

	for (unsigned int i = 0; i < N_TRAFFIC; i++) {
		while (!(in(LSR)&DR))
			sched_yield();
		if (in(RBR) != i % 241)
			(*n_wrong)++;
	}
	return NULL;
}

static void *meddle(void *arg)
{
	(void)arg;
	for (unsigned int i = 0; !traffic_over; i++) {
		(void)in(i % 2 ? IIR : MSR);
		out(SCR, i);
		out(IER, RDI | (i & THRI));
		sched_yield();
	}
	return NULL;
}

/* The host's side of the traffic, as the loop thread would do it. */
static unsigned int serve_host(void)
{
	unsigned int typed = 0, taken = 0, n_wrong = 0;
	uint8_t buf[64];

	while (taken < N_TRAFFIC || typed < N_TRAFFIC) {
		size_t n = fake_chardev_take(host, buf, sizeof(buf));

		for (size_t i = 0; i < n; i++, taken++)
			n_wrong += buf[i] != taken % 251;
		if (fake_chardev_untaken(host) > 100)
			continue;
		for (n = 0; n < 37 && typed < N_TRAFFIC; n++, typed++)
			buf[n] = (uint8_t)(typed % 241);
		if (n > 0)
			fake_chardev_type(host, buf, n);
	}
	return n_wrong;
}

START_TEST(traffic_both_ways_from_several_threads_arrives_complete_and_in_order)
{
	unsigned int n_received_wrong = 0;
	pthread_t tx, rx, other;

	start_with_room(50);
	out(FCR, 0x81);
	out(MCR, DTR | RTS | OUT2);
	out(IER, RDI);
	traffic_over = false;
	pthread_create(&tx, NULL, transmit, NULL);
	pthread_create(&rx, NULL, receive, &n_received_wrong);
	pthread_create(&other, NULL, meddle, NULL);
	ck_assert_uint_eq(serve_host(), 0);
	pthread_join(tx, NULL);
	pthread_join(rx, NULL);
	traffic_over = true;
	pthread_join(other, NULL);
	ck_assert_uint_eq(n_received_wrong, 0);
	stop();
}
END_TEST

static void add_tests_of_transmitter(Suite *s)
{
	UNIT_TEST(s, a_byte_written_is_sent_at_once);
	UNIT_TEST(s, linux_finds_no_bug_in_the_transmitter_interrupt);
	UNIT_TEST(s, reading_iir_takes_the_transmitter_interrupt_back);
	UNIT_TEST(s, a_driver_that_never_reads_iir_gets_an_edge_for_each_byte);
	UNIT_TEST(s, a_burst_into_the_fifo_is_one_edge);
	UNIT_TEST(s, while_the_host_does_not_read_the_transmitter_is_not_empty);
	UNIT_TEST(s, a_driver_that_fills_the_fifo_on_thre_loses_nothing);
	UNIT_TEST(s, what_does_not_fit_into_a_full_fifo_is_lost);
	UNIT_TEST(s, clearing_the_transmit_fifo_makes_it_empty);
}

static Suite *suite(void)
{
	Suite *s = suite_create("uart16550");

	UNIT_TEST(s, the_power_on_values_are_those_of_the_data_sheet);
	UNIT_TEST(s, a_reset_is_as_good_as_power_on);
	UNIT_TEST(s, plain_registers_keep_their_bits);
	UNIT_TEST(s, the_divisor_hides_behind_dlab);
	UNIT_TEST(s, a_wide_access_is_one_of_each_register);
	UNIT_TEST(s, linux_takes_it_for_a_16550a);
	add_tests_of_transmitter(s);
	UNIT_TEST(s, out2_connects_the_interrupt);
	UNIT_TEST(s, the_line_is_told_only_when_it_changes);
	UNIT_TEST(s, iir_names_the_most_urgent_source_first);
	UNIT_TEST(s, in_loopback_what_is_sent_is_received_and_stays_inside);
	UNIT_TEST(s, in_loopback_the_receiver_can_overrun);
	UNIT_TEST(s, in_loopback_the_modem_outputs_are_the_inputs);
	UNIT_TEST(s, no_sequence_of_accesses_upsets_the_chip);
	UNIT_TEST(s, traffic_both_ways_from_several_threads_arrives_complete_and_in_order);
	return s;
}

UNIT_MAIN("uart16550", suite)
