# shellcheck shell=bash disable=SC2154 # helpers.sh sets what is used here
# devices.sh - virtio devices as a tiny guest's driver finds them, and what they leave behind; sourced by
# tests/guest/run.

ECAM=0xe0000000 # src/arch/x86_64/memmap.h

# numbered_image FILE: 64 KiB, no two sectors alike
numbered_image() {
	seq -w 0 16383 | tr -d '\n' | head -c 65536 >"$1"
}

# turned FILE ORIGINAL: sector 0 of FILE is sector 1 of ORIGINAL, turned around; the rest is as it was
turned() {
	cmp <(head -c 512 "$1" | rev) <(dd if="$2" bs=512 skip=1 count=1 status=none) || fail "sector 0 is wrong"
	cmp -i 512 "$1" "$2" || fail "other sectors have changed"
}

# devices_work GUEST OPTION...
devices_work() {
	local guest=$1
	shift
	numbered_image disk
	cp disk original
	status 0 vm "$guest" --disk disk --stats stats "$@"
	[ "$(cat out)" = "block works
rng works
no more devices" ] || fail "$(tail -n 3 out)"
	[ ! -s err ] || fail "$(head -n 1 err)"
	turned disk original
	has stats '"disk0"'
	has stats '"writes": 1'
	has stats '"rng0"'
	has stats '"type": "virtio-blk"'
}
a_disk_and_an_entropy_device_work_over_pci() { devices_work virtio_pci --append ecam=$ECAM; }
a_disk_and_an_entropy_device_work_by_words_on_the_command_line() {
	devices_work virtio_cmdline --transport mmio,cmdline
}
both_engines_of_a_disk_work() {
	local engine
	for engine in uring threads; do
		numbered_image disk
		cp disk original
		status 0 vm virtio_pci --append ecam=$ECAM --disk disk,engine=$engine
		has out "block works"
		turned disk original
	done
}

a_snapshot_leaves_the_image_alone() {
	numbered_image disk
	cp disk original
	chmod 400 disk
	status 0 vm virtio_pci --append ecam=$ECAM --disk disk,snapshot
	has out "block works"
	cmp disk original
}

what_is_not_there_is_not_on_the_bus() {
	status 0 vm virtio_pci --append ecam=$ECAM --rng none
	[ "$(cat out)" = "no more devices" ] || fail "$(cat out)"
	status 0 vm virtio_cmdline --transport mmio,cmdline --rng none
	[ "$(cat out)" = "no more devices" ] || fail "$(cat out)"
}

# What a VM with one of each device could leave behind: files, sockets, interfaces, a lock.
inventory() {
	ls -A tmp run
	ip -o link 2>/dev/null | wc -l
	flock -n disk true || echo locked
}

# start_many N OPTION...
start_many() {
	local i n=$1 before
	shift
	before=$(inventory)
	for ((i = 0; i < n; i++)); do
		TMPDIR=$PWD/tmp "$BUILD/vmm" run --kernel "$GUESTS/poweroff.elf" --mem 64M --timeout 60s \
			--disk disk,snapshot --console file=hvc0 --port agent=unix=run/agent "$@" >out 2>err </dev/null ||
			{ echo "start $i: status $?: $(tail -n 1 err)"; return 1; }
	done
	[ "$(inventory)" = "$before" ] || { echo "left over: $(inventory | tr '\n' ' ')"; return 1; }
}

# The release's program: a thousand starts of a slower one would show nothing more. Where that is allowed, with taps, and
# in a network namespace of their own, so that nobody else's are counted.
a_thousand_starts_leave_nothing_behind() {
	mkdir tmp run
	numbered_image disk
	export BUILD GUESTS
	export -f inventory start_many
	if [ -w /dev/net/tun ] && unshare -n ip tuntap add dev probe mode tap 2>/dev/null; then
		unshare -n bash -c "start_many ${STARTS:-1000} --net tap" >why.txt || fail "$(cat why.txt)"
	else
		start_many "${STARTS:-1000}" >why.txt || fail "$(cat why.txt)"
	fi
}

# start_with_passt GUEST OPTION...: start() with --net user, in a network that leads nowhere; its namespace in ./net
start_with_passt() {
	local guest=$1
	shift
	# shellcheck disable=SC2016 # the inner shell's
	start_cmd unshare -n bash -ec 'ip link set lo up
		ip tuntap add dev out0 mode tap
		ip addr add 10.9.8.7/24 dev out0
		ip link set out0 up
		ip route add default via 10.9.8.1
		readlink /proc/self/ns/net >net
		exec "$@"' passt "$VMM" run --kernel "$GUESTS/$guest.elf" --mem 64M --timeout 60s --net user "$@"
}

# The passt of that network, if it is there; as the kernel calls it.
passt_in_net() {
	local p
	for p in $(pgrep -x 'passt(\.avx2)?'); do
		[ "$(readlink "/proc/$p/ns/net")" != "$(cat net)" ] || echo "$p"
	done
}
has_passt() { [ -n "$(passt_in_net)" ]; }
is_confined() { grep -q '^Seccomp:.2$' "/proc/$1/status"; }

passt_has_given_up_its_power_and_goes_with_the_vmm() {
	local p field
	if ! [ -w /dev/net/tun ] || ! unshare -n ip tuntap add dev probe mode tap 2>/dev/null; then
		echo "no network to be made on this host"
		return
	fi
	start_with_passt spin_halted --serial null
	soon has_passt
	p=$(passt_in_net)
	soon is_confined "$p"
	grep -q '^NoNewPrivs:.1$' "/proc/$p/status" || fail "it can get new rights"
	for field in CapInh CapPrm CapEff CapAmb; do
		grep -Eq "^$field:.0+$" "/proc/$p/status" || fail "it has $(grep $field "/proc/$p/status")"
	done
	! grep -Eq '^[UG]id:.*\b0\b' "/proc/$p/status" || fail "it is root: $(grep '^[UG]id' "/proc/$p/status" | tr '\n' ' ')"
	[ -z "$(ls -A "/proc/$p/root/")" ] || fail "it sees files: $(ls "/proc/$p/root/" | tr '\n' ' ')"
	# Its sockets, its loop, and where its words go.
	! find "/proc/$p/fd" -type l -printf '%l\n' | grep -vE '^(socket|pipe|anon_inode):|^/dev/null$' || fail "it has files open"
	kill -9 "$pid"
	soon has_no_passt || fail "it has outlived the VMM"
}
has_no_passt() { ! has_passt; }

devices_that_no_driver_has_used_are_named_where_it_matters() {
	truncate -s 1M disk.img
	status 124 vm spin_halted --disk disk.img --console null --timeout 500ms
	has err "the guest has not used disk0, console0"
	status 123 vm poweroff --disk disk.img --expect nothing
	has err "the guest has not used disk0:"
	status 0 vm poweroff --console null
	has err "the guest has not used console0:"
	status 0 vm poweroff --disk disk.img
	[ ! -s err ] || fail "said, though all went well: $(cat err)"
	truncate -s 64K disk.img
	status 0 vm virtio_pci --append ecam=$ECAM --disk disk.img
	[ ! -s err ] || fail "said of a disk in use: $(cat err)"
}
