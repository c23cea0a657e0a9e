# shellcheck shell=bash disable=SC2034,SC2054,SC2154 # what is set here the other scripts use, and the other way round
# vmms.sh - how each VMM is told to run the same VM; sourced by the scripts of tests/bench.
#
# One function for each VMM, command_NAME, makes the array `command` of what describes a VM:
#   vm_kernel  a bzImage (vm_elf: the same kernel as an ELF file, for those that take no other)
#   vm_initrd  ''  for none                vm_words  the kernel's command line; vm_own=yes: what is added to that which
#                                                    the VMM uses when it is given none (vm_own_words)
#   vm_cpus vm_mb                          vm_queues of each disk and network interface
#   vm_disks   FILE[,ro][,direct][,threads]...: with io_uring or what comes closest, unless "threads"
#   vm_net     '' tap vhost passt: tap and vhost are on the interface tap0
# The first serial port is the standard input and output. A reboot or the end of the guest ends the VMM; how the guest
# brings about the end, vm_end says. What a VMM cannot do at all, it says on standard error and returns 1.
# Sources: the manuals of QEMU 7.2 (-M microvm: docs/system/i386/microvm.rst), kvmtool's Documentation and builtin-run.c,
# Firecracker's docs/getting-started.md and its swagger file, Cloud Hypervisor's docs/ and --help.

all_vmms="vmm microvm q35 lkvm firecracker cloud-hypervisor"

vm_defaults() {
	vm_kernel=$files/bzImage vm_elf=$files/vmlinux vm_initrd=$files/initrd vm_words="" vm_own='' vm_cpus=1 vm_mb=256
	vm_queues=1 vm_disks=() vm_net=''
}

# NAME: the program's file; fails if there is none
program_of() {
	case $1 in
	vmm) echo "${VMM:-$build/vmm}" ;;
	microvm | q35) command -v "${QEMU:-qemu-system-x86_64}" ;;
	lkvm) command -v "${LKVM:-lkvm}" ;;
	firecracker) command -v "${FIRECRACKER:-firecracker}" ;;
	cloud-hypervisor) command -v "${CLOUD_HYPERVISOR:-cloud-hypervisor}" ;;
	*) return 1 ;;
	esac
}

version_of() {
	case $1 in
	vmm) "$(program_of vmm)" version | head -n 1 ;;
	*) "$(program_of "$1")" --version 2>/dev/null | head -n 1 || echo unknown ;;
	esac
}

# kvmtool has no way to be switched off, Firecracker neither; both end when the keyboard controller is told to reset.
# Cloud Hypervisor would start anew.
vm_end() { # NAME: a command in the guest; needs vm_end_words on the kernel's command line
	case $1 in
	lkvm | firecracker) echo "reboot -f" ;;
	*) echo "poweroff -f" ;;
	esac
}
vm_end_words() {
	case $1 in
	lkvm | firecracker) echo "reboot=k" ;;
	esac
}

# The least that a user has to add to a VMM's own words, to hear the kernel and for it to end. vmm and kvmtool have words of
# their own (kvmtool puts them before whatever it is given, too), Firecracker has such as switch the console off.
vm_own_words() { # NAME
	case $1 in
	vmm | lkvm) ;;
	firecracker) echo "console=ttyS0 reboot=k panic=1" ;; # as in its getting-started.md
	*) echo "console=ttyS0" ;;
	esac
}

has() { [[ ,$1, = *,$2,* ]]; } # LIST,OF,WORDS WORD

command_vmm() {
	local disk file
	command=("$(program_of vmm)" run --kernel "$vm_kernel" --mem "${vm_mb}M" --cpus "$vm_cpus" --on-reboot exit)
	if [ -n "$vm_own" ]; then command+=(--append "$vm_words"); else command+=(--cmdline "$vm_words"); fi
	[ -z "$vm_initrd" ] || command+=(--initrd "$vm_initrd")
	for disk in "${vm_disks[@]}"; do
		file=${disk%%,*}
		! has "$disk" ro || file+=,ro
		! has "$disk" direct || file+=,direct
		if has "$disk" threads; then file+=,engine=threads; else file+=,engine=uring; fi
		[ "$vm_queues" = 1 ] || file+=,queues=$vm_queues
		command+=(--disk "$file")
	done
	case $vm_net in
	tap | vhost) command+=(--net "tap=tap0$([ "$vm_queues" = 1 ] || echo ",queues=$vm_queues")$([ "$vm_net" = tap ] || echo ,vhost=on)") ;;
	passt) command+=(--net user,host) ;; # the other end is by passt, too, at the gateway's address
	esac
}

