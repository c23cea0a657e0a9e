# shellcheck shell=bash
# look.sh - a running VM as it is seen from the host, and what is left of one that was killed; sourced by tests/jail/run.
#
# Two processes: `outer` is the one that was started, `inner` its child, which is the VM. A check is a function that prints
# what is wrong. CONTROL turns the tests around: each check must find something.

# Descriptors that a VM in its jail may have: no folder, no /dev/kvm, no file that is not on its command line.
may_be_open() { # may_be_open TARGET
	case $1 in
	/dev/null | /dev/ptmx | /dev/pts/ptmx | /dev/pts/[0-9]* | /dev/net/tun | pipe:* | socket:*) ;;
	anon_inode:'[event'* | anon_inode:'[signalfd]' | anon_inode:'[timerfd]' | anon_inode:'[io_uring]' | anon_inode:'[pidfd]') ;;
	anon_inode:kvm-vm | anon_inode:kvm-vcpu:* | /memfd:*) ;;
	"$PARTS"/spin_halted.elf) ;; # the kernel: a reset loads it again
	"$T"/disk | "$T"/ro | "$T"/ring | "$T"/serial | "$T"/out | "$T"/err) ;;
	*) return 1 ;;
	esac
}

status_of() { awk -v k="$2:" '$1 == k { $1 = ""; print substr($0, 2) }' "/proc/$1/status"; } # status_of PID FIELD

# Is the process a VM, and does its vCPU run?
has_vcpu() { cat /proc/"$1"/task/*/comm 2>/dev/null | grep -q vcpu0; }

find_inner() {
	local p
	for p in /proc/[0-9]*; do
		p=${p#/proc/}
		has_vcpu "$p" || continue
		[ "$p" != "$outer" ] || { inner=$p && return; }
		[ "$(status_of "$p" PPid 2>/dev/null)" != "$outer" ] || { inner=$p && return; }
	done
	return 1
}

# What there is on this host that a VM could leave behind: processes, sockets, interfaces, groups, files.
inventory() {
	local p
	for p in /proc/[0-9]*; do
		case $(tr '\0' ' ' <"$p/cmdline" 2>/dev/null) in
		*"$PARTS"* | *passt*) grep -q '^State:.[^Z]' "$p/status" 2>/dev/null && echo "process ${p#/proc/} $(cat "$p/comm" 2>/dev/null)" ;;
		esac
	done
	find . tmp -type s -printf 'socket %P\n'
	find tmp /dev/shm -mindepth 1 -printf 'file %p\n'
	ip -o link | awk '{ print "interface " $2 }'
	find /sys/fs/cgroup -type d -printf 'group %p\n' 2>/dev/null
	awk 'NR > 1 && $8 != "" { print "socket " $8 }' /proc/net/unix
}

# start_vm WHO: with everything that WHO may have; `outer`, `inner`. Three descriptors are left open for it that are not its own.
start_vm() {
	local net=()
	chmod 777 .
	mkdir -m 777 -p tmp
	for f in disk ro ring; do cp "$PARTS/files/$f" . && chmod 666 $f; done
	case $1 in
	root) net=(--net tap --net user) ;;
	user) net=(--net user) ;;
	esac
	inventory | sort >before
	# shellcheck disable=SC2094
	TMPDIR=$T/tmp by "$1" "$PARTS/vmm" run --kernel "$PARTS/spin_halted.elf" --mem 64M --timeout 60s --disk disk,engine=threads \
		--disk ro,ro --disk ring,engine=uring --serial file=serial --console unix=console --port tty=pty --port p=unix=port "${net[@]}" "${off[@]}" \
		>out 2>err </dev/null 60<"$T" 61<>/dev/kvm 62</etc/passwd &
	started=$!
	outer=0 inner=0
	soon find_outer || fail "it does not start: $(tail -n 1 err)"
	soon find_inner || fail "no vCPU runs: $(tail -n 1 err)"
}

# The first process with the program's name: `by` may have come between.
find_outer() {
	local p
	for p in "$started" $(awk -v p="$started" '$1 == "PPid:" && $2 == p { split(FILENAME, f, "/"); print f[3] }' /proc/[0-9]*/status 2>/dev/null); do
		[ "$(tr '\0' ' ' <"/proc/$p/cmdline" 2>/dev/null | cut -d ' ' -f 1)" = "$PARTS/vmm" ] && outer=$p && return
	done
	return 1
}

