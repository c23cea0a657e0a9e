# shellcheck shell=bash
# lessons.sh - `vmm lesson`: each lesson ends well and shows what its source says; sourced by tests/guest/run.
#
# What is looked for is found in the source first, by its text, so that a lesson may grow a line.

LESSONS=$ROOT/firmware/lessons

# lesson N: its output is in out
lesson() { status 0 "$VMM" lesson "$1"; }

# at FILE TEXT: the only line of the source with this text, as vmm names it
at() {
	local line
	line=$(grep -nF -- "$2" "$LESSONS/$1" | cut -d : -f 1)
	[ -n "$line" ] && [ "$(wc -w <<<"$line")" = 1 ] || fail "$1: \"$2\" is not in one line"
	echo "firmware/lessons/$1:$line "
}

# step FILE TEXT EXIT WHO: one step was: that line, and below it an exit that begins so, and who has answered it
step() {
	local line
	line=$(at "$1" "$2")
	grep -F -A 2 -- "$line" out >step || fail "no exit at $line($2)"
	has step "	$3"
	has step "	-> $4"
}

lessons_are_listed_and_each_ends_well() {
	local n file
	status 0 "$VMM" lesson
	mv out list
	for n in 1 2 3 4 5; do
		file=$(cd "$ROOT" && echo firmware/lessons/"$n"-*)
		has list "$file"
		lesson "$n"
		has out "It ended with status 0"
		! grep -qF "outside of the source" out || fail "lesson $n: $(grep -F -A 1 outside out)"
		[ "$(wc -l <"$ROOT/$file")" -lt 100 ] || fail "$file has 100 lines or more"
	done
}

a_lesson_from_real_mode_says_hello() {
	lesson 1
	step 1-hello.S $'\tout %al, %dx' "io out port 0x3f8 size 1 count 1 value 0x48  x 14  \"Hello, world!\\n\"" \
		src/dev/uart16550.c
	has out "after 15 exits"
}

a_lesson_climbs_to_long_mode() {
	lesson 2
	grep -F 'x 4  "32 \n"' out
	grep -F 'x 8  "64 bits\n"' out
	[ "$(grep -c '2-modes.S:[0-9]*  out %al, %dx' out)" = 2 ] || fail "not both modes"
}

a_lesson_shows_ports_and_memory_each_at_its_line() {
	lesson 3
	step 3-exits.c 'OUT(RTC_INDEX' "io out port 0x70 size 1 count 1 value 0xd" src/dev/rtc_cmos.c
	step 3-exits.c 'IN(RTC_DATA' "io in port 0x71 size 1 count 1 value 0x80" src/dev/rtc_cmos.c
	step 3-exits.c 'id = *pci_id' "mmio read at 0xe0000000 size 4 value " src/pci/pci_host.c
	step 3-exits.c '*pci_command = 2' "mmio write at 0xe0000004 size 2 value 0x2" src/pci/pci_host.c
	step 3-exits.c '0xd0000000 != ' "mmio read at 0xd0000000 size 4 value 0xffffffff" nobody
	step 3-exits.c 'OUT(EXIT_PORT, status' "io out port 0xf4 size 1 count 1 value 0x0" src/dev/exitport.c
	has out "after 6 exits" # and so none for RAM
}

a_lesson_gets_an_interrupt_for_each_byte() {
	lesson 4
	step 4-interrupt.S $'\tin %dx, %al' "io in port 0x3fa size 1 count 1 value 0x2  x 12 in turn" src/dev/uart16550.c
	step 4-interrupt.S 'one byte on its way' 'io out port 0x3f8 size 1 count 1 value 0x69  x 11 in turn  "interrupt!\n"' \
		src/dev/uart16550.c
}

a_lesson_drives_a_virtqueue_by_hand() {
	local first
	lesson 5
	step 5-virtqueue.c 'REG(QUEUE_NUM) = N' "mmio write at 0xe1000038 size 4 value 0x2" src/virtio/virtio_mmio.c
	step 5-virtqueue.c 'DRIVER_OK: from now on' "mmio write at 0xe1000070 size 4 value 0xf" src/virtio/virtio_mmio.c
	! grep -qF "$(at 5-virtqueue.c 'REG(QUEUE_NOTIFY)')" out || fail "the notification was an exit"
	first=$(grep -oE 'x 8  "[a-z]{8}"' out)
	lesson 5
	[ "$first" != "$(grep -oE 'x 8  "[a-z]{8}"' out)" ] || fail "twice the same bytes"
}

a_lesson_shows_its_source() {
	local n
	for n in 1 2 3 4 5; do
		status 0 "$VMM" lesson "$n" --source
		cmp out "$LESSONS/$n"-*
	done
}

files_that_lessons_name_exist() {
	local n f
	for n in 1 2 3 4 5; do
		lesson "$n"
		grep -oE '\b(src|include|firmware)/[a-z0-9_/-]+\.[chS]\b' out | sort -u >named
		while read -r f; do
			[ -f "$ROOT/$f" ] || fail "lesson $n names $f"
		done <named
		[ "$(wc -l <named)" -ge 4 ] || fail "lesson $n names too few"
	done
}

a_lesson_that_is_not_there_is_told() {
	refused 125 "'vmm lesson' lists them" "$VMM" lesson 6
	refused 125 "'vmm lesson' lists them" "$VMM" lesson hello
	refused 125 "unknown option --sauce" "$VMM" lesson 1 --sauce
}
