# shellcheck shell=bash disable=SC2154 # helpers.sh sets what is used here
# refusals.sh - files that are no kernels, wrong options, hosts that lack something; sourced by tests/guest/run.

# Files that are no kernels -------------------------------------------------------------------------------------------

kernel() { "$VMM" run --mem 64M --timeout 60s --kernel "$@"; }

files_of_other_kinds_are_refused() {
	: >empty
	refused 126 empty kernel empty
	echo "this is no kernel" >text
	refused 126 text kernel text
	head -c 100000 /dev/zero >zeros
	refused 126 "not a kernel" kernel zeros
	head -c 100000 /dev/urandom >random
	poke random 0 'XX'
	refused 126 "not a kernel" kernel random
	gzip <"$GUESTS/hello.elf" >compressed
	refused 126 "not a kernel" kernel compressed
	refused 126 directory kernel "$T"
	refused 126 device kernel /dev/zero
	mkfifo fifo
	refused 126 pipe kernel fifo
	refused 125 "No such file" kernel nothing
	refused 125 "nothing" kernel nothing/here
}

# What others have prepared for root (host/path.h). Only root can make links of others.
root_follows_nobodys_link_into_a_folder_of_its_own() {
	local text="a symbolic link of user 12345 leads into a directory of root" option
	[ "$(id -u)" = 0 ] || return 0
	mkdir own users
	cp "$GUESTS/poweroff.elf" own/kernel
	truncate -s 64K own/disk
	echo keep >own/file
	for f in kernel disk file new t.svg; do ln -s ../own/$f users/$f; done
	ln -s ../own users/folder
	chown -hR 12345 users
	refused 125 "users/kernel: $text" kernel users/kernel
	refused 125 "users/folder/kernel: $text" kernel users/folder/kernel
	for option in "--disk users/disk" "--disk users/disk,ro" "--initrd users/disk" \
		"--serial file=users/file" "--serial file=users/new" "--console file=users/new" \
		"--port p=file=users/file" "--trace exits=users/file" "--trace exits=users/new" \
		"--stats users/file" "--stats users/new" "--timeline users/t.svg"; do
		# shellcheck disable=SC2086 # two words
		refused 125 "$text: name the file itself" kernel own/kernel $option
	done
	[ "$(cat own/file)" = keep ] || fail "the file has been written to"
	[ ! -e own/new ] || fail "a file has been made"
	# What is theirs may be reached by their links, and what is root's by root's.
	cp own/kernel users/real
	ln -s real users/to-real
	chown -h 12345 users/real users/to-real
	status 0 kernel users/to-real
	ln -s own/kernel to-kernel
	status 0 kernel to-kernel --stats users/stats
}

# elf OFFSET BYTES TEXT: hello.elf with these bytes changed is refused
elf() {
	cp "$GUESTS/hello.elf" broken
	poke broken "$1" "$2"
	refused 126 "$3" kernel broken
}

elfs_that_cannot_be_are_refused() {
	local ff='\xff\xff\xff\xff\xff\xff\xff'
	elf 4 '\x01' "32-bit"
	elf 5 '\x02' "big-endian"
	elf 16 '\x01' "object file"
	elf 18 '\xb7\x00' "aarch64"
	elf 18 '\xf3\x00' "RISC-V"
	elf 32 "$ff\x7f" "truncated" # program headers far behind the end
	elf 54 '\x00' "program headers"
	elf 56 '\x00\x00' "program headers"
	elf 56 '\xff\xff' "program headers"
	elf 72 "$ff\x7f" "truncated" # first segment: offset
	elf 88 '\x00\x00\x00\x40' "in none of its segments" # physical address
	elf 96 "$ff\xff" "damaged" # size in the file
	elf 104 '\x00\x00\x00\x08' "give it more with --mem" # 128 MiB in memory
	elf 104 "$ff\xff" "wraps" # size in memory
	elf 120 '\x01' "overlap" # the note as a second segment
	cp "$GUESTS/hello.elf" broken
	poke broken 88 '\x00\x10\x00\x00' # from 4 KiB on, and as long as to hold the entry
	poke broken 104 '\x00\x00\x40\x00'
	refused 126 "the kernel wants RAM" kernel broken
}

