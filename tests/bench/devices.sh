# shellcheck shell=bash disable=SC2034,SC2154 # what is set here the other scripts use, and the other way round
# devices.sh - disk and network: speed, latency, exits, interrupts, processor time; parts "block" and "net" of
# tests/bench/run, and what a second of nothing costs, for part "exits".
#
# Each session boots a guest of each VMM in turn, 512 MiB, from the same kernel, initramfs and root disk, and sends it
# tests over its console (guest.sh); the sessions are a table below. VMM and guest are in a network namespace of
# their own. In the lab, that is one processor for VMM, guest and the network's other end, which take turns. At depth 32
# and over the network, much depends there on who runs first: a VMM that is woken by each notification serves each
# request on its own, one that comes later serves several at once.
# Disks are files in memory, or on an ext4 on such a file: memory's file system knows no direct I/O. fio in the guest
# knows its time in whole milliseconds, and in the lab a test has 30 to 100 of them: speeds differ by some 3 %. It
# is past the guest's page cache; "direct" and "cached" say what the host does. A packet is what passes the tap, up to 64 KiB where
# segmentation is offloaded.
# All for one request, packet or round trip: "exits": all VM exits but those of the host's interrupts, and one
# for each interrupt of the guest's timer, which it has to set again; "to the VMM": those that reached its process;
# "interrupts": what the guest got from its virtio devices; "CPU": the time of the VMM's processes, the guest's included, but
# not that of vhost's thread: the kernel moves it to its owner's old cgroups only (6.1, cgroup_attach_task_all).
# Of each, what a section costs that does the same with next to nothing to move is taken off: starting fio alone costs
# hundreds.
# In deterministic time a guest under much I/O may wait for ever for a spin lock, with any VMM. That is found
# out (interrupts off, and no exits but for the host's interrupts), the guest is booted again, and the test repeated.

disk_mb=128
look_s=0.2
cgroup=/sys/fs/cgroup

# NAME CPUS QUEUES NETWORK DISKS(yes, no). SESSIONS picks of them: in the lab, a guest of 4 CPUs wants time that passes.
sessions=("plain|1|1|tap|yes" "queues|4|4|tap|yes" "vhost|1|1|vhost|no" "passt|1|1|passt|no")

# SESSION: lines "PART|CASE|COMMAND|COMMAND-THAT-MOVES-NEXT-TO-NOTHING", see guest.sh. vdc: direct, vdd: cached, vde: cached
# and with threads. The first depth is for all; NQ jobs at once where there are queues.
tests_of() {
	local size depth rw mode n where=''
	local -A device=([direct]=/dev/vdc [cached]=/dev/vdd [threads]=/dev/vde)
	case $1 in
	plain)
		n=$([ -n "$quick" ] && echo 1 || echo 5)
		echo "exits|a second of nothing|sleep $n; echo 0 $n|sleep 0; echo 0 0"
		for size in 4 128; do
			for depth in 1 32; do
				for rw in read write; do
					for mode in direct cached; do
						n=$((size == 4 ? 500 + 15 * depth : 150 + 5 * depth))
						[ -z "$quick" ] || [ "$mode$size$rw" = cached4read ] || [ "$mode$size$depth" = cached432 ] || continue
						echo "block|$rw $size KiB, depth $depth, $mode|disk ${device[$mode]} rand$rw $depth $n ${size}k 1|disk ${device[$mode]} rand$rw $depth 1 ${size}k 1"
					done
				done
			done
		done
		[ -n "$quick" ] || for rw in read write; do
			echo "block|$rw 4 KiB, depth 32, threads|disk /dev/vde rand$rw 32 1000 4k 1|disk /dev/vde rand$rw 32 1 4k 1"
		done
		nets "tap" ;;
	queues)
		[ "$place" != lab ] || where=", where time passes"
		for rw in read write; do
			echo "block|$rw 4 KiB, depth 32, direct, 4 queues$where|disk /dev/vdc rand$rw 32 500 4k 4|disk /dev/vdc rand$rw 32 1 4k 4"
		done
		nets "tap, 4 queues$where" | grep "4 streams" ;;
	*) nets "$1" ;;
	esac
}

nets() { # NAME
	echo "net|from the guest, 1 stream, $1|net 32M|net 1"
	[ -n "$quick" ] || echo "net|from the guest, 4 streams, $1|net 32M -P 4|net 1 -P 4"
	echo "net|to the guest, 1 stream, $1|net 32M -R|net 1 -R"
	[ -n "$quick" ] || echo "net|to the guest, 4 streams, $1|net 32M -R -P 4|net 1 -R -P 4"
	echo "net|1 byte there and back, $1|rr 1000|rr 1"
}

### A VM, in a network namespace of its own ###

