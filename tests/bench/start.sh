# shellcheck shell=bash disable=SC2034,SC2154 # what is set here the other scripts use, and the other way round
# start.sh - how long a VM takes from the start of its process to the first KVM_RUN, to the guest's init, and to its end;
# part "start" of tests/bench/run.
#
# Of vmm there is a first start as well, with an empty cache of unpacked kernels. The others keep nothing: their first
# start is as any other. KVM's calls are clocked by a library (clocks.c), which costs each start part of a millisecond; a
# VMM that is linked statically does not load it.
# In deterministic time a guest with several processors mostly waits for ever for one of them, with any VMM: all are idle, or
# one spins. So the starts with 4 are in a lab where time passes, the VMMs in turn: part "cpus". It happens to a guest of one
# processor, too, but hardly ever; that is found out (watch.c, -h), and such a start is made again.

# WORDS, the kernel's command line: "same" is the same for all, "own" what each VMM uses when it is given none, as somebody
# gets who types the shortest command; "quiet" is that and "quiet".
start_vm() { # VMM CPUS WORDS WATCH-OPTION...
	local tries
	doing "start, $1, $2 CPUs, $3 words"
	for tries in {1..3}; do
		start_vm_once "$@" || return 1
		[ -n "${found[hangs]-}" ] || break
		say "start: $1: the guest hangs in the emulated host; once more ($tries)"
	done
	[ -n "${found[text]-}" ] && [ -z "${found[hangs]-}" ] && return 0
	note start "$1" "no \"$ready\": $(last_words "$dir/watch.err") ${found[hangs]+it hangs, $tries times}"
	return 1
}

# With $fresh, the cache is empty.
start_vm_once() {
	local besides=()
	[ -z "${fresh-}" ] || rm -rf "$XDG_CACHE_HOME"
	vm_defaults
	vm_cpus=$2
	case $3 in
	same) vm_words="$words $(vm_end_words "$1")" ;;
	own) vm_own=yes vm_words=$(vm_own_words "$1") ;;
	quiet) vm_own=yes vm_words="$(vm_own_words "$1") quiet" ;;
	esac
	vm_words+=" CMD=\"$([ "$2" = 1 ] || echo "echo; echo CPUS; grep -c ^processor /proc/cpuinfo; ")$(vm_end "$1")\""
	"command_$1" || return 1
	! is_deterministic || besides+=(-h)
	[ "$2" = 1 ] || besides+=(-o "$dir/console")
	watch -t "$patience" -x "$ready" "${besides[@]}" "${@:4}" -- "${command[@]}"
}

# VMM CPUS: has the guest that many? Only the kernel knows how to find more than one.
has_cpus() {
	local n
	[ "$2" != 1 ] || return 0
	n=$(tr -d '\r' <"$dir/console" | sed -n '/^CPUS$/ { n; p; q }')
	[ "$n" != "$2" ] || return 0
	note start "$1" "$2 CPUs: its guest finds ${n:-none}"
	return 1
}

start_once() { # VMM CPUS WORDS CASE RUN
	start_vm "$1" "$2" "$3" -p "$files/clocks.so" || return 1
	has_cpus "$1" "$2" || return 1
	if [ -n "${found[first_run]-}" ]; then
		record start "$4" "to first KVM_RUN" ms low "$1" "$5" "$(ms $((found[first_run] - found[create_vm_took])))"
		record start "$4" "KVM_CREATE_VM" ms low "$1" "$5" "$(ms "${found[create_vm_took]}")"
	else
		note start "$1" "KVM's calls cannot be clocked: not linked to the C library as a file of its own"
	fi
	record start "$4" "to init" ms low "$1" "$5" "$(ms "${found[text]}")"
	if [ "${found[status]}" = 0 ]; then
		record start "$4" "init to end" ms low "$1" "$5" "$(ms $((found[end] - found[text])))"
	else
		note start "$1" "$4: does not end by itself (status ${found[status]})"
	fi
}

# A guest that ends the machine at once.
start_of_software() {
	local vmm run
	for ((run = 1; run <= repeat * 5; run++)); do
		for vmm in "${vmms[@]}"; do
			rate_describe "$vmm" || continue
			watch -t 10 -p "$files/clocks.so" -- "${command[@]}"
			if [ -z "${found[first_run]-}" ] || [ "${found[status]}" != 0 ]; then
				[ "$run" != 1 ] || note start "$vmm" "a guest of a few instructions does not run: $(last_words "$dir/watch.err")"
				continue
			fi
			record start "a guest of nothing" "to first KVM_RUN" ms low "$vmm" "$run" "$(ms $((found[first_run] - found[create_vm_took])))"
			record start "a guest of nothing" "KVM_CREATE_VM" ms low "$vmm" "$run" "$(ms "${found[create_vm_took]}")"
			record start "a guest of nothing" "first KVM_RUN to end" ms low "$vmm" "$run" "$(ms $((found[end] - found[first_run])))"
		done
	done
}

first_starts() { # RUN
	local fresh=yes
	start_once vmm 1 same "1 CPU, first start" "$1" || true
	start_once vmm 1 quiet "1 CPU, first start, own words and quiet" "$1" || true
}

# Once each before: what is read from a disk the first time is nobody's merit.
part_start() {
	local vmm run ok=()
	if [ "$place" = software ]; then
		start_of_software
		return
	fi
	sleep 3 # vmm does not remember a file that has just changed: kernel_cache.c
	for vmm in "${vmms[@]}"; do
		if start_vm "$vmm" 1 same -e; then ok+=("$vmm"); fi
		say "start: warm-up: $vmm: $(ms "${found[text]:-0}") ms"
	done
	for ((run = 1; run <= repeat; run++)); do
		for vmm in "${ok[@]}"; do
			[ "$vmm" != vmm ] || first_starts "$run"
			start_once "$vmm" 1 same "1 CPU" "$run" || true
			start_once "$vmm" 1 quiet "1 CPU, own words and quiet" "$run" || true
			if [ -z "$quick" ]; then
				start_once "$vmm" 1 own "1 CPU, own words" "$run" || true
			fi
			say "start: run $run of $repeat: $vmm: done"
		done
	done
}

# QEMU's microvm has been seen to take 200 seconds on a busy machine.
part_cpus() {
	local vmm run ok=()
	for vmm in "${vmms[@]}"; do
		if start_vm "$vmm" 1 same -e; then ok+=("$vmm"); fi
		say "cpus: warm-up: $vmm: $(ms "${found[text]:-0}") ms"
	done
	for ((run = 1; run <= repeat; run++)); do
		for vmm in "${ok[@]}"; do
			start_once "$vmm" 4 same "4 CPUs$([ "$place" != lab ] || echo ", where time passes")" "$run" || true
			say "cpus: run $run of $repeat: $vmm: done"
		done
	done
}