# What both machines of QEMU's have in common. BUS: "pci" or "device" (virtio-mmio)
qemu_command() { # MACHINE BUS
	local disk file n=0 options cpu=host
	# A software KVM knows fewer MSRs than the processor.
	[ "${place-}" != software ] || cpu+=,arch-capabilities=off
	command=("$(program_of q35)" -M "$1" -accel kvm -cpu "$cpu" -m "$vm_mb" -smp "$vm_cpus" -nodefaults -no-user-config
		-display none -no-reboot -chardev stdio,id=con,signal=off -serial chardev:con
		-kernel "$vm_kernel" -append "$vm_words")
	# The guests there have no driver for devices of before VIRTIO 1.0.
	[ "${place-}:$2" != software:device ] || command+=(-global virtio-mmio.force-legacy=false)
	[ -z "$vm_initrd" ] || command+=(-initrd "$vm_initrd")
	[ ${#vm_disks[@]} = 0 ] || command+=(-object iothread,id=io)
	for disk in "${vm_disks[@]}"; do
		file=${disk%%,*}
		options="if=none,id=disk$n,format=raw,file=$file"
		! has "$disk" ro || options+=,readonly=on
		if has "$disk" direct; then options+=,cache=none; else options+=,cache=writeback; fi
		if has "$disk" threads; then options+=,aio=threads; else options+=,aio=io_uring; fi
		command+=(-drive "$options" -device "virtio-blk-$2,drive=disk$n,iothread=io,num-queues=$vm_queues")
		n=$((n + 1))
	done
	local vectors=''
	[ "$2" != pci ] || [ "$vm_queues" = 1 ] || vectors=,mq=on,vectors=$((2 * vm_queues + 2))
	case $vm_net in
	tap | vhost) command+=(-netdev "tap,id=net,ifname=tap0,script=no,downscript=no,vhost=$([ "$vm_net" = tap ] && echo off || echo on)$([ "$vm_queues" = 1 ] || echo ",queues=$vm_queues")"
		-device "virtio-net-$2,netdev=net$vectors") ;;
	passt) command+=(-netdev "stream,id=net,server=off,addr.type=unix,addr.path=$dir/passt/socket"
		-device "virtio-net-$2,netdev=net$vectors") ;;
	esac
}
command_microvm() { qemu_command microvm device; }
command_q35() { qemu_command q35 pci; }

# Of its disks there are four at most, with one queue each: devices.sh leaves its fifth out.
command_lkvm() {
	local disk file
	[ "$vm_queues" = 1 ] || [ ${#vm_disks[@]} = 0 ] || { echo "lkvm: its disks have one queue only" >&2; return 1; }
	command=("$(program_of lkvm)" run --kernel "$vm_kernel" --mem "$vm_mb" --cpus "$vm_cpus" --params "$vm_words"
		--console serial)
	[ -z "$vm_initrd" ] || command+=(--initrd "$vm_initrd")
	for disk in "${vm_disks[@]:0:4}"; do
		file=${disk%%,*}
		! has "$disk" ro || file+=,ro
		! has "$disk" direct || file+=,direct
		command+=(--disk "$file")
	done
	case $vm_net in
	'') command+=(--network mode=none) ;;
	tap | vhost) command+=(--network "mode=tap,tapif=tap0,script=none$([ "$vm_queues" = 1 ] || echo ",mq=$vm_queues")$([ "$vm_net" = tap ] || echo ,vhost=1)") ;;
	*) echo "lkvm: has no network by $vm_net" >&2; return 1 ;;
	esac
}

# Its console is on the standard output. Its disks and interfaces have one queue.
command_firecracker() {
	local disk n=0 drives='' net='' initrd=''
	[ "$vm_queues" = 1 ] || { echo "firecracker: has one queue only" >&2; return 1; }
	for disk in "${vm_disks[@]}"; do
		! has "$disk" direct || { echo "firecracker: has no direct disks" >&2; return 1; }
		drives+="${drives:+,}{\"drive_id\":\"disk$n\",\"path_on_host\":\"${disk%%,*}\",\"is_root_device\":false,"
		drives+="\"is_read_only\":$(has "$disk" ro && echo true || echo false),\"cache_type\":\"Writeback\","
		drives+="\"io_engine\":\"$(has "$disk" threads && echo Sync || echo Async)\"}"
		n=$((n + 1))
	done
	case $vm_net in
	'') ;;
	tap) net='{"iface_id":"eth0","host_dev_name":"tap0"}' ;;
	*) echo "firecracker: has no network by $vm_net" >&2; return 1 ;;
	esac
	[ -z "$vm_initrd" ] || initrd="\"initrd_path\":\"$vm_initrd\","
	cat >"$dir/firecracker.json" <<-JSON
		{"boot-source":{"kernel_image_path":"$vm_elf",$initrd"boot_args":"${vm_words//\"/\\\"}"},
		"drives":[$drives],"network-interfaces":[$net],
		"machine-config":{"vcpu_count":$vm_cpus,"mem_size_mib":$vm_mb}}
	JSON
	command=("$(program_of firecracker)" --no-api --level Error --config-file "$dir/firecracker.json")
}

command_cloud-hypervisor() {
	local disk file disks=()
	command=("$(program_of cloud-hypervisor)" --kernel "$vm_elf" --cmdline "$vm_words" --cpus "boot=$vm_cpus"
		--memory "size=${vm_mb}M" --serial tty --console off)
	[ -z "$vm_initrd" ] || command+=(--initramfs "$vm_initrd")
	for disk in "${vm_disks[@]}"; do
		file="path=${disk%%,*},num_queues=$vm_queues"
		! has "$disk" ro || file+=,readonly=on
		! has "$disk" direct || file+=,direct=on
		! has "$disk" threads || file+=,_disable_io_uring=on
		disks+=("$file")
	done
	[ ${#disks[@]} = 0 ] || command+=(--disk "${disks[@]}")
	case $vm_net in
	'') ;;
	tap) command+=(--net "tap=tap0,num_queues=$((2 * vm_queues))") ;;
	*) echo "cloud-hypervisor: has no network by $vm_net" >&2; return 1 ;;
	esac
}