# What is not as it was, in the end; a moment is theirs to go.
left_behind() {
	local i
	for i in {1..100}; do
		inventory | sort >after
		[ -n "$(comm -13 before after)" ] || return 0
		sleep 0.02
	done
	comm -13 before after | tr '\n' ';'
}

end_vm() {
	kill -TERM "$outer" 2>/dev/null || :
	wait "$started" || :
}

# Checks ----------------------------------------------------------------------------------------------------------------

check_two_processes() { [ "$inner" != "$outer" ] || echo "the VM is the process that was started"; }
check_unprivileged_user() {
	case " $(status_of "$inner" Uid) $(status_of "$inner" Gid) " in *[[:space:]]0[[:space:]]*) echo "root" ;; esac
}
check_no_groups() { [ -z "$(status_of "$inner" Groups | tr -d ' ')" ] || echo "groups: $(status_of "$inner" Groups)"; }
check_no_capabilities() { grep -E '^Cap(Inh|Prm|Eff|Bnd|Amb):' "/proc/$inner/status" | grep -v ':.0000000000000000$' | head -n 1; }
check_every_thread_is_filtered() {
	local t n=0
	for t in /proc/"$inner"/task/*; do
		n=$((n + 1))
		[ "$(awk '/^NoNewPrivs|^Seccomp:/ { printf "%s", $2 }' "$t/status")" = 12 ] || echo "thread $(cat "$t/comm"): NoNewPrivs and Seccomp are not 1 and 2"
	done
	[ $n -gt 2 ] || echo "only $n threads"
}
check_namespaces_of_its_own() {
	local ns
	for ns in cgroup ipc mnt net pid user uts; do
		[ "$(readlink "/proc/$inner/ns/$ns")" != "$(readlink /proc/self/ns/$ns)" ] || echo "$ns is the host's"
	done
}
check_empty_root() { ls -A "/proc/$inner/root/" | head -n 3; }
check_read_only_root() {
	awk '$5 == "/" { split($6, o, ","); if (o[1] != "ro") print "root is " $6 } END { if (NR > 1) print NR " mounts" }' "/proc/$inner/mountinfo"
}
check_at_the_root() { [ -z "$(ls -A "/proc/$inner/cwd/" | head -n 3)" ] || echo "its folder is not empty"; }
check_no_core() { [ "$(awk '/^Max core file size/ { print $5 $6 }' "/proc/$inner/limits")" = 00 ] || echo "core dumps are allowed"; }
check_limits() {
	awk '/^Max open files/ { if ($(NF - 1) !~ /^[0-9]+$/ || $(NF - 1) > 4096) print $0 }' "/proc/$inner/limits"
}
check_undumpable() { [ "$(stat -c %u "/proc/$inner/environ")" = 0 ] || echo "whoever is the same user may look at it"; }
check_ram_not_in_dumps() {
	awk '/^[0-9a-f]+-[0-9a-f]+ / { size = 0; name = $0 } /^Size:/ { size = $2 } /^VmFlags:/ { if (size >= 65536 && / rd / && !/ dd/) print name }' \
		"/proc/$inner/smaps"
}
check_descriptors() {
	local fd to
	for fd in /proc/"$inner"/fd/*; do
		to=$(readlink "$fd") || continue
		may_be_open "$to" || echo "open: $to"
	done
}

all_checks="two_processes unprivileged_user no_groups no_capabilities every_thread_is_filtered namespaces_of_its_own empty_root
	read_only_root at_the_root no_core limits undumpable ram_not_in_dumps descriptors"
# In a container that makes no namespaces, it is the user it was, and sees what Landlock does not hide.
container_checks="two_processes no_groups no_capabilities every_thread_is_filtered no_core limits undumpable ram_not_in_dumps descriptors"
# True without a jail, too: of an ordinary user, of a container; what is root's is root's; guest RAM is never in dumps.
always_root=" two_processes ram_not_in_dumps undumpable "
always_user=" two_processes ram_not_in_dumps unprivileged_user no_groups "
always_container=" two_processes ram_not_in_dumps no_groups no_capabilities "

look() { # look WHO
	local check checks=$all_checks always=always_$1 found
	[ "$1" != container ] || checks=$container_checks
	start_vm "$1"
	for check in $checks; do
		found=$(check_"$check" 2>&1 | paste -sd ';')
		if [ -z "$CONTROL" ]; then
			[ -z "$found" ] || echo "$check: $found" >>bad
		elif [[ ${!always} != *" $check "* ]]; then
			[ -n "$found" ] || echo "$check: there is nothing to be found" >>bad
		fi
	done
	end_vm
	[ ! -e bad ] || fail "$(paste -sd ';' bad)"
}

# killed WHO WHOM: nothing is left; if it is the VM that dies, whoever started it is told
killed() {
	local left rc=0
	start_vm "$1"
	kill -KILL "${!2}"
	[ "$2" = outer ] || soon gone "$outer" || fail "the outer process is still there"
	wait "$started" || rc=$?
	left=$(left_behind)
	[ -z "$left" ] || fail "left: $left"
	[ "$2" = outer ] || { [ $rc != 0 ] && [ -s err ]; } || fail "status $rc, and it says: $(cat err)"
}
gone() { ! grep -q '^State:.[^Z]' "/proc/$1/status" 2>/dev/null; }

terminated() { # terminated WHO: the other way to end, and everything is gone
	local left rc=0
	start_vm "$1"
	kill -TERM "$outer"
	wait "$started" || rc=$?
	[ $rc = 143 ] || fail "status $rc"
	left=$(left_behind)
	[ -z "$left" ] || fail "left: $left"
}

by_root_the_vm_is_nobody_and_sees_nothing() { look root; }
by_user_the_vm_is_nobody_and_sees_nothing() { look user; }
by_container_the_vm_has_no_privileges() { look container; }
by_root_a_kill_of_the_outer_process_leaves_nothing() { killed root outer; }
by_user_a_kill_of_the_outer_process_leaves_nothing() { killed user outer; }
by_container_a_kill_of_the_outer_process_leaves_nothing() { killed container outer; }
by_root_a_kill_of_the_vm_leaves_nothing() { killed root inner; }
by_user_a_kill_of_the_vm_leaves_nothing() { killed user inner; }
by_container_a_kill_of_the_vm_leaves_nothing() { killed container inner; }
by_root_a_signal_ends_both_and_leaves_nothing() { terminated root; }
by_user_a_signal_ends_both_and_leaves_nothing() { terminated user; }
by_container_a_signal_ends_both_and_leaves_nothing() { terminated container; }

look_tests=(
	by_root_the_vm_is_nobody_and_sees_nothing
	by_user_the_vm_is_nobody_and_sees_nothing
	by_container_the_vm_has_no_privileges
)
[ -n "$CONTROL" ] || look_tests+=(
	by_root_a_kill_of_the_outer_process_leaves_nothing
	by_user_a_kill_of_the_outer_process_leaves_nothing
	by_container_a_kill_of_the_outer_process_leaves_nothing
	by_root_a_kill_of_the_vm_leaves_nothing
	by_user_a_kill_of_the_vm_leaves_nothing
	by_container_a_kill_of_the_vm_leaves_nothing
	by_root_a_signal_ends_both_and_leaves_nothing
	by_user_a_signal_ends_both_and_leaves_nothing
	by_container_a_signal_ends_both_and_leaves_nothing
)
