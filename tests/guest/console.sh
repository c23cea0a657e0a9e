# shellcheck shell=bash disable=SC2154 # helpers.sh sets what is used here
# console.sh - the console, the terminal, and signals in each phase; sourced by tests/guest/run.

# The console ---------------------------------------------------------------------------------------------------------

all_bytes() { # what hello prints after its first line
	local i
	for i in {0..255}; do printf '%b' "\\0$(printf %o "$i")"; done
}

# flooded N: what uart_flood prints, N bytes
flooded() {
	awk -v n="$(($1 / 64))" 'BEGIN {
		for (i = 0; i < n; i++) {
			s = ""
			for (k = 0; k < 62; k++)
				s = s sprintf("%c", 97 + (i + k) % 26)
			printf "%s\r\n", s
		}
	}'
}

output_is_byte_for_byte() {
	status 0 vm hello --cmdline words
	{ echo "hello from the guest: words"; all_bytes; } | cmp - out
}

every_kind_of_console_gets_the_same() {
	{ echo "hello from the guest: words"; all_bytes; } >wanted
	status 0 vm hello --cmdline words --serial stdio
	cmp wanted out
	status 0 vm hello --cmdline words --serial "file=$T/file"
	cmp wanted file
	[ ! -s out ]
	status 0 vm hello --cmdline words --serial null
	[ ! -s out ]
	vm hello --cmdline words </dev/null | cat >pipe
	cmp wanted pipe
}

a_file_console_replaces_what_the_file_held() {
	head -c 100000 /dev/urandom >file
	status 0 vm hello --cmdline words --serial "file=$T/file"
	[ "$(stat -c %s file)" -lt 1000 ]
}

a_pty_console_talks_both_ways() {
	local tty
	start uart_echo --serial pty </dev/null
	soon printed err "console on /dev/"
	tty=$(sed -n 's/.*console on //p' err)
	exec 5<>"$tty"
	cat <&5 >got 2>/dev/null &
	soon printed got ready
	printf 'some words' >&5
	soon printed got "some words"
	printf '\004' >&5
	ended 0
	exec 5>&-
}

a_unix_console_talks_both_ways_and_leaves_no_socket() {
	start uart_echo --serial unix=s </dev/null
	soon test -S s
	[ "$(stat -c %a s)" = 600 ] || fail "others can connect: mode $(stat -c %a s)"
	[ "$(printf 'first' | "$GUESTS/unix-cat" s | tail -n 1)" = first ]
	[ "$(printf 'second' | "$GUESTS/unix-cat" s)" = second ]
	printf '\004' | "$GUESTS/unix-cat" s
	ended 0
	[ ! -e s ] || fail "the socket is still there"
}

a_socket_that_nobody_serves_is_replaced() {
	python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("s")'
	[ -S s ]
	start uart_echo --serial unix=s </dev/null
	soon eval '"$GUESTS/unix-cat" s </dev/null 2>/dev/null >&2'
	printf '\004' | "$GUESTS/unix-cat" s >/dev/null
	ended 0
	[ ! -e s ]
}

what_is_not_a_stale_socket_stays() {
	echo precious >file
	refused 125 "unix=file" vm hello --serial unix=file
	[ "$(cat file)" = precious ]
	start uart_echo --serial unix=s </dev/null
	soon test -S s
	T=$T/second
	mkdir "$T"
	refused 125 "unix=s" vm hello --serial unix=s
	T=${T%/second}
	[ -S s ] || fail "the socket of another VM was removed"
	kill -TERM $pid
	ended 143
}

a_guest_without_a_reader_is_not_held_up() {
	status 0 vm uart_flood --serial unix=s --cmdline "bytes=100000 polite=1"
	status 0 vm uart_flood --serial pty --cmdline "bytes=100000 polite=1"
	status 0 vm uart_flood --serial null --cmdline "bytes=100000 polite=1"
	no_leftovers
}

input_comes_from_a_file_a_pipe_or_nowhere() {
	printf 'from a file\004' >in
	vm uart_echo <in >out
	[ "$(tail -n 1 out)" = "from a file" ]
	printf 'from a pipe\004' | vm uart_echo >out
	[ "$(tail -n 1 out)" = "from a pipe" ]
	vm hello </dev/null >out
	vm hello <&- >out
	vm hello </dev/zero >out
}

# The kernel's file, the cache and the trace are opened while 0, 1 and 2 are free: nothing may end up there.
closed_streams_hit_no_other_file() {
	gzip <"$GUESTS/hello.elf" >gz
	bzimage gz "$(stat -c %s "$GUESTS/hello.elf")" kernel
	cp kernel before
	"$VMM" run --kernel kernel --mem 64M --timeout 60s --trace "exits=$T/trace" <&- >&- 2>&- || fail "status $? with all three closed"
	"$VMM" run --kernel kernel --mem 64M --timeout 60s --trace "exits=$T/trace2" 2>&1 >&- || fail "status $?"
	cmp kernel before
	! grep -l "hello from" trace trace2 || fail "console output in the trace"
	find "$XDG_CACHE_HOME" -type f | while read -r f; do cmp "$f" "$GUESTS/hello.elf"; done
}

