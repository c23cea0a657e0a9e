# shellcheck shell=bash disable=SC2034,SC2154 # what is set here the other scripts use, and the other way round
# rate.sh - how many VMs a second start, do nothing, and end; part "rate" of tests/bench/run.
#
# The guest (nothing.S) is a few instructions that ask for the machine's end in each way that there is. storm.c starts
# one after the other, as many at once as there are processors, and 100 at once.

rate_describe() { # VMM
	vm_defaults
	vm_kernel=$files/nothing.elf vm_elf=$vm_kernel vm_initrd='' vm_words='' vm_mb=128
	# It takes no ELF file; it takes any file as real-mode code.
	[ "$1" != lkvm ] || vm_kernel=$files/nothing.bin
	"command_$1"
}

rate_of() { # VMM CASE COUNT AT-ONCE RUN
	local name value
	declare -A got=()
	doing "rate, $1, $2"
	while read -r name value; do got[$name]=$value; done < <("$files/storm" -n "$3" -j "$4" -t $((patience * 4)) -- "${command[@]}" 2>"$dir/err")
	if [ "${got[failed]-all}" != 0 ]; then
		note rate "$1" "$2: ${got[failed]-all} of $3 did not end as they should: $(last_words "$dir/err")"
		return 1
	fi
	[ "$5" != 0 ] || return 0
	record rate "$2" "VMs a second and processor" 1/s high "$1" "$5" \
		"$(awk -v n="$3" -v ns="${got[took]}" -v cpus="$(nproc)" 'BEGIN { printf "%.2f\n", n * 1e9 / ns / cpus }')"
	record rate "$2" "CPU time each" ms low "$1" "$5" "$(awk -v n="$3" -v ns="${got[cpu]}" 'BEGIN { printf "%.2f\n", ns / 1e6 / n }')"
	return 0
}

part_rate() {
	local vmm run n=40 storm=100 runs=$repeat cpus
	cpus=$(nproc)
	# The next one would be as the one before, and 100 of QEMU's take 20 virtual seconds.
	! is_deterministic || { n=10 runs=1; }
	[ -z "$quick" ] || { n=10 storm=20; }
	for ((run = 1; run <= runs; run++)); do
		for vmm in "${vmms[@]}"; do
			rate_describe "$vmm" || continue
			rate_of "$vmm" "the first one" 1 1 0 || continue
			rate_of "$vmm" "one after the other, on each processor" "$n" "$cpus" "$run" || continue
			rate_of "$vmm" "$storm at once" "$storm" "$storm" "$run" || true
		done
	done
}
