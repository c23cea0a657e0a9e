/*
 * test_machine.c - how a machine ends and pauses: src/machine on a KVM whose guest is below.
 */
#include "fake_kernel.h"
#include "fake_stderr.h"
#include "machine_guest.h"
#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>
#include <vmm/base/util.h>
#include <vmm/dev/acpi_pm.h>
#include <vmm/dev/exitport.h>
#include <vmm/dev/pvpanic.h>

/* Ends ------------------------------------------------------------------------------------------
 */

GUEST(powers_off)
{
	(void)id, (void)boot;
	return step == 0 ? power_off(run) : never();
}

START_TEST(power_off_ends_the_vm_before_the_next_instruction)
{
	fake_vm_init(&vm, powers_off);
	ck_assert_int_eq(fake_vm_live(&vm), END_POWEROFF);
	ck_assert(!ran_on);
	ck_assert_uint_eq(fake_kvm.n_boots, 1);
	ck_assert(!vm.result.expected);
	fake_vm_fini(&vm);
}
END_TEST

static uint8_t status;

GUEST(exits_with_status)
{
	(void)id, (void)boot;
	return step == 0 ? guest_out(run, EXITPORT_BASE, status) : never();
}

START_TEST(the_exit_port_gives_the_status_of_the_guest)
{
	static const struct {
		uint8_t written;
		unsigned int value;
	} cases[] = { { 0, 0 }, { 1, 1 }, { 119, 119 }, { 120, 119 }, { 255, 119 } };

	status = cases[_i].written;
	fake_vm_init(&vm, exits_with_status);
	ck_assert_int_eq(fake_vm_live(&vm), END_STATUS);
	ck_assert_uint_eq(vm.result.value, cases[_i].value);
	ck_assert(!ran_on);
	fake_vm_fini(&vm);
}
END_TEST

static sem_t speaks, listens_not;

GUEST(says_two_things)
{
	(void)id, (void)boot;
	if (step != 0)
		return never();
	sem_post(&speaks);
	sem_wait(&listens_not);
	guest_print(run, "\x03\x04"); /* rep outsb: one exit */
	run->io.port = EXITPORT_BASE;
	return 0;
}

/* Until the vCPU has said both and is parked. */
static void not_listen(void *arg)
{
	(void)arg;
	sem_wait(&speaks);
	sem_post(&listens_not);
	vcpu_wait(&vm.m->vcpus[0]);
}

START_TEST(the_first_word_of_a_guest_counts)
{
	struct ev_timer busy = { .fn = not_listen };

	sem_init(&speaks, 0, 0);
	sem_init(&listens_not, 0, 0);
	fake_vm_init(&vm, says_two_things);
	fake_vm_build(&vm);
	evloop_timer_set(vm.m->loop, &busy, evloop_now_ns());
	fake_vm_run(&vm);
	ck_assert_int_eq(vm.result.end, END_STATUS);
	ck_assert_uint_eq(vm.result.value, 3);
	ck_assert(!ran_on);
	fake_vm_destroy(&vm);
	fake_vm_fini(&vm);
}
END_TEST

START_TEST(a_halted_guest_ends_at_the_timeout)
{
	fake_vm_init(&vm, NULL);
	vm.cfg.timeout_ns = 30 * NS_PER_MS;
	ck_assert_int_eq(fake_vm_live(&vm), END_TIMEOUT);
	ck_assert_uint_ge(evloop_now_ns() - vm.cfg.start_ns, 30 * NS_PER_MS);
	fake_vm_fini(&vm);
}
END_TEST

GUEST(spins)
{
	(void)id, (void)boot;
	if (step % 2)
		return guest_mmio(run, 0xd0000000, false, 0, 4);
	return guest_in(run, 0x80);
}

START_TEST(a_guest_that_never_stops_exiting_ends_at_the_timeout)
{
	fake_vm_init(&vm, spins);
	vm.cfg.cpus.cores = 4;
	vm.cfg.timeout_ns = 50 * NS_PER_MS;
	ck_assert_int_eq(fake_vm_live(&vm), END_TIMEOUT);
	fake_vm_fini(&vm);
}
END_TEST

