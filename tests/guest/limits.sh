# shellcheck shell=bash disable=SC2154 # helpers.sh sets what is used here
# limits.sh - what a VM may take of its host, and what it tells that it has taken; sourced by tests/guest/run.

field() { sed -n "s/^$1:[^0-9]*\([0-9]*\).*/\1/p" "/proc/$(vm_pid)/status"; } # field NAME: of the VM's process of start()

is_locked() { [ "$(field VmLck)" -ge 65536 ]; }

# powerless BYTES CMD...: CMD without capabilities, so that it may lock so much memory and no more
powerless() {
	local may=$1
	shift
	prlimit --memlock="$may" setpriv --inh-caps=-all --bounding-set=-all "$@"
}

locked_ram_is_locked_and_starts_over_as_fresh() {
	local guest=("$VMM" run --mem 64M --timeout 60s --mem-lock --kernel)
	refused 125 "--mem-lock: 64 MiB of guest RAM, but this process may lock 1 MiB" powerless 1048576 \
		"${guest[@]}" "$GUESTS/hello.elf"
	prlimit --memlock=67108864 true || return 0 # so much is more than this user may lock
	status 0 powerless 67108864 "${guest[@]}" "$GUESTS/poweroff.elf"
	start_cmd powerless 67108864 "${guest[@]}" "$GUESTS/spin_halted.elf" </dev/null
	soon is_locked
	kill -TERM $pid
	ended 143
	status 124 powerless 67108864 "${guest[@]}" "$GUESTS/reset_acpi.elf" --timeout 2s
	[ "$(grep -c '^resetting$' out)" -ge 3 ] || fail "not reset again and again"
	sed -i '$d' out # which the timeout may have cut
	[ "$(sort -u out)" = resetting ] || fail "$(sort -u out | head -n 3)"
}

merged_ram_works() {
	[ -e /sys/kernel/mm/ksm ] || { refused 125 "no KSM" vm poweroff --mem-merge; return; }
	start spin_halted --mem-merge </dev/null
	soon is_mergeable
	kill -TERM $pid
	ended 143
}
is_mergeable() { grep -q '^VmFlags:.* mg' "/proc/$(vm_pid)/smaps"; }

told() { python3 -c 'import json, sys; print(eval("s" + sys.argv[1], {"s": json.load(open("stats"))}))' "$1"; } # told "[...]"

statistics_tell_what_the_vm_costs() {
	status 124 vm spin_busy --timeout 2s --stats stats
	# As much as a busy machine leaves it of two seconds.
	[ "$(told '["vcpu_cpu_ms"][0]')" -gt 100 ] || fail "the vCPU's thread: $(told '["vcpu_cpu_ms"]') ms"
	[ "$(told '["process"]["max_rss_kib"]')" -gt 500 ]
	start spin_busy --stats stats </dev/null
	sleep 1
	kill -USR1 $pid
	soon test -s stats
	[ "$(told '["vcpu_cpu_ms"][0]')" -gt 0 ] || fail "while it runs: $(told '["vcpu_cpu_ms"]') ms"
	kill -TERM $pid
	ended 143
}

cores_are_kept_apart_or_it_is_told_why_not() {
	local rc=0
	vm poweroff --core-scheduling --log info >out 2>err || rc=$?
	case $rc in
	0) [ "$(cat /sys/devices/system/cpu/smt/active)" = 1 ] || has err "nothing to keep apart" ;;
	125) has err "CONFIG_SCHED_CORE" ;;
	*) fail "exit status $rc" ;;
	esac
}

# What Linux makes of limits is in tests/boot/limits, which needs root and all controllers. Here: what any host refuses.
limits_that_cannot_be_are_told() {
	local guest=("$VMM" run --mem 64M --kernel "$GUESTS/poweroff.elf" --limit)
	refused 125 "--limit mem=5Q: mem=5Q: unknown unit" "${guest[@]}" mem=5Q
	refused 125 "expected mem=SIZE, cpu=N, pids=N or io=SIZE" "${guest[@]}" ram=1G
	refused 125 "cpu=0: the least is 0.01" "${guest[@]}" cpu=0
	refused 125 "--limit mem=64M: the least for --mem 64M is " "${guest[@]}" mem=64M
	refused 125 "--limit pids=3: the least for these CPUs" "${guest[@]}" pids=3
	refused 125 "--limit io: there is no --disk" "${guest[@]}" io=1M
	refused 125 "; remedy" private 'mount -o remount,bind,ro /sys/fs/cgroup || :' "${guest[@]}" pids=50
}