# measure CMD...: milliseconds that it takes
measure() {
	local began
	began=$(date +%s%N)
	"$@"
	echo $((($(date +%s%N) - began) / 1000000))
}

echoed() { # echoed HOW BYTES: so many bytes there and back
	{ head -c "$2" /dev/urandom | tr '\004' '\005'; printf '\004'; } >in
	vm uart_echo --cmdline "how=$1" --timeout 100s <in >out
	{ echo ready; head -c "$2" in; } | cmp - out
}

input_and_output_are_lossless() {
	local ms bytes
	ms=$(measure echoed 0 8192)
	bytes=${ECHO_BYTES:-$((ms < 100 ? 1 << 20 : 1 << 18))}
	echoed 1 "$bytes"
	echoed 0 $((bytes / 8))
}

a_slow_reader_gets_everything() {
	vm uart_flood --cmdline "bytes=160000 polite=1" </dev/null |
		{ sleep 3; dd bs=777 count=20 iflag=fullblock status=none; sleep 1; cat; } >out
	flooded 160000 | cmp - out
}

a_reader_that_leaves_does_not_hold_the_guest_up() {
	local rc
	vm uart_flood --cmdline "bytes=200000 polite=1" </dev/null 2>err | head -c 1000 >out
	rc=${PIPESTATUS[0]}
	[ "$rc" = 0 ] || fail "exit status $rc"
	flooded 200000 | head -c 1000 | cmp - out
	has err "lost"
	vm uart_flood --cmdline "bytes=1000" </dev/null >/dev/full 2>err
	has err "No space left"
}

# start_blocked OPTION...: uart_flood in the background, its stdout a pipe that is held open and never read
start_blocked() {
	[ -p pipe ] || mkfifo pipe
	exec 7<>pipe
	env --default-signal=INT "$VMM" run --kernel "$GUESTS/uart_flood.elf" --mem 64M "$@" </dev/null >&7 2>err &
	pid=$!
	trap 'kill -9 $pid 2>/dev/null || :' EXIT
}

a_blocked_reader_costs_bounded_memory_and_the_timeout_ends_it() {
	local kib began=$SECONDS polite
	for polite in 0 1; do
		start_blocked --timeout 10s --cmdline polite=$polite
		sleep 2
		kib=$(high_water_kib)
		sleep 3
		[ "$(high_water_kib)" -le $((kib + 2048)) ] || fail "grew from $kib to $(high_water_kib) KiB"
		ended 124
	done
	[ $((SECONDS - began)) -lt 30 ]
}

# Signals in each phase -----------------------------------------------------------------------------------------------

unpacking() { [ -n "$(find "/proc/$(vm_pid)/fd" -lname '*(deleted)' 2>/dev/null)" ]; }

a_signal_while_unpacking_ends_it() {
	bzimage "$GUESTS/big.gz" $BIG kernel
	for signal in TERM:143 INT:130; do
		start_cmd "$VMM" run --kernel kernel --mem 64M </dev/null
		soon unpacking
		kill -${signal%:*} $pid
		ended "${signal#*:}"
		no_leftovers
		[ "$(find "$XDG_CACHE_HOME" -type f | wc -l)" = 0 ] || fail "half a kernel in the cache"
	done
}

a_signal_while_building_ends_it_and_removes_the_socket() {
	truncate -s 1000M initrd
	for signal in TERM:143 INT:130 HUP:129; do
		start_cmd "$VMM" run --kernel "$GUESTS/spin_halted.elf" --mem 1200M --initrd initrd \
			--serial unix=s --timeout 60s </dev/null
		soon test -S s # made before the initrd is copied
		kill -${signal%:*} $pid
		ended "${signal#*:}"
		[ ! -e s ] || fail "the socket is still there"
	done
}

a_signal_while_running_removes_the_socket() {
	start spin_halted --serial unix=s </dev/null
	soon test -S s
	sleep 0.3
	kill -TERM $pid
	ended 143
	[ ! -e s ] || fail "the socket is still there"
}

a_signal_ends_a_running_guest_whose_reader_is_blocked() {
	for signal in TERM:143 INT:130; do
		start_blocked
		sleep 2
		kill -${signal%:*} $pid
		ended "${signal#*:}"
	done
}

has_no_vcpu() { ! has_vcpu; }

