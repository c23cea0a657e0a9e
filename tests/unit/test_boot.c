/*
 * test_boot.c - what arch_load() leaves in RAM and registers, for each way into a kernel.
 */
#include "../../src/arch/x86_64/memmap.h"
#include "../../src/arch/x86_64/x86.h"
#include "fake_kernel.h"
#include "fake_kvm.h"
#include "unit.h"
#include <errno.h>
#include <stdio.h>
#include <unistd.h>
#include <vmm/base/bytes.h>

#define RAM (64 * MIB)
#define CMDLINE "console=ttyS0 quiet"

static struct gmem *m;
static struct kernel *kernel;
static struct image initrd;
static struct arch_boot boot;
static char *path, *initrd_path;

static void open_kernel(char *file, enum boot_mode mode)
{
	struct err e = { 0 };

	path = file;
	fake_kvm_init();
	ck_ok(arch_kernel_open(&kernel, path, mode, &e));
	ck_ok(arch_kernel_read(kernel, &e));
	boot = (struct arch_boot){ .kernel = kernel, .cmdline = CMDLINE, .topology = { 1, 2, 1 } };
}

static void add_ram(uint64_t bytes)
{
	struct err e = { 0 };

	ck_ok(gmem_create(&m, &e));
	ck_ok(arch_add_ram(m, bytes, &e));
}

static void add_initrd(size_t len)
{
	uint8_t *data = malloc(len);
	struct err e = { 0 };

	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t)(i * 5 + 3);
	initrd_path = fake_file(data, len);
	free(data);
	ck_ok(image_open(&initrd, initrd_path, &e));
	boot.initrd = &initrd;
}

static void stop(void)
{
	gmem_destroy(m);
	arch_kernel_close(kernel);
	image_close(&initrd);
	unlink(path);
	free(path);
	if (initrd_path)
		unlink(initrd_path);
	free(initrd_path);
	fake_kvm_fini();
}

static void load(void)
{
	struct err e = { 0 };

	ck_ok(arch_load(&boot, m, &e));
}

static uint64_t ram64(gpa_t at)
{
	uint8_t b[8];

	ck_assert(gmem_read(m, at, b, sizeof(b)));
	return load_le64(b);
}

static uint32_t ram32(gpa_t at)
{
	return (uint32_t)ram64(at);
}

static void check_bytes(gpa_t at, size_t len, unsigned int factor, unsigned int plus)
{
	for (size_t i = 0; i < len; i++) {
		uint8_t b;

		if (!gmem_read(m, at + i, &b, 1) || b != (uint8_t)(i * factor + plus))
			ck_abort_msg("wrong byte at %#llx", (unsigned long long)(at + i));
	}
}

static void check_common(void)
{
	char line[sizeof(CMDLINE)];

	ck_assert(gmem_read(m, MAP_CMDLINE, line, sizeof(line)));
	ck_assert_str_eq(line, CMDLINE);
	ck_assert_uint_eq(ram64(MAP_ACPI), 0x2052545020445352u); /* "RSD PTR " */
	ck_assert_uint_eq(ram32(MAP_RESET_VECTOR),
			  0x64e6feb0); /* resets by the keyboard controller */
}

/* PVH -------------------------------------------------------------------------------------------
 */

/* Entries of `stride` bytes: where RAM is and is not. */
static void check_memory_map(gpa_t at, unsigned int stride, unsigned int n, uint64_t high)
{
	const uint64_t want[][3] = {
		{ 0, MAP_EBDA, 1 },
		{ MAP_EBDA, 0xa0000 - MAP_EBDA, 2 },
		{ MAP_ACPI, MAP_ACPI_END - MAP_ACPI, 3 },
		{ MAP_ACPI_END, MAP_LOW_END - MAP_ACPI_END, 2 },
		{ MAP_HIGH_RAM, (high ? MAP_HOLE : RAM) - MAP_HIGH_RAM, 1 },
		{ MAP_ECAM, MAP_ECAM_LEN, 2 },
		{ MAP_ABOVE_4G, high, 1 },
	};

	ck_assert_uint_eq(n, high ? 7 : 6);
	for (unsigned int i = 0; i < n; i++, at += stride) {
		ck_assert_uint_eq(ram64(at), want[i][0]);
		ck_assert_uint_eq(ram64(at + 8), want[i][1]);
		ck_assert_uint_eq(ram32(at + 16), want[i][2]);
	}
}

