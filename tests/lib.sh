# lib.sh - what every test script shares; sourced, not run.
#
# A script sets SUITE, defines one function for each test, named after the rule that it holds, and ends with
# `run_tests NAME...`. Each test runs in a subshell with `set -eu` and an empty directory of its own in $T
# (removed afterwards), and prints one line: "ok SUITE: NAME" or "FAIL SUITE: NAME: why", which
# tests/run counts; one that has taken long says how long. A test fails by a command that fails, or by `fail WHY`.

set -u
# Started in the background by a shell, or by nohup: signals are ignored that the tests send. No shell can undo that.
if [ -z "${DEFAULT_SIGNALS:-}" ]; then
	exec env --default-signal=HUP,INT,QUIT DEFAULT_SIGNALS=yes "$0" "$@"
fi
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
BUILD=$(realpath -m "${BUILD:-$ROOT/build}")
VMM=${VMM:-$BUILD/vmm} # another variant's program may be put in its place
export XDG_CACHE_HOME
LONG_S=10 # seconds; a test that takes so long says how long

fail() { # fail WHY...: ends the test
	echo "$*" >"$T/why"
	exit 1
}

# status EXPECTED CMD...: runs CMD with its output in $T/out and $T/err; its exit status must be EXPECTED.
status() {
	local want=$1 got=0
	shift
	"$@" >"$T/out" 2>"$T/err" </dev/null || got=$?
	[ "$got" = "$want" ] || fail "exit status $got, expected $want: $* ($(tail -n 3 "$T/err" | tr '\n' ' '))"
}

has() { # has FILE TEXT: the file contains the text
	grep -qF -- "$2" "$1" || fail "\"$2\" is not in $(basename "$1"): $(tail -n 3 "$1" | tr '\n' ' ')"
}

# vm_of PID: the VM's process, beside PID, which was started and waits for it; nothing: it has ended
vm_of() {
	local p
	for p in $(pgrep -P "$1"); do
		case $(cat "/proc/$p/comm" 2>/dev/null) in vmm-guard | "") ;; *) echo "$p" ;; esac
	done
}

# run_one NAME: in a subshell; prints the line. With RETRY, a failure is told by a line "again ...", and tried once
# more, because a test waits for seconds only, and a busy machine may stand still for longer. A sanitizer's report is final.
run_one() {
	local name=$1 rc why retry=${RETRY:-} start=$SECONDS took
	T=$(mktemp -d)
	(
		export XDG_CACHE_HOME=${XDG_CACHE_HOME:-$T/cache}
		set -eE
		trap "[ -e '$T/why' ] || echo \"\$BASH_COMMAND (line \$LINENO)\" >'$T/why'" ERR
		cd "$T"
		"$name"
	) >"$T/log" 2>&1
	rc=$? # not "|| rc=$?": bash ignores set -e to the left of "||"
	why=$(cat "$T/why" 2>/dev/null || tail -n 3 "$T/log" | tr '\n' ' ')
	# What a sanitizer says is in no big file, and a disk image has no end of lines.
	if [ $rc != 0 ] && find "$T" -type f -size -64M -exec grep -laE 'Sanitizer|runtime error:' {} + | grep -q .; then
		retry=
	fi
	rm -rf "$T"
	if [ $rc = 0 ]; then
		took=$((SECONDS - start))
		echo "ok $SUITE: $name$([ $took -lt $LONG_S ] || echo " ($took s)")"
	elif [ -n "$retry" ]; then
		echo "again $SUITE: $name: $why"
		RETRY='' run_one "$name"
		rc=$?
	else
		echo "FAIL $SUITE: $name: $why"
	fi
	return $rc
}

# run_tests [-j N] NAME...: all of them, N at a time; returns 1 if any failed. ONLY=PATTERN picks some.
run_tests() {
	local jobs=1 name failed
	failed=$(mktemp -d) # a file in it for each test that has failed
	if [ "$1" = -j ]; then
		jobs=$2
		shift 2
	fi
	for name in "$@"; do
		# shellcheck disable=SC2254 # ONLY is a pattern
		case $name in ${ONLY:-*}) ;; *) continue ;; esac
		while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do wait -n; done
		{ run_one "$name"; [ $? = 0 ] || : >"$failed/$name"; } &
	done
	wait
	rmdir "$failed" 2>/dev/null || { rm -r "$failed"; return 1; }
}
