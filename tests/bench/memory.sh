# shellcheck shell=bash disable=SC2034,SC2154 # what is set here the other scripts use, and the other way round
# memory.sh - what VMs cost that are up and have nothing to do: 1, 10 and 100 of one image; part "memory" of
# tests/bench/run.
#
# From smaps_rollup's source, /proc/PID/smaps, of all processes that belong to a VM (of vmm: broker, VM, guard), without
# the mappings that are the guest's RAM: "private" is what nobody else has, "proportional" shares what is shared by those
# who have it. "with RAM" is proportional with it, and "of the system", in the lab, the fall of MemAvailable, which knows
# what the kernel keeps for a VM, too. Each for one VM. Guests have 128 MiB; they are started one after the other, as many
# as there is room for, and time: a start in the lab takes from seconds to a minute. What does not fit is noted.

memory_mb=128
memory_s=1500 # for the starts of one VMM
pids=() # of the VMMs that we have started

# PID...: they and their children, and so on
family() {
	local p
	for p in "$@"; do
		echo "$p"
		# shellcheck disable=SC2046  # words are wanted
		family $(cat "/proc/$p/task/"*/children 2>/dev/null)
	done
}

# PID...: "PRIVATE PROPORTIONAL WITH-RAM" in KiB, of all of them together. The guest's RAM is what is mapped in one row, of
# anonymous memory and vmm's unpacked kernel, that has half of it or more.
smaps() {
	local p
	for p in "$@"; do cat "/proc/$p/smaps" 2>/dev/null || true; done | awk -v ram=$((memory_mb * 512)) '
		function end_row() { if (size < ram) { pss += row_pss; private += row_private }; size = row_pss = row_private = 0 }
		/^[0-9a-f]+-[0-9a-f]+ / {
			split($1, range, "-")
			if (range[1] != last || $2 ~ /^---/ || ($6 != "" && $6 !~ "/vmm/[0-9a-f]*$")) end_row()
			last = range[2]
		}
		/^Size:/ { size += $2 }
		/^Pss:/ { all += $2; row_pss += $2 }
		/^Private_(Clean|Dirty):/ { row_private += $2 }
		END { end_row(); print private + 0, pss + 0, all + 0 }'
}

# In the lab, where nobody else changes it, once it has come to rest: what an ended process had comes back a moment later.
available() {
	local last=0 now=1000000 tries=0
	if [ "$place" = lab ]; then
		sync
		echo 3 >/proc/sys/vm/drop_caches
		while [ $((now > last ? now - last : last - now)) -gt 128 ] && [ $((tries += 1)) -le 10 ]; do
			last=$now
			[ "$tries" = 1 ] || sleep 1
			now=$(mem_available)
		done
	fi
	mem_available
}
mem_available() { awk '$1 == "MemAvailable:" { print $2 }' /proc/meminfo; }

memory_describe() { # VMM
	vm_defaults
	vm_mb=$memory_mb
	if [ "$place" = software ]; then
		vm_kernel=$files/idle.elf vm_elf=$vm_kernel vm_initrd='' vm_words='' up="idle: up"
	else
		vm_words="$words cryptomgr.notests $(vm_end_words "$1") CMD=\"sleep 100000\"" up=$ready
	fi
	"command_$1"
}

memory_start() { # N: one more VM, until it is up
	local tries=0
	"${command[@]}" </dev/null >"$dir/up.$1" 2>"$dir/err" &
	pids+=("$!")
	until grep -qs "$up" "$dir/up.$1"; do
		kill -0 "$!" 2>/dev/null || return 1
		[ $((tries += 1)) -lt $((patience * 5)) ] || return 1
		sleep 0.2
	done
}

memory_stop() {
	[ ${#pids[@]} = 0 ] || kill "${pids[@]}" 2>/dev/null || true
	[ ${#pids[@]} = 0 ] || wait "${pids[@]}" 2>/dev/null || true
	pids=()
	rm -f "$dir"/up.*
}

memory_look() { # VMM CASE N BEFORE
	local private pss all now
	# shellcheck disable=SC2046  # words are wanted
	read -r private pss all < <(smaps $(family "${pids[@]}"))
	now=$(available)
	[ "$all" != 0 ] || { note memory "$1" "/proc/PID/smaps cannot be read: needs root"; return 0; }
	record memory "$2" "private" MiB low "$1" 1 "$(mib "$private" "$3")"
	record memory "$2" "proportional" MiB low "$1" 1 "$(mib "$pss" "$3")"
	record memory "$2" "with RAM" MiB low "$1" 1 "$(mib "$all" "$3")"
	# Elsewhere, others start and end, too.
	[ "$place" = lab ] || return 0
	record memory "$2" "of the system" MiB low "$1" 1 "$(mib $(($4 - now)) "$3")"
	record memory "$2" "of the system, without RAM" MiB low "$1" 1 "$(mib $(($4 - now - all + pss)) "$3")"
}
mib() { awk -v k="$1" -v n="$2" 'BEGIN { printf "%.2f\n", k / 1024 / n }'; }

# Does another VM fit?
memory_fits() { [ "$(mem_available)" -gt $(((memory_mb + 256) * 1024)) ]; }

# Seconds that so many more starts take, if they are like the N before, which took so many.
memory_takes() { echo $(($1 * $3 / ($2 ? $2 : 1))); } # MORE N SECONDS

memory_of() { # VMM COUNT...
	local n=0 before want vmm=$1 began takes
	memory_describe "$vmm" || return 0
	if ! memory_start 0; then # and what it reads is in memory from now on
		note memory "$vmm" "does not come up: $(last_words "$dir/err")"
		memory_stop
		return 0
	fi
	memory_stop
	before=$(available)
	began=$SECONDS
	for want in "${@:2}"; do
		doing "memory, $vmm, up to $want VMs"
		takes=$(memory_takes $((want - n)) "$n" $((SECONDS - began)))
		if [ $((SECONDS - began + takes)) -gt "$memory_s" ]; then
			note memory "$vmm" "$want VMs: to start them would take $((takes / 60)) minutes more"
			break
		fi
		while [ "$n" -lt "$want" ]; do
			if ! memory_fits || ! memory_start "$n"; then
				note memory "$vmm" "VM $((n + 1)) of $want does not fit, or does not come up: $(last_words "$dir/err")"
				memory_stop
				return 0
			fi
			n=$((n + 1))
			if [ "$n" = 1 ] && [ "$want" = 1 ]; then memory_look "$vmm" "1 VM, just up" 1 "$before"; fi
		done
		sleep "$settle_s"
		memory_look "$vmm" "$want VM$([ "$want" = 1 ] || echo s), idle" "$want" "$before"
		say "memory: $vmm: $want: done"
	done
	memory_stop
}

part_memory() {
	local vmm counts=(1 10 100) settle_s=5
	[ -z "$quick" ] || counts=(1 4)
	# What waits in the processors' own lists of free pages does not count as available: these are kept short.
	[ "$place" != lab ] || echo 100000000 >/proc/sys/vm/percpu_pagelist_high_fraction
	for vmm in "${vmms[@]}"; do memory_of "$vmm" "${counts[@]}"; done
}
