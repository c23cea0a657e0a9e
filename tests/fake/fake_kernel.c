/*
 * fake_kernel.c - see fake_kernel.h.
 */
#include "fake_kernel.h"
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <vmm/base/bug.h>
#include <vmm/base/bytes.h>

char *fake_file(const void *data, size_t len)
{
	const char *dir = getenv("TMPDIR");
	char *path;
	int fd;

	VMM_BUG_ON(asprintf(&path, "%s/vmm-unit-XXXXXX", dir ? dir : "/tmp") < 0);
	fd = mkstemp(path);
	VMM_BUG_ON(fd < 0 || write(fd, data, len) != (ssize_t)len);
	close(fd);
	return path;
}

struct elf_file {
	Elf64_Ehdr h;
	Elf64_Phdr ph[2];
	struct {
		Elf64_Nhdr h;
		char name[4];
		uint32_t entry;
	} note;
	uint8_t code[FAKE_KERNEL_LEN];
};

static struct elf_file make_elf(bool pvh)
{
	struct elf_file f = { 0 };

	memcpy(f.h.e_ident, ELFMAG, SELFMAG);
	f.h.e_ident[EI_CLASS] = ELFCLASS64;
	f.h.e_ident[EI_DATA] = ELFDATA2LSB;
	f.h.e_ident[EI_VERSION] = EV_CURRENT;
	f.h.e_type = ET_EXEC;
	f.h.e_machine = EM_X86_64;
	f.h.e_entry = FAKE_KERNEL_ENTRY;
	f.h.e_phoff = sizeof(f.h);
	f.h.e_phentsize = sizeof(f.ph[0]);
	f.h.e_phnum = pvh ? 2 : 1;
	f.ph[0] = (Elf64_Phdr){ .p_type = PT_LOAD,
				.p_offset = (uintptr_t)f.code - (uintptr_t)&f,
				.p_paddr = FAKE_KERNEL_AT,
				.p_filesz = FAKE_KERNEL_LEN,
				.p_memsz = FAKE_KERNEL_LEN + 0x1000 };
	f.ph[1] = (Elf64_Phdr){ .p_type = PT_NOTE,
				.p_offset = (uintptr_t)&f.note - (uintptr_t)&f,
				.p_filesz = sizeof(f.note),
				.p_align = 4 };
	f.note.h = (Elf64_Nhdr){ .n_namesz = 4, .n_descsz = 4, .n_type = 18 };
	memcpy(f.note.name, "Xen", 4);
	f.note.entry = FAKE_KERNEL_PVH_ENTRY;
	for (size_t i = 0; i < sizeof(f.code); i++)
		f.code[i] = FAKE_KERNEL_BYTE(i);
	return f;
}

char *fake_kernel(bool pvh)
{
	struct elf_file f = make_elf(pvh);

	return fake_file(&f, sizeof(f));
}

/* The offsets are those of Linux, Documentation/arch/x86/boot.rst. */
static void put_setup(uint8_t *f, uint32_t pm_len, uint64_t pref_address)
{
	f[0x1f1] = 1; /* setup_sects */
	store_le32(f + 0x1f4, pm_len / 16); /* syssize */
	store_le16(f + 0x1fe, 0xaa55);
	f[0x200] = 0xeb;
	f[0x201] = 0x66;
	memcpy(f + 0x202, "HdrS", 4);
	store_le16(f + 0x206, 0x020f);
	store_le32(f + 0x230, 0x200000); /* kernel_alignment */
	store_le32(f + 0x238, 255); /* cmdline_size */
	store_le64(f + 0x258, pref_address);
	store_le32(f + 0x260, FAKE_BZIMAGE_INIT_SIZE);
}

char *fake_bzimage(uint64_t pref_address, bool relocatable, bool has_64, uint32_t initrd_max)
{
	uint8_t f[1024 + FAKE_BZIMAGE_PM_LEN] = { 0 };

	put_setup(f, FAKE_BZIMAGE_PM_LEN, pref_address);
	store_le32(f + 0x22c, initrd_max);
	f[0x234] = relocatable;
	store_le16(f + 0x236, has_64); /* xloadflags */
	for (size_t i = 0; i < FAKE_BZIMAGE_PM_LEN; i++)
		f[1024 + i] = FAKE_KERNEL_BYTE(i);
	return fake_file(f, sizeof(f));
}

char *fake_linux(bool bz, bool pvh, const uint32_t *table, size_t n_words)
{
	struct elf_file elf = make_elf(pvh);
	size_t end = offsetof(struct elf_file, code) + sizeof(elf.code); /* not what pads it */
	uint32_t len = (uint32_t)(end + n_words * sizeof(*table));
	uint8_t *f = calloc(1, 1024 + len);
	char *path;

	VMM_BUG_ON(!f);
	put_setup(f, len, FAKE_KERNEL_AT);
	store_le32(f + 0x22c, 0x7fffffff); /* initrd_addr_max */
	f[0x234] = true; /* relocatable_kernel */
	store_le16(f + 0x236, 1); /* xloadflags */
	store_le32(f + 0x24c, len); /* payload_length; payload_offset is 0 */
	f[0x211] = 3; /* loadflags, with one that is not the file's to set: KASLR_FLAG */
	memcpy(f + 1024, &elf, end);
	for (size_t i = 0; i < n_words; i++)
		store_le32(f + 1024 + end + i * sizeof(*table), table[i]);
	path = fake_file(bz ? f : f + 1024, bz ? 1024 + len : len);
	free(f);
	return path;
}