GUEST(powers_off_late)
{
	static const struct timespec a_while = { .tv_nsec = 50000000 };

	(void)id, (void)boot;
	if (step == 0)
		nanosleep(&a_while, NULL);
	return power_off(run);
}

START_TEST(the_longest_timeout_does_not_wrap_around)
{
	fake_vm_init(&vm, powers_off_late);
	vm.cfg.timeout_ns = UINT64_MAX;
	ck_assert_int_eq(fake_vm_live(&vm), END_POWEROFF);
	fake_vm_fini(&vm);
}
END_TEST

/* The host and the user ----------------------------------------------------------------------- */

static struct ev_timer timer;

static void in_a_while(void (*fn)(void *))
{
	timer = (struct ev_timer){ .fn = fn };
	evloop_timer_set(vm.m->loop, &timer, evloop_now_ns() + 20 * NS_PER_MS);
}

static void press_x(void *arg)
{
	(void)arg;
	machine_on_command(&vm.m->watch[WATCH_COM1], '?');
	machine_on_command(&vm.m->watch[WATCH_COM1], 'x');
}

START_TEST(the_user_can_end_the_vm)
{
	fake_vm_init(&vm, NULL);
	fake_vm_build(&vm);
	in_a_while(press_x);
	fake_vm_run(&vm);
	ck_assert_int_eq(vm.result.end, END_USER);
	fake_vm_destroy(&vm);
	fake_vm_fini(&vm);
}
END_TEST

static int signo;

static void send_signal(void *arg)
{
	(void)arg;
	raise(signo);
}

START_TEST(a_signal_ends_the_vm_in_good_order)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };

	signo = signals[_i];
	fake_vm_init(&vm, NULL);
	vm.cfg.cpus.cores = 2;
	fake_vm_build(&vm);
	in_a_while(send_signal);
	fake_vm_run(&vm);
	ck_assert_int_eq(vm.result.end, END_SIGNAL);
	ck_assert_int_eq(vm.result.value, signo);
	fake_vm_destroy(&vm);
	fake_vm_fini(&vm);
}
END_TEST

/* Reads the event register until the button has been pressed, then powers off. */
GUEST(obeys_the_button)
{
	(void)boot;
	if (step > 0 && fake_kvm.cpu[id].completed & 1)
		return power_off(run);
	return guest_in(run, ACPI_PM_BASE + ACPI_PM_EVENTS);
}

static void press_p(void *arg)
{
	(void)arg;
	machine_on_command(&vm.m->watch[WATCH_COM1], 'p');
}

START_TEST(the_power_button_reaches_the_guest)
{
	fake_vm_init(&vm, obeys_the_button);
	fake_vm_build(&vm);
	signo = SIGPWR;
	in_a_while(_i ? press_p : send_signal);
	fake_vm_run(&vm);
	ck_assert_int_eq(vm.result.end, END_POWEROFF);
	ck_assert_uint_ge(fake_kvm.n_irq_edges, 1);
	fake_vm_destroy(&vm);
	fake_vm_fini(&vm);
}
END_TEST

/* Crashes ---------------------------------------------------------------------------------------
 */

static uint32_t crash_reason;
static int crash_rc;

GUEST(crashes)
{
	(void)id, (void)boot;
	if (step > 0)
		return never();
	run->internal.suberror = KVM_INTERNAL_ERROR_EMULATION;
	run->exit_reason = crash_reason;
	return crash_rc;
}

