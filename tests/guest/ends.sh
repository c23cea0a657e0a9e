# shellcheck shell=bash disable=SC2154 # helpers.sh sets what is used here
# ends.sh - how a VM ends, and what a guest finds; sourced by tests/guest/run.

# How a VM ends -------------------------------------------------------------------------------------------------------

the_exit_port_gives_the_exit_status() {
	local n
	for n in 0 1 42 118 119; do status $n vm exit_status --cmdline "status=$n"; done
	status 119 vm exit_status --cmdline status=120
	status 119 vm exit_status --cmdline status=255
}

a_poweroff_is_status_0() {
	status 0 vm poweroff
	[ "$(cat out)" = "powering off" ]
	[ ! -s err ]
}

a_reboot_is_status_0_under_on_reboot_exit() {
	for guest in reset_acpi reset_kbd; do
		status 0 vm $guest --on-reboot exit
		[ "$(cat out)" = resetting ]
	done
}

a_reboot_starts_over_with_fresh_ram() {
	for guest in reset_acpi reset_kbd; do
		status 124 vm $guest --timeout 2s
		[ "$(grep -c '^resetting$' out)" -ge 3 ] || fail "$guest: not reset again and again"
		sed -i '$d' out # which the timeout may have cut
		[ "$(sort -u out)" = resetting ] || fail "$guest: $(sort -u out | head -n 3)"
	done
}

# The first CPU resets, the second one in x2APIC mode, a guest of the guest: see reset_clean.c.
a_reset_leaves_nothing_of_the_guest_before() {
	local real=0 boot
	! grep -qwE 'svm|vmx' /proc/cpuinfo || real=1
	status 0 vm reset_clean --cpus 3 --cmdline "msix=1 real=$real"
	for boot in 0 1 2 3; do
		sed -n "/^boot $boot\$/,/^end\$/{//!p}" out >boot$boot
		[ "$(wc -l <boot$boot)" -ge 100 ] || fail "boot $boot: $(wc -l <boot$boot) lines"
		diff boot0 boot$boot >what || fail "boot $boot: $(sed -n 's/^> //p' what | head -n 5 | tr '\n' ' ')"
	done
}

# Thousands of new VMs can freeze the lab's emulated machine: two storms never meet, and there they are short.
a_reset_storm_does_not_grow_the_vmm_and_ends_when_told() {
	local fds kib more more_fds long=6
	grep -q "QEMU TCG" /proc/cpuinfo && long=4
	# ASan keeps what is freed for a while
	ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}quarantine_size_mb=1 start reset_storm --timeout ${long}s </dev/null
	soon has_vcpu
	sleep 1
	kib=$(high_water_kib) fds=$(n_fds)
	while more=$(high_water_kib) more_fds=$(n_fds) && [ -n "$more" ]; do
		[ "$more" -le $((${kib:=$more} + 4096)) ] || fail "grew from $kib to $more KiB"
		[ "$more_fds" -le "$fds" ] || fail "grew from $fds to $more_fds file descriptors"
		sleep 0.2
	done
	ended 124
	for n in 1 2 3; do
		start reset_storm </dev/null
		sleep 0.$n
		kill -TERM $pid
		ended 143
	done
}

expect_ends_the_vm_with_status_0() {
	status 0 vm spin_halted --expect spinning
	has err '"spinning" after'
	status 0 vm hello --expect "from the guest: some words" --cmdline "some words"
}

an_end_without_the_expected_text_is_123() {
	status 123 vm poweroff --expect "something else"
	has err '"something else"'
	status 123 vm exit_status --expect nothing --cmdline status=0
	status 123 vm exit_status --expect nothing --cmdline status=42
	status 123 vm reset_kbd --expect nothing --on-reboot exit
}

a_bad_end_is_told_even_if_a_text_was_expected() {
	status 121 vm triple_fault --expect nothing
	status 120 vm pvpanic --expect nothing
	status 124 vm spin_halted --expect nothing --timeout 500ms
}

a_panic_reported_by_pvpanic_is_120() {
	status 120 vm pvpanic
	status 120 vm pvpanic --cmdline events=3
}

a_crash_kernel_that_takes_over_is_no_end() {
	status 0 vm pvpanic --cmdline events=2
	has out "still here"
}

a_panic_on_the_console_is_120() {
	local end
	for end in 0 1 2; do
		status 120 vm panic_text --cmdline "end=$end"
		has err panicked
	done
}

a_quoted_panic_is_none() {
	status 0 vm panic_quoted
	status 0 vm panic_quoted --cmdline end=1 --on-reboot exit
}