static void check_start_info(uint64_t high)
{
	ck_assert_uint_eq(ram32(MAP_PVH_INFO), 0x336ec578);
	ck_assert_uint_eq(ram32(MAP_PVH_INFO + 4), 1);
	ck_assert_uint_eq(ram32(MAP_PVH_INFO + 8), 0);
	ck_assert_uint_eq(ram64(MAP_PVH_INFO + 24), MAP_CMDLINE);
	ck_assert_uint_eq(ram64(MAP_PVH_INFO + 32), MAP_ACPI);
	check_memory_map(ram64(MAP_PVH_INFO + 40), 24, ram32(MAP_PVH_INFO + 48), high);
}

START_TEST(a_pvh_kernel_finds_its_start_info)
{
	static const uint64_t above[] = { 0, 256 * MIB };

	open_kernel(fake_kernel(true), BOOT_DIRECT);
	add_ram(above[_i] ? MAP_HOLE + above[_i] : RAM);
	load();
	ck_assert_uint_eq(boot.entry, FAKE_KERNEL_PVH_ENTRY);
	ck_assert_uint_eq(boot.argument, MAP_PVH_INFO);
	check_start_info(above[_i]);
	ck_assert_uint_eq(ram32(MAP_PVH_INFO + 12), 0); /* no module */
	check_bytes(FAKE_KERNEL_AT, FAKE_KERNEL_LEN, 7, 1);
	check_common();
	stop();
}
END_TEST

START_TEST(a_pvh_kernel_finds_its_initrd)
{
	gpa_t module, at;

	open_kernel(fake_kernel(true), BOOT_DIRECT);
	add_ram(RAM);
	add_initrd(100001);
	load();
	ck_assert_uint_eq(ram32(MAP_PVH_INFO + 12), 1);
	module = ram64(MAP_PVH_INFO + 16);
	at = ram64(module);
	ck_assert_uint_eq(ram64(module + 8), 100001);
	ck_assert_uint_eq(ram64(module + 16), 0);
	ck_assert_uint_eq(at % 4096, 0);
	ck_assert_uint_le(at + 100001, RAM);
	ck_assert_uint_gt(at + 100001 + 4096, RAM); /* as high as it goes */
	check_bytes(at, 100001, 5, 3);
	stop();
}
END_TEST

/* Linux's own protocol ----------------------------------------------------------------------------
 */

static void check_boot_params(gpa_t initrd_at, uint64_t initrd_len)
{
	const gpa_t bp = MAP_BOOT_PARAMS;

	ck_assert_uint_eq(boot.argument, bp);
	ck_assert_uint_eq(ram32(bp + 0x1fe) & 0xffff, 0xaa55);
	ck_assert_uint_eq(ram32(bp + 0x202), 0x53726448); /* HdrS */
	ck_assert_uint_eq(ram32(bp + 0x206) & 0xffff, 0x020f);
	ck_assert_uint_eq(ram32(bp + 0x210) & 0xff, 0xff); /* type_of_loader */
	ck_assert_uint_eq(ram32(bp + 0x211) & 1, 1); /* LOADED_HIGH */
	ck_assert_uint_eq(ram32(bp + 0x218), initrd_at);
	ck_assert_uint_eq(ram32(bp + 0x21c), initrd_len);
	ck_assert_uint_eq(ram64(bp + 0x0c0), 0); /* ext_ramdisk_image, _size */
	ck_assert_uint_eq(ram32(bp + 0x228), MAP_CMDLINE);
	ck_assert_uint_eq(ram64(bp + 0x070), MAP_ACPI);
	check_memory_map(bp + 0x2d0, 20, ram32(bp + 0x1e8) & 0xff, 0);
}