START_TEST(a_guest_that_cannot_go_on_has_crashed_and_its_registers_are_shown)
{
	static const struct {
		uint32_t reason;
		int rc;
		const char *words;
	} cases[] = {
		{ KVM_EXIT_SHUTDOWN, 0, "vCPU 0: shutdown (triple fault)" },
		{ KVM_EXIT_INTERNAL_ERROR, 0, "could not emulate" },
		{ KVM_EXIT_FAIL_ENTRY, 0, "fail entry" },
		{ KVM_EXIT_HLT, 0, "hlt" },
		{ 9999, 0, "KVM_EXIT 9999" },
		{ 0, -EFAULT, "KVM_RUN: Bad address" },
	};
	char text[4096];

	crash_reason = cases[_i].reason;
	crash_rc = cases[_i].rc;
	fake_vm_init(&vm, crashes);
	stderr_capture();
	vm.n_fds = count_fds();
	ck_assert_int_eq(fake_vm_live(&vm), END_CRASH);
	stderr_text(text, sizeof(text));
	ck_assert_msg(strstr(text, cases[_i].words) != NULL, "%s", text);
	ck_assert_msg(strstr(text, "rip 0000000001000020") != NULL, "%s", text);
	/* The kernel's bytes from its entry on: FAKE_KERNEL_BYTE(0x20) is 0xe1. */
	ck_assert_msg(strstr(text, "code at rip: e1 e8 ef") != NULL, "%s", text);
	ck_assert(!ran_on);
	fake_vm_fini(&vm);
}
END_TEST

GUEST(others_crash)
{
	(void)boot, (void)step;
	return id == 1 ? guest_exit(run, KVM_EXIT_SHUTDOWN) : FAKE_GUEST_HALTS;
}

START_TEST(one_crashed_cpu_ends_the_vm)
{
	fake_vm_init(&vm, others_crash);
	vm.cfg.cpus.cores = 3;
	stderr_capture();
	vm.n_fds = count_fds();
	ck_assert_int_eq(fake_vm_live(&vm), END_CRASH);
	fake_vm_fini(&vm);
}
END_TEST

GUEST(is_interrupted)
{
	(void)id, (void)boot;
	switch (step) {
	case 0:
		return -EINTR; /* a signal that is nobody's */
	case 1:
		return -EAGAIN;
	case 2:
		return guest_exit(run, KVM_EXIT_INTR);
	case 3:
		return guest_exit(run, KVM_EXIT_IRQ_WINDOW_OPEN);
	default:
		return power_off(run);
	}
}

START_TEST(interruptions_are_no_exits)
{
	fake_vm_init(&vm, is_interrupted);
	ck_assert_int_eq(fake_vm_live(&vm), END_POWEROFF);
	fake_vm_fini(&vm);
}
END_TEST

/* Panics and expected texts -----------------------------------------------------------------------
 */

GUEST(reports_a_panic)
{
	(void)id, (void)boot;
	return step == 0 ? guest_out(run, PVPANIC_BASE, PVPANIC_PANICKED) : never();
}

START_TEST(a_panic_that_is_reported_ends_the_vm)
{
	fake_vm_init(&vm, reports_a_panic);
	ck_assert_int_eq(fake_vm_live(&vm), END_PANIC);
	fake_vm_fini(&vm);
}
END_TEST

static const char *printed[4];
static int (*then)(struct kvm_run *run);

GUEST(prints)
{
	(void)id, (void)boot;
	if (step < ARRAY_SIZE(printed) && printed[step])
		return guest_print(run, printed[step]);
	return then ? then(run) : FAKE_GUEST_HALTS;
}

static int triple_fault(struct kvm_run *run)
{
	return guest_exit(run, KVM_EXIT_SHUTDOWN);
}

START_TEST(a_panic_message_then_a_reset_or_crash_is_a_panic)
{
	printed[0] = "Kernel panic - not syncing: VFS\r\n";
	printed[1] = "Call Trace:\r\n";
	then = _i ? triple_fault : reset;
	fake_vm_init(&vm, prints);
	stderr_capture();
	vm.n_fds = count_fds();
	ck_assert_int_eq(fake_vm_live(&vm), END_PANIC);
	fake_vm_fini(&vm);
}
END_TEST

