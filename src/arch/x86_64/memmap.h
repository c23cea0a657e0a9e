/*
 * memmap.h - the guest-physical address map, each line with its reason.
 *
 * Private to src/arch/x86_64. What boot protocols fix is named after them; the rest is ours to
 * choose, and the kernel learns it from the memory map and from ACPI.
 */
#ifndef VMM_ARCH_X86_64_MEMMAP_H
#define VMM_ARCH_X86_64_MEMMAP_H
#include <vmm/base/util.h>

/* Below 640 KiB: what the kernel reads while it starts, then uses as RAM. */
#define MAP_GDT 0x500ull /* after the real-mode vectors and the BIOS data area */
#define MAP_PVH_INFO 0x1000ull /* struct hvm_start_info, its module and its memory map */
#define MAP_BOOT_PARAMS 0x7000ull /* the "zero page" of the 64-bit boot protocol */
#define MAP_PAGE_TABLES 0x9000ull /* 6 pages: identity map of 4 GiB in 2 MiB pages */
#define MAP_CMDLINE 0x20000ull /* 64 KiB; Linux takes 2 KiB */
#define MAP_CMDLINE_MAX 0x10000ull

/* A PC has its extended BIOS data area, video memory and ROMs here; kernels never use it as RAM. */
#define MAP_EBDA 0x9fc00ull
#define MAP_ACPI                                                                                   \
	0xe0000ull /* where kernels without a better hint look for the RSDP (ACPI 6.4, 5.2.5.1) */
#define MAP_ACPI_END 0xff000ull
/* What the DSDT's methods read: struct board_info of acpi.c. Reserved, so that no kernel ever uses
 * it as RAM, not even after it has read the tables; firmware/dsdt.asl has this number, too. */
#define MAP_BOARD_INFO 0xff000ull
#define MAP_RESET_VECTOR 0xffff0ull /* where a PC's BIOS starts in real mode */
#define MAP_LOW_END 0x100000ull

#define MAP_HIGH_RAM 0x100000ull /* RAM proper starts at 1 MiB */
#define MAP_HOLE 0xc0000000ull /* 3 GiB: RAM stops, devices and interrupt controllers follow */
/* 512 MiB from the hole's start: a device of ours takes 20 KiB, and a guest may move it around. */
#define MAP_PCI32 MAP_HOLE
#define MAP_PCI32_LEN 0x20000000ull
#define MAP_ECAM 0xe0000000ull /* behind it; aligned as that of a bridge with 256 buses */
#define MAP_ECAM_LEN 0x100000ull /* one bus */
#define MAP_VIRTIO_MMIO 0xe1000000ull /* outside of PCI's windows, so that no BAR gets there */
#define MAP_VIRTIO_MMIO_STRIDE 0x1000ull
#define MAP_IOAPIC 0xfec00000ull /* where KVM has them */
#define MAP_LAPIC 0xfee00000ull
#define MAP_IDENTITY                                                                               \
	0xfffbc000ull /* KVM's own pages for real mode on Intel, just below the BIOS's place */
#define MAP_TSS 0xfffbd000ull
#define MAP_ABOVE_4G 0x100000000ull /* RAM goes on */
/* PCI's second window starts where RAM ends. CPUs with the fewest address bits have 36 of them:
 * with this length, that is enough beside 44 GiB of RAM. */
#define MAP_PCI64_LEN 0x400000000ull

#endif
