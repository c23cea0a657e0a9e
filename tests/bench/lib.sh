# shellcheck shell=bash disable=SC2034,SC2154 # what is set here the other scripts use, and the other way round
# lib.sh - what the parts of tests/bench share; sourced by run and guard, in the place where the measurements are made.
#
# Sets up: $dir a folder in memory, gone at the end; $files in it: kernel, initramfs, programs under short names that
# do not depend on where the repository is. What has been measured goes to $out/raw.tsv by `record`.

ready="vmm-init: up"
words="console=ttyS0 quiet panic=-1"

say() { echo "bench: $*" >&2; }
die() { say "$@"; exit 1; }

# PART CASE METRIC UNIT BETTER(low, high, -) VMM RUN VALUE: one line of raw.tsv
record() {
	local IFS=$'\t'
	echo "$place	$*" >>"$out/raw.tsv"
}

is_deterministic() { [ "$place" = lab ] && [[ " ${lab_time-} " = *" -i "* ]]; }

# WHAT...: what is at hand, for the note if it never ends
doing() { echo "$*" >"$out/doing"; }

# FILE...: the end of each, as one line
last_words() { tail -qn 4 "$@" 2>/dev/null | tr -s '\r\n\t ' ' '; }

# PART VMM WHY: what is not there, and why; a line of notes.tsv
note() {
	local IFS=$'\t'
	say "$1: $2: $3"
	echo "${place:-here}	$*" >>"$out/notes.tsv"
}

setup_place() {
	dir=$(mktemp -d "${TMPDIR:-/tmp}/bench.XXXXXX")
	files=$dir/files
	mkdir "$files"
	export XDG_CACHE_HOME=$dir/cache HOME=$dir
	# In the lab, what is read for the first time comes from another machine's disk.
	cp "$build/guest/vmlinuz-$kernel" "$files/bzImage"
	cp "$build/guest/initrd.cpio.gz" "$files/initrd"
	cp "$(program_of vmm)" "$files/vmm"
	VMM=$files/vmm
	cp "$build"/tests/bench/{watch,storm,clocks.so,pingpong,nothing.bin,*.elf} "$files/"
}

# OPTION... -- COMMAND...: what watch.c found, into the associative array `found`
watch() {
	local name value
	declare -gA found=()
	while read -r name value; do
		[ "$name" = file ] || found[$name]=$value
	done < <("$files/watch" "$@" 2>"$dir/watch.err" | tee "$dir/watch.out")
}

ms() { awk -v ns="$1" 'BEGIN { printf "%.2f\n", ns / 1e6 }'; }