START_TEST(a_vmlinux_without_the_note_is_entered_at_its_64_bit_entry)
{
	open_kernel(fake_kernel(false), BOOT_DIRECT);
	add_ram(RAM);
	load();
	ck_assert_uint_eq(boot.entry, FAKE_KERNEL_ENTRY);
	check_boot_params(0, 0);
	check_bytes(FAKE_KERNEL_AT, FAKE_KERNEL_LEN, 7, 1);
	check_common();
	ck_assert_ptr_nonnull(arch_kernel_unpacked(kernel));
	ck_assert_uint_eq(arch_kernel_cmdline_max(kernel), 2047);
	stop();
}
END_TEST

START_TEST(a_bzimage_is_put_where_it_wants_to_be)
{
	open_kernel(fake_bzimage(0x1000000, true, true, 0x1ffffff),
		    _i ? BOOT_COMPRESSED : BOOT_DIRECT);
	add_ram(RAM);
	add_initrd(5000);
	load();
	ck_assert_uint_eq(boot.entry, 0x1000200);
	check_bytes(0x1000000, FAKE_BZIMAGE_PM_LEN, 7, 1);
	check_boot_params(0x2000000 - 0x2000,
			  5000); /* below initrd_addr_max, not below RAM's end */
	check_bytes(0x2000000 - 0x2000, 5000, 5, 3);
	ck_assert_uint_eq(ram32(MAP_BOOT_PARAMS + 0x260),
			  FAKE_BZIMAGE_INIT_SIZE); /* its own header */
	ck_assert_uint_eq(ram32(MAP_BOOT_PARAMS + 0x1f0) & 0xff, 0);
	check_common();
	ck_assert_ptr_null(arch_kernel_unpacked(kernel));
	ck_assert_uint_eq(arch_kernel_cmdline_max(kernel), 255);
	stop();
}
END_TEST

START_TEST(a_relocatable_bzimage_moves_down_where_ram_is_short)
{
	open_kernel(fake_bzimage(0x3f00000, true, true, 0), BOOT_COMPRESSED);
	add_ram(RAM);
	load();
	ck_assert_uint_eq(boot.entry, 0x200200); /* 1 MiB, aligned up to 2 */
	check_bytes(0x200000, FAKE_BZIMAGE_PM_LEN, 7, 1);
	stop();
}
END_TEST

/* Page tables, GDT, registers ---------------------------------------------------------------------
 */

static gpa_t walk(gpa_t root, uint64_t va)
{
	uint64_t e = ram64((root & ~0xfffull) + (va >> 39 & 511) * 8);

	ck_assert_uint_eq(e & 3, 3);
	e = ram64((e & ~0xfffull) + (va >> 30 & 511) * 8);
	ck_assert_uint_eq(e & 0x83, 3);
	e = ram64((e & ~0xfffull) + (va >> 21 & 511) * 8);
	ck_assert_uint_eq(e & 0x83, 0x83);
	return (e & ~0x1fffffull) | (va & 0x1fffff);
}

static void init_cpu(unsigned int index)
{
	struct kvm_sys sys;
	struct kvm_vm vm;
	struct kvm_vcpu cpu;
	struct err e = { 0 };

	ck_ok(kvm_sys_open(&sys, &e));
	ck_ok(kvm_vm_create(&vm, &sys, &e));
	ck_ok(arch_vm_init(&vm, &boot.topology, &e));
	ck_ok(kvm_vcpu_create(&cpu, &vm, arch_vcpu_id(&boot.topology, index), &e));
	ck_ok(arch_vcpu_init(&cpu, index, &boot, &sys, &e));
	kvm_vcpu_destroy(&cpu);
	kvm_vm_destroy(&vm);
	kvm_sys_close(&sys);
}