START_TEST(the_last_line_of_a_panic_then_silence_is_a_panic)
{
	printed[0] = "Kernel panic - not syncing: VFS\r\n";
	printed[1] = "---[ end Kernel panic - not syncing: VFS ]---\r\n";
	then = NULL;
	fake_vm_init(&vm, prints);
	ck_assert_int_eq(fake_vm_live(&vm), END_PANIC);
	fake_vm_fini(&vm);
}
END_TEST

START_TEST(an_old_panic_that_is_printed_is_not_one)
{
	printed[0] = "# dmesg\r\nKernel panic - not syncing: VFS\r\n";
	printed[1] = "---[ end Kernel panic - not syncing: VFS ]---\r\n";
	printed[2] = "# reboot\r\nreboot: Restarting system\r\n";
	then = reset;
	fake_vm_init(&vm, prints);
	vm.cfg.exit_on_reboot = true;
	ck_assert_int_eq(fake_vm_live(&vm), END_REBOOT);
	fake_vm_fini(&vm);
}
END_TEST

START_TEST(a_panics_last_line_that_is_printed_and_followed_is_not_one)
{
	printed[0] = "---[ end Kernel panic - not syncing: VFS ]---\r\n";
	printed[1] = "# \r\n";
	then = NULL;
	fake_vm_init(&vm, prints);
	vm.cfg.timeout_ns = 900 * NS_PER_MS; /* longer than a panic takes to be believed */
	ck_assert_int_eq(fake_vm_live(&vm), END_TIMEOUT);
	fake_vm_fini(&vm);
}
END_TEST

START_TEST(the_expected_text_ends_the_vm_with_success)
{
	char text[1024];

	printed[0] = "log";
	printed[1] = "in: ro";
	printed[2] = "ot\r\n";
	then = NULL;
	fake_vm_init(&vm, prints);
	vm.cfg.expect = "login: root";
	stderr_capture();
	vm.n_fds = count_fds();
	ck_assert_int_eq(fake_vm_live(&vm), END_EXPECTED);
	ck_assert(vm.result.expected);
	ck_assert_ptr_nonnull(
		strstr(stderr_text(text, sizeof(text)), "vmm: \"login: root\" after "));
	fake_vm_fini(&vm);
}
END_TEST

/* The power-off may be noticed before the text, which is shown while the console drains. */
START_TEST(a_text_that_comes_just_before_the_end_has_come)
{
	printed[0] = "done";
	then = power_off;
	fake_vm_init(&vm, prints);
	vm.cfg.expect = "done";
	stderr_capture();
	vm.n_fds = count_fds();
	fake_vm_live(&vm);
	ck_assert(vm.result.expected);
	fake_vm_fini(&vm);
}
END_TEST

START_TEST(the_console_is_drained_before_the_end)
{
	static char text[4001];
	char *path = fake_file("", 0), got[4002];
	int fd;

	memset(text, 'x', sizeof(text) - 1);
	printed[0] = text;
	then = power_off;
	fake_vm_init(&vm, prints);
	vm.cfg.serial = (struct chardev_spec){ .kind = CHARDEV_FILE, .path = path };
	ck_assert_int_eq(fake_vm_live(&vm), END_POWEROFF);
	fd = open(path, O_RDONLY);
	ck_assert_int_eq(read(fd, got, sizeof(got)), 4000);
	ck_assert(memcmp(got, text, 4000) == 0);
	close(fd);
	unlink(path);
	free(path);
	fake_vm_fini(&vm);
}
END_TEST

/* Pause -----------------------------------------------------------------------------------------
 */

static bool all_parked, none_pending;
static unsigned int done_before; /* accesses of vCPU 0 until the pause */

/* Not before the guest has been seen to go on, if it is one that does anything. */
static void end_when_on(void *arg)
{
	unsigned int n = __atomic_load_n(&fake_kvm.cpu[0].n_completed, __ATOMIC_RELAXED);

	if (n > done_before || fake_kvm.guest != spins)
		press_x(arg);
	else
		in_a_while(end_when_on);
}

