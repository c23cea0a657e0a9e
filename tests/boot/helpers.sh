# shellcheck shell=bash disable=SC2034 # what is set here, the scripts use
# helpers.sh - what the scripts of tests/boot that boot whole kernels share; sourced by them, after lib.sh.
#
# Environment: JOBS, SHARD, KEEP: see tests/boot/run.

GUEST=$BUILD/guest
JOBS=${JOBS:-$(nproc)}
SHARD=${SHARD:-1/1}
KEEP=${KEEP:-}
vm='' # of launch

# What a kernel may complain about, and why. Extended regular expressions, matched with the line.
allowed=(
	# TCG does not intercept XSETBV, so the lab's CPUID tells a nested guest the size of its host's XSAVE area. QEMU
	# (-M microvm -accel kvm) in the same lab shows the same warning.
	'WARNING: CPU: 0 PID: 0 at arch/x86/kernel/fpu/xstate\.c:[0-9]+ fpu__init_system_xstate'
)

is_emulated() { grep -q "QEMU TCG" /proc/cpuinfo; }

# How often to look: in an emulated host, each look takes away from the guest.
poll=0.1
if is_emulated; then poll=0.5; fi

# As in lib.sh, but what the guest and the VMM said is kept, if that is wanted.
fail() {
	local f
	echo "$*" >"$T/why"
	for f in "$T"/out* "$T"/err* "$T"/hvc0; do
		# name: the test's, in run_one
		[ -z "$KEEP" ] || [ ! -f "$f" ] || cp "$f" "$KEEP/${name:?}.${f##*/}"
	done
	exit 1
}

# launch OPTION...: a VM in the background; its console is $T/out, and fd 3 to type on it
launch() {
	mkfifo "$T/in"
	"$VMM" run --timeout "$limit" "$@" <"$T/in" >"$T/out" 2>"$T/err" &
	vm=$!
	trap 'kill $vm 2>/dev/null || true' EXIT
	exec 3>"$T/in"
}

# await TEXT [TIMES]: until it is on the console
await() {
	while [ "$(grep -aoF -- "$1" "$T/out" | wc -l)" -lt "${2:-1}" ]; do
		kill -0 "$vm" 2>/dev/null || fail "the VM ended without \"$1\": $(tail -n 3 "$T/out" "$T/err" | tr '\r\n' ' ')"
		sleep $poll
	done
}

# ends STATUS: that is how the VM from launch ends
ends() {
	local got=0
	wait "$vm" || got=$?
	exec 3>&-
	[ "$got" = "$1" ] || fail "exit status $got, expected $1: $(tail -n 3 "$T/err" | tr '\n' ' ')"
}

hasnt() { # hasnt FILE TEXT
	! grep -aqF -- "$2" "$1" || fail "\"$2\" is in $(basename "$1")"
}

# is WHAT EXPECTED GOT
is() { [ "$2" = "$3" ] || fail "$1: $3, expected $2"; }

# facts NAME: what the guest has said in lines "fact NAME VALUE", see tests/boot/facts. (In front of what a command
# writes, bash on a terminal ends bracketed paste mode.)
facts() { tr -d '\r' <"$T/out" | sed -n "s/^\(\x1b\[?2004l\)\?fact $1 *//p"; }

# no_complaint LINES: the allowed ones apart
no_complaint() {
	local pattern rest=$1
	for pattern in "${allowed[@]}"; do rest=$(grep -Ev -- "$pattern" <<<"$rest" || true); done
	[ -z "$rest" ] || fail "the kernel complains: $(head -n 3 <<<"$rest" | tr '\n' ' ')"
}

# run_shard NAME...: those of this shard
run_shard() {
	local i chosen=()
	for ((i = ${SHARD%/*}; i <= $#; i += ${SHARD#*/})); do chosen+=("${!i}"); done
	# An emulated host has crashed and stalled by itself now and then: there, one failure is told, two are a failure.
	if is_emulated; then RETRY=yes; fi
	run_tests -j "$JOBS" "${chosen[@]}"
}