a_triple_fault_is_121_with_registers_and_code() {
	status 121 vm triple_fault
	has out goodbye
	has err "triple fault"
	has err "rip "
	has err "code at rip: "
	# On AMD processors KVM has reset the vCPU by then (svm.c, shutdown_interception()).
	grep -qw svm /proc/cpuinfo && return
	has err "rax 1234567890abcdef"
	has err "code at rip: 0f 0b"
}

code_where_nothing_is_is_121_with_the_reason() {
	status 121 vm jump_to_nowhere
	has out jumping
	has err "the guest crashed on vCPU 0: "
	has err "rip 00000000d0000000"
	has err "code at rip: not in RAM"
}

the_timeout_ends_every_guest() {
	local began=$SECONDS
	status 124 vm spin_halted --timeout 500ms
	status 124 vm spin_busy --timeout 500ms
	status 124 vm spin_busy --timeout 500ms --cmdline ring=3
	status 124 vm spin_halted --timeout 500ms --cpus 4
	has err "500 ms"
	[ $((SECONDS - began)) -lt 20 ]
}

signals_end_every_guest() {
	local args
	for args in spin_halted spin_busy "spin_busy --cmdline ring=3" "spin_halted --cpus 3"; do
		for signal in TERM:143 INT:130 HUP:129 QUIT:131; do
			# shellcheck disable=SC2086 # words are wanted
			start $args </dev/null
			soon printed out spinning
			kill -${signal%:*} $pid
			ended "${signal#*:}"
		done
	done
}

# What a guest finds --------------------------------------------------------------------------------------------------

the_pvh_entry_is_as_promised() {
	status 0 vm real_hardware_facts
	status 0 vm real_hardware_facts --mem 300M --cpus 5 --cmdline "ram=300 cpus=5"
	head -c 10000 /dev/urandom >initrd
	status 0 vm real_hardware_facts --initrd initrd --cmdline modules=1
}

the_64_bit_entry_is_as_promised() {
	status 0 vm entry_64
	status 0 vm entry_64 --mem 100M --cmdline ram=100
}

every_cpu_starts_and_sees_its_topology() {
	status 0 vm smp
	status 0 vm smp --cpus 2 --cmdline cpus=2
	has out "2 CPUs run"
	status 0 vm smp --cpus 7 --cmdline cpus=7
	status 0 vm smp --cpus sockets=1,cores=2,threads=2 --cmdline "cpus=4 cores=2 threads=2"
	status 0 vm smp --cpus sockets=2,cores=3,threads=2 --cmdline "cpus=12 cores=3 threads=2"
	has out "12 CPUs run"
}

the_clock_tells_the_time() {
	local before after guest
	before=$(date +%s)
	status 0 vm rtc_read
	after=$(date +%s)
	guest=$(date -u -d "$(sed -n 's/^rtc //p' out)" +%s)
	[ "$guest" -ge $((before - 2)) ] && [ "$guest" -le $((after + 2)) ] || fail "$(cat out) at $(date -u)"
}

every_port_answers() {
	status 0 vm ports_all --timeout 120s
	has out "all ports answered"
	[ "$(wc -l <err)" -lt 400 ] || fail "the guest can fill the log: $(wc -l <err) lines"
}

every_address_answers() {
	status 0 vm mmio_all
	has out "all addresses answered"
}

# Where the time goes --------------------------------------------------------------------------------------------------

a_timeline_has_the_vmm_and_the_guest() {
	status 42 vm exit_status --cmdline status=42 --timeline "$T/t.svg"
	for text in "load the program" "enter the jail" KVM_CREATE_VM "(its first instruction)" "stop, and"; do
		has t.svg "$text"
	done
	status 0 vm poweroff --timeline "$T/t.json"
	has t.json '"what": "powering off"'
	status 124 vm spin_halted --timeout 1s --timeline "$T/t.json"
	has t.json '"what": "stop, and'
}

# Tracing -------------------------------------------------------------------------------------------------------------

trace_prints_each_exit_with_its_value() {
	status 42 vm exit_status --cmdline status=42 --trace exits
	has err "vcpu0 io out port 0xf4 size 1 count 1 value 0x2a"
	status 120 vm pvpanic --trace "exits=$T/trace"
	has trace "vcpu0 io out port 0x505 size 1 count 1 value 0x1"
	has trace "vcpu0 io in port 0x505 size 1 count 1 value 0x1"
	status 121 vm triple_fault --trace "exits=$T/trace"
	has trace "shutdown (triple fault)"
	status 0 vm mmio_all --trace "exits=$T/trace"
	has trace "vcpu0 mmio read at 0xd0000000 size 4 value 0xffffffff"
	grep -q "vcpu0 mmio write at 0xd000000. size 1 value 0xa5" trace
	! grep -Evq '^ +[0-9]+\.[0-9]{6} vcpu0 [a-z]' trace || fail "a line of another form"
}
