/*
 * test_uart16550_rx.c - the serial port's receiver: what the host types reaches the driver, all of
 * it.
 */
#include "uart_driver.h"

START_TEST(early_input_waits_until_the_driver_wants_interrupts)
{
	start();
	type("early");
	/* serial8250_do_startup(): empty everything "for luck". */
	out(FCR, FCR_ON);
	out(FCR, FCR_CLEAR);
	out(FCR, 0);
	for (int i = 0; i < 8; i++) {
		(void)in(LSR);
		(void)in(RBR);
		(void)in(IIR);
		(void)in(MSR);
	}
	ck_assert_uint_eq(fake_chardev_untaken(host), 5);
	out(FCR, FCR_ON);
	out(MCR, DTR | RTS | OUT2);
	ck_assert_uint_eq(in(LSR), TX_EMPTY);
	out(IER, RDI | RLSI);
	ck_assert(line());
	for (const char *c = "early"; *c; c++) {
		ck_assert_uint_eq(in(LSR), TX_EMPTY | DR);
		ck_assert_uint_eq(in(RBR), *c);
	}
	ck_assert_uint_eq(in(LSR), TX_EMPTY);
	ck_assert(!line());
	stop();
}
END_TEST

START_TEST(input_waits_while_rts_is_down)
{
	start_receiving();
	out(MCR, DTR | OUT2);
	type("x");
	ck_assert_uint_eq(in(LSR), TX_EMPTY);
	ck_assert(!line());
	out(MCR, DTR | RTS | OUT2);
	ck_assert(line());
	ck_assert_uint_eq(in(RBR), 'x');
	stop();
}
END_TEST

START_TEST(a_guest_that_never_raised_rts_does_no_flow_control)
{
	start();
	out(MCR, LOOP | RTS); /* in loopback RTS does not leave the chip */
	out(MCR, OUT2);
	out(IER, RDI);
	type("x");
	ck_assert(line());
	ck_assert_uint_eq(in(RBR), 'x');
	stop();
}
END_TEST

static unsigned int polls_until_data(unsigned int max)
{
	for (unsigned int n = 1; n <= max; n++) {
		if (in(LSR)&DR)
			return n;
	}
	return 0;
}

START_TEST(a_guest_that_only_polls_gets_input_too)
{
	start();
	type("polled");
	ck_assert_uint_eq(polls_until_data(63), 0);
	(void)in(SCR); /* something else in between: it does more than poll */
	ck_assert_uint_eq(polls_until_data(100), 64);
	for (const char *c = "polled"; *c; c++) {
		ck_assert_uint_eq(polls_until_data(1), 1);
		ck_assert_uint_eq(in(RBR), *c);
	}
	send("answer");
	type("more");
	ck_assert_uint_eq(polls_until_data(1), 1);
	out(FCR, FCR_CLEAR); /* a driver takes over */
	type("!");
	ck_assert_uint_eq(polls_until_data(1), 0);
	stop();
}
END_TEST

START_TEST(waiting_for_the_transmitter_is_not_polling_for_input)
{
	start_with_room(1);
	send("ab");
	type("x");
	ck_assert_uint_eq(polls_until_data(1000), 0);
	stop();
}
END_TEST

START_TEST(input_longer_than_the_fifo_arrives_complete_and_in_order)
{
	uint8_t text[1000];

	for (unsigned int i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)(i * 7 + (i >> 8));
	for (int fifo = 0; fifo < 2; fifo++) {
		start_receiving();
		out(FCR, fifo ? 0x81 : 0);
		fake_chardev_type(host, text, sizeof(text));
		ck_assert_uint_eq(fake_chardev_untaken(host),
				  sizeof(text) - (fifo ? FIFO_BYTES : 1));
		for (unsigned int i = 0; i < sizeof(text); i++) {
			ck_assert_uint_eq(in(LSR), TX_EMPTY | DR);
			ck_assert_uint_eq(in(RBR), text[i]);
		}
		ck_assert_uint_eq(in(LSR), TX_EMPTY);
		stop();
	}
}
END_TEST

START_TEST(below_the_trigger_level_it_is_a_timeout)
{
	static const unsigned int levels[] = { 1, 4, 8, 14 };

	for (unsigned int i = 0; i < 4; i++) {
		start_receiving();
		out(FCR, FCR_ON | i << 6);
		for (unsigned int n = 1; n <= FIFO_BYTES; n++) {
			type("x");
			ck_assert_uint_eq(in(IIR), IIR_FIFO | (n < levels[i] ? 0x0c : 0x04));
			ck_assert(line());
		}
		for (unsigned int n = FIFO_BYTES; n > 0; n--) {
			ck_assert_uint_eq(in(IIR), IIR_FIFO | (n < levels[i] ? 0x0c : 0x04));
			(void)in(RBR);
		}
		ck_assert_uint_eq(in(IIR), IIR_FIFO | IIR_NONE);
		ck_assert(!line());
		stop();
	}
}
END_TEST

