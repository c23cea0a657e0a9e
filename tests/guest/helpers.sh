# shellcheck shell=bash disable=SC2034 # the other parts use what is set here
# helpers.sh - what the tests of tests/guest/run share; sourced by it.

GUESTS=$BUILD/tests/guest
pid=0 # of start()

# vm GUEST OPTION...: runs a guest of this folder. 64 MiB; no guest takes as long as the limit.
vm() {
	local guest=$1
	shift
	"$VMM" run --kernel "$GUESTS/$guest.elf" --mem 64M --timeout 60s "$@"
}

# start GUEST OPTION...: the same in the background; $pid; output in out and err. stdin is the caller's.
start() {
	local guest=$1
	shift
	start_cmd "$VMM" run --kernel "$GUESTS/$guest.elf" --mem 64M --timeout 60s "$@"
}

# start_cmd CMD...: with the signals that shells ignore in background processes as they are in the foreground
start_cmd() {
	: >"$T/out" # what the last one has said is no sign of life of this one
	env --default-signal=INT,QUIT "$@" >"$T/out" 2>"$T/err" <&0 &
	pid=$!
	trap 'kill -9 $pid 2>/dev/null || :' EXIT
}

# ended STATUS: the process of start() ends by itself, so
ended() {
	local got=0
	soon is_gone || fail "it does not end"
	wait "$pid" || got=$?
	[ "$got" = "$1" ] || fail "exit status $got, expected $1 ($(tail -n 3 "$T/err" | tr '\n' ' '))"
}
is_gone() { ! grep -q '^State:.[^Z]' "/proc/$pid/status" 2>/dev/null; }

# soon CMD...: CMD becomes true within some seconds
soon() {
	local i
	for i in {1..400}; do
		"$@" && return 0
		sleep 0.05
	done
	echo "in vain: $*"
	return 1
}

printed() { grep -qaF -- "$2" "$1" 2>/dev/null; } # printed FILE TEXT

# one_line: stderr was one line, and nothing was printed
one_line() {
	[ "$(wc -l <"$T/err")" = 1 ] || fail "stderr has $(wc -l <"$T/err") lines: $(head -n 3 "$T/err" | tr '\n' ' ')"
	[ ! -s "$T/out" ] || fail "stdout is not empty"
}

# refused STATUS TEXT CMD...: ends so, with one line that says TEXT
refused() {
	local want=$1 text=$2
	shift 2
	status "$want" "$@"
	has "$T/err" "$text"
	one_line
}

# no_leftovers: nothing but whole entries is in the cache, no socket in the test's directory
no_leftovers() {
	local odd
	mkdir -p "$XDG_CACHE_HOME"
	odd=$(find "$XDG_CACHE_HOME" -type f ! -path '*/vmm/*' 2>/dev/null)
	odd+=$(find "$XDG_CACHE_HOME" -type f -regextype posix-extended ! -regex '.*/[0-9a-f]{64}' 2>/dev/null)
	odd+=$(find "$T" -type s)
	[ -z "$odd" ] || fail "left over: $odd"
}

poke() { # poke FILE OFFSET BYTES: BYTES as printf %b has them
	printf '%b' "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

le32() { printf '\\x%02x\\x%02x\\x%02x\\x%02x' $(($1 & 255)) $(($1 >> 8 & 255)) $(($1 >> 16 & 255)) $(($1 >> 24 & 255)); }

# bzimage PAYLOAD UNPACKED FILE: a bzImage around a compressed kernel that is said to unpack to so many bytes. Setup:
# two sectors. Protected-mode part: 1 KiB with a 64-bit entry that ends with status 43, the payload, its size.
bzimage() {
	local payload=$1 unpacked=$2 file=$3 len
	len=$(stat -c %s "$payload")
	truncate -s 2048 "$file"
	cat "$payload" >>"$file"
	printf '%b' "$(le32 "$unpacked")" >>"$file"
	truncate -s %16 "$file"
	poke "$file" $((0x1f1)) '\x01'                                     # setup_sects
	poke "$file" $((0x1f4)) "$(le32 $((($(stat -c %s "$file") - 1024) / 16)))" # syssize
	poke "$file" $((0x1fe)) '\x55\xaa\xeb\x66HdrS\x0f\x02'              # boot_flag, jump, header, version 2.15
	poke "$file" $((0x211)) '\x01'                                     # loadflags: LOADED_HIGH
	poke "$file" $((0x22c)) '\xff\xff\xff\x7f'                         # initrd_addr_max
	poke "$file" $((0x230)) "$(le32 0x200000)\x01\x15\x01\x00\xff\x07" # kernel_alignment .. cmdline_size
	poke "$file" $((0x248)) "$(le32 1024)$(le32 $((len + 4)))"          # payload_offset, payload_length
	poke "$file" $((0x258)) "$(le32 0x1000000)"                        # pref_address
	poke "$file" $((0x260)) "$(le32 0x1000000)"                        # init_size
	poke "$file" $((1024 + 0x200)) '\xb0\x2b\xe6\xf4\xf4'              # mov $43, %al; out %al, $0xf4; hlt
}

# What big.gz unpacks to, in seconds; it is less than 1 MiB long itself.
BIG=$((768 << 20))

# private SETUP CMD...: CMD in a mount namespace of its own after the commands of SETUP; neither needs root
private() {
	local flags=-m setup=$1
	shift
	[ "$(id -u)" = 0 ] || flags=-rm
	unshare $flags bash -ec "$setup"'; exec "$@"' private "$@"
}

is_asan() { grep -qa __asan_init "$VMM"; }

vm_pid() { vm_of "$pid"; }
has_vcpu() { cat "/proc/$(vm_pid)"/task/*/comm 2>/dev/null | grep -q vcpu0; }
high_water_kib() { awk '/^VmHWM/ { print $2 }' "/proc/$(vm_pid)/status" 2>/dev/null || :; } # nothing: it has ended
n_fds() { find "/proc/$(vm_pid)/fd" -mindepth 1 2>/dev/null | wc -l; }
terminal() { "$GUESTS/on-terminal" "$@"; }