an_elf_cut_anywhere_is_refused() {
	local n size
	size=$(stat -c %s "$GUESTS/hello.elf")
	for n in 1 3 4 5 16 63 64 65 100 119 120 175 176 1000 4095 4096 4097 $((size / 2)); do
		head -c "$n" "$GUESTS/hello.elf" >"cut"
		refused 126 cut kernel cut
	done
}

a_bzimage_boots_in_every_compression() {
	local c
	for c in gzip bzip2 xz zstd lz4 lzma; do
		command -v $c >/dev/null || continue
		case $c in
		lz4) lz4 -l -c <"$GUESTS/exit_status.elf" >packed 2>/dev/null ;;
		xz) xz --check=crc32 <"$GUESTS/exit_status.elf" >packed ;;
		*) $c -c <"$GUESTS/exit_status.elf" >packed ;;
		esac
		rm -f bz
		# gzip's own last bytes are the size; the others get it from bzimage()
		bzimage packed "$(stat -c %s "$GUESTS/exit_status.elf")" bz
		status 9 kernel bz --cmdline status=9 --log info
		has err "unpacked"
		status 9 kernel bz --cmdline status=9 --log info
		has err "from the cache"
	done
	status 43 kernel bz --boot compressed
	no_leftovers
}

a_bzimage_cut_anywhere_is_refused() {
	local n size
	gzip <"$GUESTS/hello.elf" >gz
	bzimage gz "$(stat -c %s "$GUESTS/hello.elf")" bz
	size=$(stat -c %s bz)
	for n in 1 2 100 $((0x1f1)) $((0x1fe)) 512 $((0x202)) $((0x206)) $((0x210)) $((0x248)) $((0x264)) $((0x290)) \
		1023 1024 1025 2047 2048 2049 2100 $((size / 2)) $((size - 16)) $((size - 4)) $((size - 1)); do
		head -c "$n" bz >"cut"
		refused 126 cut kernel cut
		refused 126 cut kernel cut --boot compressed
	done
	no_leftovers
}

# bz OFFSET BYTES TEXT: a good bzImage with these bytes changed is refused
bz() {
	cp good broken
	poke broken "$1" "$2"
	refused 126 "$3" kernel broken
	no_leftovers
}

bzimages_that_cannot_be_are_refused() {
	local len
	len=$(stat -c %s "$GUESTS/hello.elf")
	gzip <"$GUESTS/hello.elf" >gz
	bzimage gz "$len" good
	bz $((0x1f4)) '\xff\xff\xff\xff' "truncated"
	bz $((0x206)) '\x00\x02' "too old"
	bz $((0x248)) '\xff\xff\xff\xff' "damaged" # payload_offset
	bz $((0x24c)) '\xff\xff\xff\x7f' "damaged" # payload_length
	bz $((0x200)) '\xeb\x02' "damaged" # where the header ends
	bz 2100 '\x00\xff\x00\xff\x00\xff' "" # inside the compressed data
	cp good broken
	poke broken $((2048 + $(stat -c %s gz))) "$(le32 $((len + 1)))"
	refused 126 "" kernel broken
	poke broken $((2048 + $(stat -c %s gz))) "$(le32 $((len - 1)))"
	refused 126 "" kernel broken
	poke broken $((2048 + $(stat -c %s gz))) '\x00\x00\x00\x00'
	refused 126 "" kernel broken
	poke broken $((2048 + $(stat -c %s gz))) '\xff\xff\xff\xff'
	refused 126 "" kernel broken
	printf 'no ELF inside' | gzip >gz2
	bzimage gz2 13 broken2
	refused 126 "" kernel broken2
	no_leftovers
}

a_payload_without_end_is_stopped() {
	local began=$SECONDS
	bzimage "$GUESTS/big.gz" 100000 bomb
	refused 126 "100000 bytes, but more come out" kernel bomb
	[ $((SECONDS - began)) -lt 30 ]
	rm bomb
	bzimage "$GUESTS/big.gz" 0x7fffffff bomb # more than any kernel has
	refused 126 "damaged" kernel bomb
	no_leftovers
}

an_initrd_that_does_not_fit_is_refused() {
	truncate -s 65M big
	refused 126 "give the VM more RAM with --mem" vm hello --initrd big
	truncate -s 500G big
	refused 126 "give the VM more RAM with --mem" vm hello --initrd big
	refused 126 "directory" vm hello --initrd "$T"
	refused 125 "No such file" vm hello --initrd nothing
}

# Wrong options and hosts ---------------------------------------------------------------------------------------------

