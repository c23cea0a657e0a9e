# shellcheck shell=bash disable=SC2034,SC2154 # what is set here the other scripts use, and the other way round
# exits.sh - how often the guest is left, by kind, in a boot and in a second of nothing; part "exits" of tests/bench/run.
# A second of nothing is measured by devices.sh, where what a request and a packet cost stands with parts "block" and "net".
#
# All kinds are KVM's own counts, so that they mean the same for each VMM: debugfs's kvm/ for all exits and interrupts;
# the tracepoint kvm_exit, counted in the kernel by reason; and kvm_userspace_exit, those that reach the VMM's process.
# A guest is stopped for the moment in which they are read. On a software KVM there are none of these: there, what an
# exit costs, and a request of a disk, is measured by a guest of a few instructions (costs.c).

tracing=/sys/kernel/debug/tracing/events/kvm

# Starts counting, in the kernel; of all VMs there are, so that there should be one at a time.
count_exits() {
	local event keys
	for event in kvm_exit:isa,exit_reason kvm_userspace_exit:reason; do
		keys=${event#*:} event=${event%%:*}
		[ -w "$tracing/$event/trigger" ] || return 1
		grep -q "^hist:" "$tracing/$event/trigger" || echo "hist:keys=$keys" >>"$tracing/$event/trigger"
		counting+=("$event:$keys")
	done
}

clear_counts() {
	local event
	for event in "${counting[@]}"; do echo "hist:keys=${event#*:}:clear" >>"$tracing/${event%%:*}/trigger"; done
}

stop_counting() {
	local event
	for event in "${counting[@]}"; do echo "!hist:keys=${event#*:}" >>"$tracing/${event%%:*}/trigger" || true; done
	counting=()
}
counting=()

hits() { # EVENT: how many
	sed -n 's/^ *Hits: //p' "$tracing/$1/hist" 2>/dev/null || echo 0
}

# Of lines as in a file "hist": "KIND COUNT". Sources: AMD's APM volume 2, appendix C; Intel's SDM volume 3, appendix C.
kinds() {
	awk '
	BEGIN {
		split("96 interrupt 97 nmi 100 interrupt-window 114 cpuid 120 hlt 123 port 124 msr 119 pause 129 vmmcall " \
			"1024 memory 1025 avic 1026 avic", svm)
		split("1 interrupt 0 exception 7 interrupt-window 10 cpuid 12 hlt 18 vmcall 30 port 31 msr 32 msr 40 pause 48 memory " \
			"49 memory 52 timer 54 wbinvd 55 xsetbv", vmx)
		for (i = 1; i in svm; i += 2) name["2", svm[i]] = svm[i + 1]
		for (i = 1; i in vmx; i += 2) name["1", vmx[i]] = vmx[i + 1]
	}
	/exit_reason:/ {
		gsub(/[{},]/, " ")
		for (i = 1; i < NF; i++) { if ($i == "isa:") isa = $(i + 1); if ($i == "exit_reason:") reason = $(i + 1)
			if ($i == "hitcount:") count = $(i + 1) }
		n[(isa, reason) in name ? name[isa, reason] : "other"] += count
	}
	/^{ reason:|^file { reason:/ { sub(/.*hitcount: */, ""); to_vmm += $1 }
	END { for (k in n) print k, n[k]; print "to_the_VMM", to_vmm + 0 }'
}

exits_of_boots() { # RUN
	local vmm name value
	for vmm in "${vmms[@]}"; do
		clear_counts
		start_vm "$vmm" 1 same -k -e -c "$tracing/kvm_exit/hist" -c "$tracing/kvm_userspace_exit/hist" || continue
		record exits "a boot to init" "exits" "" low "$vmm" "$1" "${found[kvm.exits]}"
		record exits "a boot to init" "interrupts" "" low "$vmm" "$1" "${found[kvm.irq_injections]}"
		while read -r name value; do
			record exits "a boot to init" "${name//_/ }" "" low "$vmm" "$1" "$value"
		done < <(grep '^file' "$dir/watch.out" | kinds)
	done
}

part_exits() {
	local run runs=1
	if [ "$place" = software ]; then
		exits_of_software
		return
	fi
	[ "$place" != host ] || runs=$repeat
	if ! count_exits; then
		note exits all "needs root, debugfs, and a kernel with hist triggers"
		return
	fi
	for ((run = 1; run <= runs; run++)); do exits_of_boots "$run"; done
	stop_counting
}

# Ticks are turned into time by what the processor says of its clock.
exits_of_software() {
	local vmm run name ticks count mhz case
	truncate -s 1M "$dir/disk"
	mhz=$(awk -F: '/^cpu MHz/ { print $2; exit }' /proc/cpuinfo)
	for ((run = 1; run <= repeat; run++)); do
		for vmm in "${vmms[@]}"; do
			vm_defaults
			vm_kernel=$files/costs.elf vm_elf=$vm_kernel vm_initrd='' vm_mb=128 vm_disks=("$dir/disk")
			"command_$vmm" || continue
			watch -t 20 -x "costs: end" -e -o "$dir/costs" -- "${command[@]}"
			if [ -z "${found[text]-}" ]; then
				note exits "$vmm" "the guest does not run: $(last_words "$dir/watch.err")"
				continue
			fi
			while read -r _ name ticks count; do
				case="one exit, with its way back"
				[ "$name" != disk-read ] || case="one request, with its way back"
				record exits "$case" "${name//-/ }" "µs" low "$vmm" "$run" \
					"$(awk -v t="$ticks" -v n="$count" -v mhz="$mhz" 'BEGIN { printf "%.2f\n", t / n / mhz }')"
			done < <(tr -d '\r' <"$dir/costs" | grep '^costs: [a-z-]* [0-9]')
		done
	done
}