START_TEST(a_driver_that_takes_one_byte_per_interrupt_gets_an_edge_for_each)
{
	for (int fifo = 0; fifo < 2; fifo++) {
		start_receiving();
		out(FCR, fifo ? 0xc1 : 0); /* trigger 14: what many small systems set */
		(void)edges();
		type("0123456789");
		for (const char *c = "0123456789"; *c; c++) {
			ck_assert_uint_eq(edges(), 1);
			ck_assert_uint_eq(in(RBR), *c);
		}
		ck_assert_uint_eq(edges(), 0);
		ck_assert(!line());
		stop();
	}
}
END_TEST

START_TEST(clearing_the_receive_fifo_empties_it)
{
	start_receiving();
	type("abc");
	ck_assert(line());
	out(IER, 0);
	out(FCR, FCR_ON | 0x02);
	ck_assert_uint_eq(in(LSR), TX_EMPTY);
	out(IER, RDI); /* it comes again: see below */
	out(IER, 0);
	out(FCR, 0); /* so does switching it off */
	ck_assert_uint_eq(in(LSR), TX_EMPTY);
	out(FCR, 0x02); /* no effect without bit 0 */
	ck_assert_uint_eq(in(IIR), IIR_NONE);
	stop();
}
END_TEST

/* Linux's 8250 asks for interrupts before it enables the FIFO, and enabling clears it. */
START_TEST(what_the_driver_clears_unread_comes_again_in_order)
{
	static const char text[] = "0123456789abcdefghij";

	start();
	type(text);
	out(MCR, DTR | RTS | OUT2);
	out(IER, RDI); /* one byte deep: the first is in RBR now */
	out(FCR, FCR_CLEAR);
	out(IER, 0);
	out(FCR, FCR_CLEAR); /* and with all sixteen there */
	ck_assert_uint_eq(in(LSR), TX_EMPTY);
	out(IER, RDI);
	for (unsigned int i = 0; text[i]; i++)
		ck_assert_uint_eq(in(RBR), (uint8_t)text[i]);
	ck_assert_uint_eq(in(LSR), TX_EMPTY);
	stop();
}
END_TEST

START_TEST(what_loopback_has_put_there_does_not_come_again)
{
	start_receiving();
	out(MCR, LOOP);
	send("looped");
	out(FCR, FCR_CLEAR);
	out(MCR, DTR | RTS | OUT2);
	ck_assert_uint_eq(in(LSR), TX_EMPTY);
	stop();
}
END_TEST

START_TEST(a_driver_that_watches_the_modem_lines_does_flow_control)
{
	start_receiving();
	ck_assert(!fake_chardev_is_flow_controlled(host));
	out(IER, RDI | MSI);
	ck_assert(fake_chardev_is_flow_controlled(host));
	out(IER, RDI);
	ck_assert(!fake_chardev_is_flow_controlled(host));
	out(IER, MSI); /* not receiving */
	ck_assert(!fake_chardev_is_flow_controlled(host));
	out(IER, RDI | MSI);
	dev->ops->reset(dev); /* another kernel may do none */
	ck_assert(!fake_chardev_is_flow_controlled(host));
	stop();
}
END_TEST

START_TEST(a_guest_that_polls_cannot_be_overrun)
{
	start();
	for (unsigned int i = 0; i < 64; i++)
		(void)in(LSR);
	ck_assert(fake_chardev_is_flow_controlled(host));
	out(FCR, FCR_CLEAR); /* a driver starts */
	ck_assert(!fake_chardev_is_flow_controlled(host));
	stop();
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("uart16550_rx");

	UNIT_TEST(s, early_input_waits_until_the_driver_wants_interrupts);
	UNIT_TEST(s, input_waits_while_rts_is_down);
	UNIT_TEST(s, a_guest_that_never_raised_rts_does_no_flow_control);
	UNIT_TEST(s, a_guest_that_only_polls_gets_input_too);
	UNIT_TEST(s, waiting_for_the_transmitter_is_not_polling_for_input);
	UNIT_TEST(s, input_longer_than_the_fifo_arrives_complete_and_in_order);
	UNIT_TEST(s, below_the_trigger_level_it_is_a_timeout);
	UNIT_TEST(s, a_driver_that_takes_one_byte_per_interrupt_gets_an_edge_for_each);
	UNIT_TEST(s, clearing_the_receive_fifo_empties_it);
	UNIT_TEST(s, what_the_driver_clears_unread_comes_again_in_order);
	UNIT_TEST(s, what_loopback_has_put_there_does_not_come_again);
	UNIT_TEST(s, a_driver_that_watches_the_modem_lines_does_flow_control);
	UNIT_TEST(s, a_guest_that_polls_cannot_be_overrun);
	return s;
}

UNIT_MAIN("uart16550_rx", suite)