# option TEXT OPTION...: status 125, with this in the one line
option() {
	local text=$1
	shift
	refused 125 "$text" vm hello "$@"
}

wrong_options_are_named_with_the_remedy() {
	option "did you mean --kernel" --kernl x
	option "did you mean --timeout" --timeot=3
	option "unknown option --frobnicate" --frobnicate
	option "not an option" hello
	option "needs a value" --mem
	option "the least is" --mem 0
	option "the least is" --mem 1
	option "this host has" --mem 9999T
	option "too large" --mem 99999999999999999999
	option "too large" --mem 18446744073709551615T
	option "not a number" --mem -5
	option "not a number" --mem ""
	option "unknown unit" --mem 5Q
	option "--mem" --mem 100000K
	option "1 to" --cpus 0
	option "1 to" --cpus 100000
	option "at most" --cpus 60000
	option "not a number" --cpus=-1
	option "sockets=N" --cpus cores=2,foo=3
	option "sockets" --cpus sockets=0
	option "more than" --cpus sockets=60000,cores=60000,threads=60000
	option "expected direct or compressed" --boot sideways
	option "expected stdio, pty" --serial foo
	option "expected stdio, pty" --serial file=
	option "expected stdio, pty" --serial unix
	option "expected stdio, pty" --serial null=x
	option "more than 0" --timeout 0
	option "not a number" --timeout soon
	option "unknown unit" --timeout 3parsecs
	option "restart or exit" --on-reboot maybe
	option "expected exits" --trace everything
	option "expected exits" --trace exits=
	option "expected error" --log loud
	option "--expect" --expect ""
	option "--expect" --expect "$(printf 'x%.0s' {1..5000})"
	option "one of them" --cmdline a --append b
	option "shorten" --append "$(printf 'x%.0s' {1..70000})"
	option "No such file" --serial file=/nowhere/file
	option "No such file" --serial unix=/nowhere/s
	option "longer than" --serial "unix=$(printf 'x%.0s' {1..200})"
	option "No such file" --trace exits=/nowhere/trace
	option "ends in .svg or .json" --timeline picture.png
	option "No such file" --timeline /nowhere/t.svg
	refused 125 "--kernel FILE is needed" "$VMM" run
	refused 125 "did you mean run" "$VMM" runn
	refused 125 "vmm help" "$VMM" frobnicate
}

too_little_memory_is_told() {
	is_asan && return # takes terabytes of addresses for itself
	refused 125 "Cannot allocate memory" prlimit --as=200000000 "$VMM" run --kernel "$GUESTS/hello.elf"
}

# Every step of building a machine fails once, and what was built is undone.
too_few_file_descriptors_are_told() {
	local n rc failed=0
	for n in {4..40}; do
		rc=0
		prlimit --nofile="$n" "$VMM" run --kernel "$GUESTS/hello.elf" --mem 64M --serial unix=s --timeout 60s \
			>out 2>err </dev/null || rc=$?
		[ ! -e s ] || fail "with $n file descriptors the socket is still there"
		[ $rc = 0 ] && break
		[ $rc = 125 ] || [ $rc = 127 ] || fail "exit status $rc with $n file descriptors: $(head -n 2 err)"
		[ $rc = 127 ] || { one_line; failed=$((failed + 1)); }
	done
	[ $rc = 0 ] || fail "40 are not enough"
	[ $failed -gt 2 ] || fail "never refused"
}

kvm_that_may_not_be_used_is_told() {
	refused 125 "/dev/kvm: Permission denied: run 'sudo " private 'touch node; chmod 0 node; mount --bind node /dev/kvm' \
		setpriv --no-new-privs --inh-caps=-all --bounding-set=-all "$VMM" run --kernel "$GUESTS/hello.elf"
}

no_kvm_is_told() {
	refused 125 "/dev/kvm: no KVM on this host" private 'mount -t tmpfs none /dev' \
		"$VMM" run --kernel "$GUESTS/hello.elf"
}

what_is_no_kvm_is_told() {
	refused 125 "/dev/kvm" private 'touch node; mount --bind node /dev/kvm' \
		"$VMM" run --kernel "$GUESTS/hello.elf"
}