static void resume_and_end(void *arg)
{
	(void)arg;
	ck_assert_uint_eq(fake_kvm.cpu[0].n_completed, done_before);
	machine_on_command(&vm.m->watch[WATCH_COM1], 's');
	ck_assert(!vm.m->paused);
	in_a_while(end_when_on);
}

static void pause_all(void *arg)
{
	(void)arg;
	machine_on_command(&vm.m->watch[WATCH_COM1], 's');
	all_parked = none_pending = vm.m->paused;
	for (unsigned int i = 0; i < vm.m->n_vcpus; i++) {
		pthread_mutex_lock(&vm.m->vcpus[i].lock);
		all_parked &= vm.m->vcpus[i].state == VCPU_PARKED;
		pthread_mutex_unlock(&vm.m->vcpus[i].lock);
		none_pending &= !fake_kvm.cpu[i].pending;
	}
	done_before = fake_kvm.cpu[0].n_completed;
	in_a_while(resume_and_end);
}

START_TEST(a_paused_machine_rests_between_two_instructions_and_goes_on)
{
	fake_vm_init(&vm, _i ? spins : NULL);
	vm.cfg.cpus.cores = 2;
	stderr_capture();
	vm.n_fds = count_fds();
	fake_vm_build(&vm);
	in_a_while(pause_all);
	fake_vm_run(&vm);
	ck_assert_int_eq(vm.result.end, END_USER);
	ck_assert(all_parked && none_pending);
	if (_i)
		ck_assert_uint_gt(fake_kvm.cpu[0].n_completed, done_before);
	fake_vm_destroy(&vm);
	fake_vm_fini(&vm);
}
END_TEST

START_TEST(a_machine_that_never_ran_leaves_nothing_behind)
{
	fake_vm_init(&vm, NULL);
	vm.cfg.cpus.cores = 3;
	fake_vm_build(&vm);
	fake_vm_destroy(&vm);
	machine_destroy(NULL);
	fake_vm_fini(&vm);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("machine");

	UNIT_TEST(s, power_off_ends_the_vm_before_the_next_instruction);
	UNIT_LOOP(s, the_exit_port_gives_the_status_of_the_guest, 5);
	UNIT_TEST(s, the_first_word_of_a_guest_counts);
	UNIT_TEST(s, a_halted_guest_ends_at_the_timeout);
	UNIT_TEST(s, a_guest_that_never_stops_exiting_ends_at_the_timeout);
	UNIT_TEST(s, the_longest_timeout_does_not_wrap_around);
	UNIT_TEST(s, the_user_can_end_the_vm);
	UNIT_LOOP(s, a_signal_ends_the_vm_in_good_order, 4);
	UNIT_LOOP(s, the_power_button_reaches_the_guest, 2);
	UNIT_LOOP(s, a_guest_that_cannot_go_on_has_crashed_and_its_registers_are_shown, 6);
	UNIT_TEST(s, one_crashed_cpu_ends_the_vm);
	UNIT_TEST(s, interruptions_are_no_exits);
	UNIT_TEST(s, a_panic_that_is_reported_ends_the_vm);
	UNIT_LOOP(s, a_panic_message_then_a_reset_or_crash_is_a_panic, 2);
	UNIT_TEST(s, the_last_line_of_a_panic_then_silence_is_a_panic);
	UNIT_TEST(s, an_old_panic_that_is_printed_is_not_one);
	UNIT_TEST(s, a_panics_last_line_that_is_printed_and_followed_is_not_one);
	UNIT_TEST(s, the_expected_text_ends_the_vm_with_success);
	UNIT_TEST(s, a_text_that_comes_just_before_the_end_has_come);
	UNIT_TEST(s, the_console_is_drained_before_the_end);
	UNIT_LOOP(s, a_paused_machine_rests_between_two_instructions_and_goes_on, 2);
	UNIT_TEST(s, a_machine_that_never_ran_leaves_nothing_behind);
	return s;
}

UNIT_MAIN("machine", suite)