/* SDM volume 3, 3.4.5: what the CPU would load from that descriptor. */
static void check_descriptor(const struct kvm_segment *s)
{
	uint64_t d = ram64(MAP_GDT + s->selector);

	ck_assert_uint_eq(d >> 40 & 0xf, s->type);
	ck_assert_uint_eq(d >> 44 & 1, s->s);
	ck_assert_uint_eq(d >> 47 & 1, 1);
	ck_assert_uint_eq(d >> 53 & 1, s->l);
	ck_assert_uint_eq(d >> 54 & 1, s->db);
	ck_assert_uint_eq(d >> 55 & 1, s->g);
	ck_assert_uint_eq((d & 0xffff) | (d >> 32 & 0xf0000), s->g ? s->limit >> 12 : s->limit);
	ck_assert_uint_eq(d >> 16 & 0xffffff, 0); /* base */
}

START_TEST(a_64_bit_entry_has_page_tables_that_map_4_gib_onto_themselves)
{
	const struct kvm_sregs *s = &fake_kvm.cpu[0].sregs;

	open_kernel(fake_kernel(false), BOOT_DIRECT);
	add_ram(RAM);
	load();
	init_cpu(0);
	for (uint64_t va = 0; va < 4 * GIB; va += 0x1fff000)
		ck_assert_uint_eq(walk(s->cr3, va), va);
	ck_assert_uint_eq(walk(s->cr3, 4 * GIB - 1), 4 * GIB - 1);
	ck_assert_uint_eq(s->cr0 & 0x80000001, 0x80000001); /* PG, PE */
	ck_assert_uint_eq(s->cr4 & 0x20, 0x20); /* PAE */
	ck_assert_uint_eq(s->efer & 0x500, 0x500); /* LME, LMA */
	ck_assert_uint_eq(fake_kvm.cpu[0].regs.rip, FAKE_KERNEL_ENTRY);
	ck_assert_uint_eq(fake_kvm.cpu[0].regs.rsi, MAP_BOOT_PARAMS);
	ck_assert_uint_eq(fake_kvm.cpu[0].regs.rflags, 2); /* interrupts off */
	ck_assert_uint_eq(s->cs.l, 1);
	check_descriptor(&s->cs);
	check_descriptor(&s->ds);
	check_descriptor(&s->ss);
	check_descriptor(&s->tr);
	ck_assert_uint_eq(s->gdt.base, MAP_GDT);
	ck_assert_uint_ge(s->gdt.limit, s->tr.selector + 7);
	stop();
}
END_TEST

START_TEST(a_pvh_entry_is_flat_32_bit_without_paging)
{
	const struct kvm_sregs *s = &fake_kvm.cpu[0].sregs;

	open_kernel(fake_kernel(true), BOOT_DIRECT);
	add_ram(RAM);
	load();
	init_cpu(0);
	ck_assert_uint_eq(s->cr0 & 0x80000001, 1);
	ck_assert_uint_eq(s->cr4, 0);
	ck_assert_uint_eq(s->efer, 0);
	ck_assert(s->cs.db && !s->cs.l && s->cs.limit == UINT32_MAX && s->cs.base == 0);
	ck_assert(s->ds.db && s->ds.limit == UINT32_MAX && s->ss.base == 0);
	ck_assert_uint_eq(fake_kvm.cpu[0].regs.rbx, MAP_PVH_INFO);
	ck_assert_uint_eq(fake_kvm.cpu[0].regs.rip, FAKE_KERNEL_PVH_ENTRY);
	ck_assert_uint_eq(s->apic_base, 0);
	init_cpu(1); /* waits for INIT: its registers are left alone */
	ck_assert_uint_eq(fake_kvm.cpu[1].regs.rip, 0);
	boot.topology.cores = 256;
	init_cpu(0);
	ck_assert_uint_eq(s->apic_base & 0x400, 0x400); /* x2APIC mode */
	stop();
}
END_TEST

/* What does not fit -------------------------------------------------------------------------------
 */

static void load_fails(int code, const char *words)
{
	struct err e = { 0 };

	ck_fails(arch_load(&boot, m, &e), code, words);
	stop();
}