a_full_disk_under_the_cache_only_costs_the_cache() {
	head -c 3000000 /dev/urandom | cat "$GUESTS/exit_status.elf" - | gzip >gz
	bzimage gz $((3000000 + $(stat -c %s "$GUESTS/exit_status.elf"))) kernel
	mkdir small
	# shellcheck disable=SC2016 # expanded inside
	status 9 private 'mount -t tmpfs -o size=1M none small' env XDG_CACHE_HOME="$T/small" bash -c \
		'"$@" && rc=0 || rc=$?; find small -type f; exit $rc' x \
		"$VMM" run --mem 64M --timeout 60s --kernel kernel --cmdline status=9
	has err "No space left"
	[ ! -s out ] || fail "left over: $(cat out)"
}

# Below the limit even memory files end: the kernel cannot be unpacked at all.
a_limit_on_file_sizes_is_told() {
	head -c 3000000 /dev/urandom | cat "$GUESTS/exit_status.elf" - | gzip >gz
	bzimage gz $((3000000 + $(stat -c %s "$GUESTS/exit_status.elf"))) kernel
	status 125 prlimit --fsize=1000000 "$VMM" run --kernel kernel
	has err "File too large"
	no_leftovers
	[ "$(find "$XDG_CACHE_HOME" -type f | wc -l)" = 0 ]
}

a_cache_that_cannot_be_is_no_error() {
	gzip <"$GUESTS/exit_status.elf" >gz
	bzimage gz "$(stat -c %s "$GUESTS/exit_status.elf")" kernel
	for dir in /proc/nowhere /dev/null relative ""; do
		XDG_CACHE_HOME=$dir HOME=/proc status 9 kernel kernel --cmdline status=9
		[ ! -s err ] || fail "$dir: $(cat err)"
	done
	mkdir -p open/vmm
	chmod 777 open/vmm
	XDG_CACHE_HOME=$T/open status 9 kernel kernel --cmdline status=9
	[ -z "$(find open -type f)" ] || fail "wrote to a cache that others can write to"
}

a_damaged_cache_entry_is_made_again() {
	local f
	gzip <"$GUESTS/exit_status.elf" >gz
	bzimage gz "$(stat -c %s "$GUESTS/exit_status.elf")" kernel
	export XDG_CACHE_HOME=$T/own
	status 9 kernel kernel --cmdline status=9
	f=$(find own -type f)
	chmod 600 "$f"
	truncate -s 1000 "$f"
	status 9 kernel kernel --cmdline status=9
	cmp "$(find own -type f)" "$GUESTS/exit_status.elf"
}

# Help, version, doctor -----------------------------------------------------------------------------------------------

help_names_every_command_and_option() {
	local word
	for args in "" help --help -h; do
		# shellcheck disable=SC2086 # none or one word
		status 0 "$VMM" $args
		for word in run doctor help version; do has out "  $word"; done
		[ ! -s err ]
	done
	status 0 "$VMM" help run
	for word in kernel initrd mem cpus limit append cmdline boot serial timeout expect on-reboot trace log; do
		has out "--$word"
	done
	for word in 119 120 121 123 124 125 126 128; do has out "$word"; done
	for word in doctor help version; do status 0 "$VMM" help $word; done
	refused 125 "no command frobnicate" "$VMM" help frobnicate
}

version_says_which_build_this_is() {
	status 0 "$VMM" version
	[[ $(cat out) =~ ^vmm\ [^\ ]+$ ]] || fail "$(cat out)"
	cp out version
	status 0 "$VMM" --version
	cmp out version
	status 125 "$VMM" version now
}

output_that_cannot_be_written_is_told() {
	local rc=0
	"$VMM" help >/dev/full 2>err || rc=$?
	[ $rc = 125 ] || fail "help on a full disk: exit status $rc"
	has err "No space left"
}

# 0: stock kernels boot here; 125: they do not
doctor_tells_kvms_apart() {
	local rc=0
	"$VMM" doctor >out 2>err || rc=$?
	[ $rc = 0 ] || [ $rc = 125 ] || fail "exit status $rc"
	has out "KVM:"
	for word in SMT leaks microcode KSM swap; do has out "$word:"; done
	"$VMM" doctor --kernel "$GUESTS/hello.elf" >out 2>err || [ $? = 125 ] || fail "another exit status with --kernel"
	has out "PVH"
	echo text >text
	status 126 "$VMM" doctor --kernel text
	status 125 private 'mount -t tmpfs none /dev' "$VMM" doctor
	has out "none"
}