pid='' to='' from='' answer='' # of the VM: process, file descriptors of its console
helpers=() # other processes that we have started

in_netns() { nsenter --net=/run/netns/bench "$@"; }

helper() { # COMMAND...
	in_netns "$@" >/dev/null 2>&1 &
	helpers+=("$!")
}

# The guest's address and its other end's. passt gives the guest the host's own, and the host is where the gateway is.
make_network() { # NETWORK QUEUES
	ip netns add bench
	in_netns ip link set lo up
	case $1 in
	passt)
		in_netns ip link add up0 type veth peer name up1
		in_netns ip addr add 192.0.2.2/24 dev up0
		in_netns ip link set up0 up
		in_netns ip link set up1 up
		in_netns ip route add default via 192.0.2.1 ;;
	*)
		# shellcheck disable=SC2046  # words are wanted
		in_netns ip tuntap add tap0 mode tap vnet_hdr $([ "$2" = 1 ] || echo multi_queue)
		in_netns ip addr add 192.0.2.1/24 dev tap0
		in_netns ip link set tap0 up ;;
	esac
	helper iperf3 -s
	helper "$files/pingpong" 5202
}

# QEMU wants passt to be there, vmm starts it. Of root's, passt makes itself somebody else, who has to get at its socket.
start_passt() { # VMM
	local tries=0
	case $vm_net:$1 in
	passt:microvm | passt:q35)
		chmod 711 "$dir"
		mkdir -p -m 777 "$dir/passt"
		helper passt -f -s "$dir/passt/socket"
		until [ -S "$dir/passt/socket" ]; do
			[ $((tries += 1)) -le 100 ] || { echo "passt does not come up" >"$dir/why"; return 1; }
			sleep 0.1
		done ;;
	esac
}

describe_session() { # CPUS QUEUES NETWORK DISKS
	vm_defaults
	vm_initrd=$files/initrd-modules vm_cpus=$1 vm_queues=$2 vm_net=$3 vm_mb=512
	vm_words="$words root=/dev/vda ro init=/sbin/vmm-test nowatchdog cryptomgr.notests"
	vm_words+=" bench_host=192.0.2.1 bench_guest=192.0.2.2"
	vm_words+=' CMD="tar -xf /dev/vdb -C /tmp && exec /tmp/guest.sh"'
	# The root disk is too large to be copied; what the tests read of it is in the guest's memory before they count.
	vm_disks=("$build/guest/root.ext4,ro" "$files/files.tar,ro")
	[ "$4" = no ] || vm_disks+=("$dir/ext4/disk,direct" "$dir/cached" "$dir/threads,threads")
}

start() { # VMM CPUS QUEUES NETWORK DISKS
	describe_session "${@:2}"
	"command_$1" 2>"$dir/why" || return 2
	# term.c of kvmtool: it listens only if both ends are a terminal.
	[ "$1" != lkvm ] || command=(script -qefc "exec ${command[*]@Q}" /dev/null)
	make_network "$4" "$3"
	start_passt "$1" || return 2
	mkdir -p "$cgroup/bench"
	rm -f "$dir/in" "$dir/out" "$dir/console"
	mkfifo "$dir/in" "$dir/out"
	exec {to}<>"$dir/in" {from}<>"$dir/out"
	# The subshell becomes the VMM, so that $! is its process.
	(
		echo "$BASHPID" >"$cgroup/bench/cgroup.procs"
		exec nsenter --net=/run/netns/bench "${command[@]}"
	) <"$dir/in" >"$dir/out" 2>"$dir/err" &
	pid=$!
	last='' hung=0 hang_limit=4
	read_until "$1" "@ready" || return 1
	hang_limit=1
}