START_TEST(a_kernel_that_does_not_fit_says_how_much_ram_it_wants)
{
	open_kernel(fake_kernel(true), BOOT_DIRECT);
	add_ram(8 * MIB);
	load_fails(ERR_IMAGE, "wants RAM from 0x1000000 to 0x1003000, the VM has 0x100000 to "
			      "0x800000: give it more with --mem");
	open_kernel(fake_bzimage(0x3f00000, false, true, 0), BOOT_COMPRESSED);
	add_ram(RAM);
	load_fails(ERR_IMAGE, "give it more with --mem");
	open_kernel(fake_bzimage(0x10000, false, true, 0), BOOT_COMPRESSED);
	add_ram(RAM);
	load_fails(ERR_IMAGE, "wants RAM from 0x10000");
}
END_TEST

START_TEST(an_initrd_that_does_not_fit_says_how_much_is_free)
{
	open_kernel(fake_kernel(true), BOOT_DIRECT);
	add_ram(17 * MIB);
	add_initrd(2 * MIB);
	load_fails(ERR_IMAGE, "2 MiB do not fit beside the kernel: 0 MiB are free");
	initrd_path = NULL;
	initrd = (struct image){ 0 };
	open_kernel(fake_kernel(true), BOOT_DIRECT);
	add_ram(FAKE_KERNEL_AT + FAKE_KERNEL_LEN + 0x1000 + 0x10000);
	add_initrd(0x10000);
	load(); /* exactly */
	ck_assert_uint_eq(ram64(MAP_PVH_INFO + 56), FAKE_KERNEL_AT + FAKE_KERNEL_LEN + 0x1000);
	stop();
	open_kernel(fake_bzimage(0x1000000, false, true, 0xffffff), BOOT_COMPRESSED);
	add_ram(RAM);
	initrd_path = NULL;
	add_initrd(4096);
	load_fails(ERR_IMAGE, "do not fit beside the kernel: 0 MiB are free");
}
END_TEST

START_TEST(a_32_bit_bzimage_is_refused)
{
	char *file = fake_bzimage(0x1000000, true, false, 0);
	struct err e = { 0 };

	ck_ok(arch_kernel_open(&kernel, file, BOOT_DIRECT, &e));
	ck_fails(arch_kernel_read(kernel, &e), ERR_IMAGE, "a 32-bit kernel");
	unlink(file);
	free(file);
	arch_kernel_close(kernel);
	arch_kernel_close(NULL);
}
END_TEST

START_TEST(a_kernel_is_described)
{
	static const char *const words[] = { "entered by: PVH", "64-bit entry of the vmlinux",
					     "boot protocol 2.15" };
	char text[512], tiny[8];

	open_kernel(_i == 2 ? fake_bzimage(0x1000000, true, true, 0) : fake_kernel(_i == 0),
		    BOOT_DIRECT);
	arch_kernel_describe(kernel, text, sizeof(text));
	ck_assert_msg(strstr(text, words[_i]) != NULL, "%s", text);
	arch_kernel_describe(kernel, tiny, sizeof(tiny));
	ck_assert_uint_eq(strlen(tiny), 7);
	m = NULL;
	stop();
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("boot");

	UNIT_LOOP(s, a_pvh_kernel_finds_its_start_info, 2);
	UNIT_TEST(s, a_pvh_kernel_finds_its_initrd);
	UNIT_TEST(s, a_vmlinux_without_the_note_is_entered_at_its_64_bit_entry);
	UNIT_LOOP(s, a_bzimage_is_put_where_it_wants_to_be, 2);
	UNIT_TEST(s, a_relocatable_bzimage_moves_down_where_ram_is_short);
	UNIT_TEST(s, a_64_bit_entry_has_page_tables_that_map_4_gib_onto_themselves);
	UNIT_TEST(s, a_pvh_entry_is_flat_32_bit_without_paging);
	UNIT_TEST(s, a_kernel_that_does_not_fit_says_how_much_ram_it_wants);
	UNIT_TEST(s, an_initrd_that_does_not_fit_says_how_much_is_free);
	UNIT_TEST(s, a_32_bit_bzimage_is_refused);
	UNIT_LOOP(s, a_kernel_is_described, 3);
	return s;
}

UNIT_MAIN("boot", suite)
