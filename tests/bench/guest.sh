#!/bin/bash
# guest.sh: what tests/bench/devices.sh runs in its guests: commands come by the serial console, results go there.
#
# One line on the console is one command. While it runs, nothing is said on the console, because every byte there costs
# exits from the guest. Then: "@end STATUS", the host reads its counters and sends an empty line, the command's output,
# how many interrupts of which kind came meanwhile, (if it failed, its errors,) "@done".
# From the kernel's command line, by the environment: bench_host, bench_guest, the addresses of the two ends.
: "${bench_host:?}" "${bench_guest:?}"
stty -echo
cd /tmp || exit 1
ip link set eth0 up
ip addr add "$bench_guest/24" dev eth0

# DEVICE RW DEPTH N SIZE JOBS: prints IOPS, N, and how many microseconds half of the requests take at most, and 99 %,
# from before they are submitted: one processor for all may have done a request before the submission returns.
disk() {
	fio --name=t --filename="$1" --rw="$2" --iodepth="$3" --number_ios="$4" --bs="$5" --numjobs="$6" --group_reporting \
		--direct=1 --ioengine=libaio --thread --norandommap --clocksource=clock_gettime --lat_percentiles=1 \
		--clat_percentiles=0 --output-format=terse --terse-version=3 >fio || return 1
	awk -F';' -v n="$(($4 * $6))" '
		function more(i, than,   p) { split($i, p, "="); return p[2] + 0 > than ? p[2] + 0 : than }
		{ for (i = 1; i <= NF; i++) { if ($i ~ /^50\.0+%=/) half = more(i, half); if ($i ~ /^99\.0+%=/) most = more(i, most) } }
		{ print $8 + $49, n, half + 0, most + 0 }' fio
}

# BYTES OPTION...: prints Mbit/s at the receiver, and BYTES
net() {
	iperf3 -c "$bench_host" -n "$1" -i 0 -f m -J "${@:2}" >iperf || { cat iperf; return 1; }
	awk -v n="$1" '/"sum_received"/ { r = 1 } r && /"bits_per_second"/ { print $2 / 1e6, n; exit }' iperf
}

# N: prints round trips per second, and N
rr() { ./pingpong 5202 "$bench_host" "$1"; }

# Prints "NAME COUNT" of the guest's own interrupts: the timer's, and those of virtio devices.
interrupts() {
	awk '$1 == "LOC:" { t += $2 } /virtio[0-9]+-/ { v += $2 } END { print "timer", t; print "virtio", v }' /proc/interrupts
}

echo "@ready"
while read -r line; do
	interrupts >before
	eval "$line" >out 2>err </dev/null
	status=$?
	interrupts >after
	echo "@end $status"
	read -r _
	cat out
	awk 'NR == FNR { was[$1] = $2; next } { print $1, $2 - was[$1] }' before after
	[ "$status" = 0 ] || cat err
	echo "@done"
done