stop_all() {
	[ -z "$pid" ] || kill "$pid" 2>/dev/null || true
	[ ${#helpers[@]} = 0 ] || kill "${helpers[@]}" 2>/dev/null || true
	[ -z "$pid" ] || wait "$pid" 2>/dev/null || true
	[ ${#helpers[@]} = 0 ] || wait "${helpers[@]}" 2>/dev/null || true
	pid='' helpers=()
	[ -z "$to" ] || exec {to}>&- {from}>&-
	to='' from=''
	ip netns del bench 2>/dev/null || true
	rmdir "$cgroup/bench" 2>/dev/null || true
	[ -z "${dir-}" ] || rm -rf "$dir/passt"
}

# All VMs of the VMM's cgroup: of vmm, it is another process that has made it.
kvm_dirs() {
	local p
	for p in $(cat "$cgroup/bench/cgroup.procs" 2>/dev/null); do
		compgen -G "/sys/kernel/debug/kvm/$p-*" || true
	done
}

# Asked five times a second, in deterministic time: has the guest been running with its interrupts off, leaving for the
# host's own interrupts only, $hang_limit times in a row? Early in a boot that is nothing special.
last='' hung=0 hang_limit=1
hangs() {
	local now was=$last vm
	is_deterministic || return 1
	vm=$(kvm_dirs | head -n 1)
	[ -n "$vm" ] || return 1
	now="$(<"$vm/irq_injections") $(($(<"$vm/exits") - $(<"$vm/irq_exits")))"
	last=$now vm=${vm##*/}
	if [ "$now" = "$was" ] && grep -q '^State:.*R' /proc/"${vm%%-*}"/task/*/status; then hung=$((hung + 1)); else hung=0; fi
	hung
}
hung() { [ "$hung" -ge "$hang_limit" ]; }

# VMM WORD: sets $answer to what comes before the line that begins with WORD, and to that line. Fails if the guest hangs.
read_until() {
	local line part='' tries=0
	answer=''
	while ! [[ $answer = *$'\n'"$2"* ]]; do
		kill -0 "$pid" 2>/dev/null || break
		if IFS= read -r -t "$look_s" line <&"$from"; then
			line=$part$line part=''
			line=${line%%$'\r'*}
			echo "$line" >>"$dir/console"
			answer+=$'\n'$line
			continue
		fi
		part+=$line
		! hangs || return 1
		[ "$((tries += 1))" -lt $((patience * 5)) ] || break # silence
	done
	[[ $answer = *$'\n'"$2"* ]] && return 0
	say "$1: no $2; the end of what it said: $(last_words "$dir/console" "$dir/err")"
	return 1
}

### One measurement ###

counters() { # prints "NAME VALUE" lines
	local file name d
	for d in $(kvm_dirs); do
		for file in "$d"/{exits,*_exits,irq_injections,insn_emulation,fpu_reload}; do
			[ -f "$file" ] || continue
			name=${file##*/}
			echo "${name/fpu_reload/returns} $(<"$file")"
		done
	done
	echo "to_vmm $(hits kvm_userspace_exit)"
	echo "time_us ${EPOCHREALTIME/./}"
	sed -n 's/^usage_usec/cpu_us/p' "$cgroup/bench/cpu.stat"
	in_netns cat /proc/net/dev | awk '$1 == "tap0:" || $1 == "lo:" && !n { n = $3 + $11 } END { print "packets", n }'
}

# COMMAND FILE: differences and the guest's own lines go to FILE. Fails if the guest hangs, 2: the command failed
measure_once() {
	local status
	counters >"$dir/before"
	echo "$2" >&"$to"
	read_until "$1" "@end" || return 1
	status=$answer
	counters >"$dir/after"
	echo >&"$to"
	read_until "$1" "@done" || return 1
	if [[ $status != *"@end 0" ]]; then
		echo "$2: ${answer//$'\n'/ }" >"$dir/why"
		return 2
	fi
	{
		awk 'NF == 2 || NF == 4 { if (!given++) { print "rate", $1; print "n", $2; if (NF == 4) { print "p50", $3; print "p99", $4 } } else print }' <<<"$answer"
		awk 'NR == FNR { was[$1] = $2; next } { print $1, $2 - was[$1] }' "$dir/before" "$dir/after"
	} >"$3"
}

# What comes first moves next to nothing, once or twice: it brings the program into the guest's memory.
measure_test() { # VMM PART CASE FULL LEAST RUN
	local program=${4%% *}
	if [[ $warm != *" $program "* ]]; then
		measure_once "$1" "$5" "$dir/least" || return
		warm+=" $program "
	fi
	measure_once "$1" "$5" "$dir/least" || return
	measure_once "$1" "$4" "$dir/full" || return
	record_test "$1" "$2" "$3" "$6"
}

record_test() { # VMM PART CASE RUN
	local name value rate per=request unit=IOPS
	case $2:$3 in
	exits:*) per="" unit='' ;;
	net:*there*) per="round trip" unit="round trips/s" ;;
	net:*) per=packet unit="Mbit/s" ;;
	esac
	while read -r name value; do
		case $name in
		rate) [ -z "$unit" ] || record "$2" "$3" speed "$unit" high "$1" "$4" "$value" ;;
		p50 | p99) record "$2" "$3" "$name" "µs" low "$1" "$4" "$value" ;;
		# Differences of counts mean nothing if another second passes each time.
		*) [[ $3 = *"where time passes" ]] || record "$2" "$3" "${name//_/ }${per:+ each}" "" low "$1" "$4" "$value" ;;
		esac
	done < <(awk -v divisor="$([ "$per" = packet ] && echo packets || echo n)" '
		NR == FNR { least[$1] = $2; next }
		{ full[$1] = $2 }
		function each(what) {
			return (full[what] - least[what]) / (full[divisor] - (divisor == "n" ? 0 : least[divisor]))
		}
		END {
			print "rate", full["rate"]
			if (full["p50"]) { print "p50", full["p50"]; print "p99", full["p99"] }
			if (full[divisor] == (divisor == "n" ? 0 : least[divisor])) exit
			printf "exits %.2f\nto_the_VMM %.2f\ninterrupts %.2f\nCPU_µs %.1f\n",
				each("exits") - each("irq_exits") - each("timer"), each("to_vmm"), each("virtio"), each("cpu_us")
		}' "$dir/least" "$dir/full")
}