a_signal_ends_the_drain_to_a_blocked_reader() {
	for signal in TERM:143 INT:130; do
		start_blocked --cmdline bytes=150000
		soon has_vcpu
		soon has_no_vcpu # the vCPU has ended: the guest is off
		sleep 0.5
		! is_gone || fail "it did not wait for its reader"
		kill -${signal%:*} $pid
		ended "${signal#*:}"
	done
}

# The terminal --------------------------------------------------------------------------------------------------------

the_terminal_is_raw_while_the_guest_runs() {
	status 0 terminal raw wait ready send '\x04' -- "$VMM" run --kernel "$GUESTS/uart_echo.elf" --timeout 30s
	# Ctrl-C, Ctrl-Z, Ctrl-\ and carriage returns are the guest's
	status 0 terminal raw wait ready send 'a\x03b\x1ac\x1cd\x0de' wait "$(printf 'a\003b\032c\034d\re')" \
		send '\x04' -- "$VMM" run --kernel "$GUESTS/uart_echo.elf" --timeout 30s
}

ctrl_a_commands_work() {
	local echo=("$VMM" run --kernel "$GUESTS/uart_echo.elf" --timeout 30s)
	status 0 terminal raw wait ready send '\x01x' -- "${echo[@]}"
	status 0 terminal raw wait ready send '\x01h' wait 'Ctrl-A x' wait 'Ctrl-A h' send '\x01x' -- "${echo[@]}"
	status 0 terminal raw wait ready send '1\x01a2' wait "$(printf '1\0012')" send '\x01x' -- "${echo[@]}"
	status 0 terminal raw wait ready send '1\x01\x012' wait "$(printf '1\0012')" send '\x01x' -- "${echo[@]}"
	status 0 terminal raw wait ready send '1\x01z2' wait 12 send '\x01p\x01x' -- "${echo[@]}"
	status 123 terminal raw wait ready send '\x01x' -- "${echo[@]}" --expect nothing
}

a_paused_guest_goes_on() {
	status 0 terminal raw wait ready send '\x01s' wait paused send 'abc' send '\x01s' wait running wait abc \
		send '\x04' -- "$VMM" run --kernel "$GUESTS/uart_echo.elf" --timeout 30s
}

a_paused_guest_ends_by_any_way() {
	local busy=("$VMM" run --kernel "$GUESTS/spin_busy.elf")
	status 0 terminal raw wait spinning send '\x01s' wait paused send '\x01x' -- "${busy[@]}"
	status 143 terminal raw wait spinning send '\x01s' wait paused signal 15 -- "${busy[@]}"
	status 130 terminal raw wait spinning send '\x01s' wait paused signal 2 -- "${busy[@]}"
	status 124 terminal raw wait spinning send '\x01s' wait paused -- "${busy[@]}" --timeout 2s
}

the_terminal_is_restored_however_it_ends() {
	local run=("$VMM" run --mem 64M --timeout 30s --kernel) core
	core=$(ulimit -c)
	ulimit -c 0
	status 0 terminal -- "${run[@]}" "$GUESTS/poweroff.elf"
	status 7 terminal -- "${run[@]}" "$GUESTS/exit_status.elf" --cmdline status=7
	status 0 terminal -- "${run[@]}" "$GUESTS/reset_kbd.elf" --on-reboot exit
	status 0 terminal -- "${run[@]}" "$GUESTS/spin_halted.elf" --expect spinning
	status 120 terminal -- "${run[@]}" "$GUESTS/panic_text.elf"
	status 121 terminal -- "${run[@]}" "$GUESTS/triple_fault.elf"
	status 124 terminal raw -- "${run[@]}" "$GUESTS/spin_halted.elf" --timeout 1s
	status 125 terminal -- "${run[@]}" "$GUESTS/spin_halted.elf" --serial unix=/nowhere/s
	status 126 terminal -- "${run[@]}" /dev/null
	for signal in 1:129 2:130 3:131 15:143; do
		status "${signal#*:}" terminal raw wait spinning signal "${signal%:*}" -- "${run[@]}" "$GUESTS/spin_busy.elf"
	done
	is_asan || # which has handlers of its own
		for signal in 11:139 6:134 7:135; do
			status "${signal#*:}" terminal raw wait spinning signal "${signal%:*}" -- \
				"${run[@]}" "$GUESTS/spin_busy.elf"
		done
	ulimit -c "$core"
}

a_terminal_that_hangs_up_ends_it() {
	status 129 terminal raw wait spinning signal 1 -- "$VMM" run --kernel "$GUESTS/spin_halted.elf"
}

lines_to_a_raw_terminal_end_in_cr_lf() {
	status 121 terminal -- "$VMM" run --kernel "$GUESTS/triple_fault.elf"
	! grep -aq 'rip .*[^'$'\r'']$' out || fail "a line without its carriage return"
}
