# shellcheck shell=bash disable=SC2154 # helpers.sh sets what is used here
# selftest.sh - `vmm selftest` from outside: what it prints, how it ends, what it needs; sourced by tests/guest/run.

# passed_all MIN: every line says ok, as many as the last one counts, and at least MIN
passed_all() {
	local n
	n=$(grep -c '^ok ' out)
	[ "$(tail -n 1 out)" = "$n passed, 0 failed" ] || fail "$(grep -m 1 -v '^ok ' out)"
	[ "$n" -ge "$1" ] || fail "$n checks"
	[ "$(wc -l <out)" = $((n + 1)) ] || fail "$(grep -v '^ok ' out | head -n 1)"
	[ ! -s err ] || fail "$(head -n 1 err)"
}

the_selftest_passes_over_each_transport() {
	local n
	status 0 "$VMM" selftest
	passed_all 80
	n=$(grep -c '^ok pci: ' out)
	[ "$(grep -c '^ok mmio: ' out)" = $((n - 2)) ] || fail "two checks are of PCI alone"
	status 0 "$VMM" selftest --transport mmio,cmdline
	passed_all $((n - 2))
}

the_selftest_passes_on_one_cpu_and_on_many() {
	status 0 "$VMM" selftest --transport pci --cpus 1
	passed_all 40
	status 0 "$VMM" selftest --transport mmio --cpus 9 --mem 128M
	passed_all 40
}

the_selftest_leaves_nothing_behind() {
	mkdir tmp
	TMPDIR=$PWD/tmp status 0 "$VMM" selftest --transport pci
	[ -z "$(ls -A tmp)" ] || fail "$(ls -A tmp)"
	[ "$(ls)" = "err
log
out
tmp" ] || fail "$(ls | tr '\n' ' ')"
}

# As a user who may do nothing but use /dev/kvm.
the_selftest_needs_no_privileges() {
	local run=("$VMM")
	if [ "$(id -u)" = 0 ]; then
		chmod 755 .
		install -m 755 "$VMM" vmm
		run=(private 'mount -t tmpfs none /mnt && mknod -m 666 /mnt/kvm c 10 232 && mount --bind /mnt/kvm /dev/kvm'
			setpriv --reuid 65534 --regid 65534 --clear-groups --bounding-set=-all "$T/vmm")
	fi
	status 0 "${run[@]}" selftest --transport pci
	passed_all 40
}

the_selftest_says_what_it_cannot_do() {
	refused 125 "expected pci, mmio" "$VMM" selftest --transport isa
	refused 125 "1 to 64" "$VMM" selftest --cpus 65
	refused 125 "the least is 64 MiB" "$VMM" selftest --mem 1M
	refused 125 "not a number" "$VMM" selftest --fuzz x
	refused 125 "/dev/kvm" private "mount --bind /dev/null /dev/kvm" "$VMM" selftest
}

random_accesses_are_survived() {
	local seed
	for seed in 1 2 3; do
		status 0 "$VMM" selftest --fuzz $seed,2000
		has out "ok pci: fuzz: seed $seed, 2000 accesses"
		has out "ok mmio: fuzz: seed $seed, 2000 accesses"
	done
}

a_signal_ends_the_selftest() {
	start_cmd "$VMM" selftest --transport pci --fuzz 1,4000000
	soon has_vcpu || fail "it does not start"
	kill "$pid"
	ended 143
}