### Sessions ###

# VMM SESSION CPUS QUEUES NETWORK DISKS: boots it anew until it is up
boot() {
	local tries status
	for tries in 1 2 3 4; do
		status=0
		start "$1" "${@:3}" || status=$?
		[ $status != 0 ] || return 0
		stop_all
		if [ $status = 2 ] || ! hung; then break; fi
		say "$1: another boot ($tries)"
	done
	note "$2" "$1" "$([ $status = 2 ] && cat "$dir/why" || last_words "$dir/console" "$dir/err")"
	return 1
}

run_session() { # VMM RUN NAME CPUS QUEUES NETWORK DISKS
	local vmm=$1 run=$2 part name full least tries warm='' status entry list=()
	doing "$3, $vmm, its boot"
	mapfile -t list < <(tests_of "$3" | grep -E "^($wanted)\|" | if [ "$vmm" = lkvm ]; then grep -v ", threads|"; else cat; fi)
	[ ${#list[@]} != 0 ] || return 0
	boot "$vmm" "$3" "${@:4}" || return 0
	for entry in "${list[@]}"; do
		IFS='|' read -r part name full least <<<"$entry"
		doing "$3, $vmm, $part: $name"
		for tries in 1 2 3 4 5; do
			status=0
			measure_test "$vmm" "$part" "$name" "$full" "$least" "$run" || status=$?
			[ $status = 1 ] && hung || break
			say "$vmm: $name: the guest hangs in the emulated host; once more"
			stop_all
			warm=''
			boot "$vmm" "$3" "${@:4}" || return 0
		done
		[ $status != 2 ] || note "$part" "$vmm" "$name: $(cat "$dir/why")"
		if [ $status = 1 ]; then
			note "$part" "$vmm" "$name: no answer; the session ends here: $(last_words "$dir/console" "$dir/err")"
			break
		fi
	done
	stop_all
	say "$3: run $run: $vmm: done"
}

setup_devices() {
	local tool
	for tool in ip nsenter mkfs.ext4 iperf3; do
		command -v "$tool" >/dev/null || { note "$1" all "$tool: not found"; return 1; }
	done
	[ "$(id -u)" = 0 ] || { note "$1" all "needs root: interfaces, KVM's counters"; return 1; }
	cp "$build/guest/initrd-modules-$kernel.cpio.gz" "$files/initrd-modules"
	mkdir "$dir/tar" "$dir/ext4"
	cp "$files/pingpong" "$here/guest.sh" "$dir/tar/"
	tar -cf "$files/files.tar" -C "$dir/tar" .
	[[ $wanted != *block* ]] || make_disks
	count_exits || note "$1" all "exits to the VMM cannot be counted: no hist triggers in debugfs"
}

make_disks() {
	head -c "${disk_mb}M" /dev/zero | tee "$dir/cached" >"$dir/threads"
	truncate -s "$((2 * disk_mb))M" "$dir/ext4.img"
	mkfs.ext4 -qF -E lazy_itable_init=0 "$dir/ext4.img"
	mount -o loop "$dir/ext4.img" "$dir/ext4"
	head -c "${disk_mb}M" /dev/zero >"$dir/ext4/disk"
}

# PART...: their tests, all in the same boots
part_devices() {
	local run vmm session name cpus queues network disks runs=$repeat
	local wanted
	wanted=$(IFS='|'; echo "$*")
	[ "$place" = host ] || runs=1
	setup_devices "$1" || return 0
	for session in "${sessions[@]}"; do
		IFS='|' read -r name cpus queues network disks <<<"$session"
		[[ " ${SESSIONS:-plain queues vhost passt} " = *" $name "* ]] || continue
		[ -z "$quick" ] || [ "$name" = plain ] || continue
		[[ $wanted = *block* ]] || disks=no
		for ((run = 1; run <= runs; run++)); do
			for vmm in "${vmms[@]}"; do run_session "$vmm" "$run" "$name" "$cpus" "$queues" "$network" "$disks"; done
		done
	done
	! mountpoint -q "$dir/ext4" || umount "$dir/ext4"
	stop_counting
}
