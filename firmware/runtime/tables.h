/*
 * tables.h - numbers that start.S, start64.S and tables.S share.
 */
#ifndef VMM_FIRMWARE_TABLES_H
#define VMM_FIRMWARE_TABLES_H

#define KERNEL_CS 0x10
#define KERNEL_DS 0x18
/* A software KVM that runs ring 3 natively wants Linux's own selectors there. */
#define USER_CS 0x33
#define USER_DS 0x2b
#define TSS_SELECTOR 0x40

#define CR0_PE 0x1
#define CR0_PG 0x80000000
#define CR4_PAE 0x20
#define MSR_EFER 0xc0000080
#define MSR_STAR 0xc0000081
#define EFER_SCE 0x1
#define EFER_LME 0x100

#endif
