/*
 * doctor_cpu.c - the part of `vmm doctor` about side channels: what the CPU leaks and the kernel
 * does not mend, cores that are shared, pages that are merged or written to a disk.
 *
 * Life of a VM: before there is one. Reads what the kernel tells in /sys and /proc, and changes
 * nothing: Linux, Documentation/ABI/testing/sysfs-devices-system-cpu, sysfs-kernel-mm-ksm, and
 * Documentation/admin-guide/hw-vuln.
 */
#include "doctor.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <vmm/base/util.h>

#define CPU_DIR "/sys/devices/system/cpu"
#define TEXT_MAX 512u

bool doctor_first_line(const char *path, char *buf, size_t size)
{
	FILE *f = fopen(path, "re");
	bool ok = f && fgets(buf, (int)size, f);

	if (f)
		fclose(f);
	if (ok)
		buf[strcspn(buf, "\n")] = '\0';
	return ok;
}

static bool first_line(const char *root, const char *path, char *buf, size_t size)
{
	char all[PATH_MAX];

	snprintf(all, sizeof(all), "%s%s", root, path);
	return doctor_first_line(all, buf, size);
}

static FILE *open_below(const char *root, const char *path)
{
	char all[PATH_MAX];

	snprintf(all, sizeof(all), "%s%s", root, path);
	return fopen(all, "re");
}

static void say_smt(FILE *out, const char *root)
{
	char active[8], control[32];

	if (!first_line(root, CPU_DIR "/smt/active", active, sizeof(active)) ||
	    !first_line(root, CPU_DIR "/smt/control", control, sizeof(control)))
		fprintf(out, "SMT:      not known\n");
	else if (active[0] == '1')
		fprintf(out,
			"SMT:      on: what runs beside a guest on its core may find out what it "
			"does; remedy: --core-scheduling\n");
	else if (strncmp(control, "not", 3) == 0)
		fprintf(out, "SMT:      none\n");
	else
		fprintf(out, "SMT:      off\n");
}

/* As "Vulnerable", "Mitigation: PTE Inversion; VMX: vulnerable" or "...; SMT vulnerable". */
static bool is_open(const char *text)
{
	return strcasestr(text, "vulnerable") != NULL;
}

struct leaks {
	char *name[64];
	unsigned int n;
};

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* In order, so that two hosts can be compared. What there is no room or memory for is left out. */
static void list(struct leaks *l, const char *root)
{
	char path[PATH_MAX];
	const struct dirent *entry;
	DIR *d = NULL;
	int fd;

	snprintf(path, sizeof(path), "%s" CPU_DIR "/vulnerabilities", root);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0)
		d = fdopendir(fd);
	if (!d) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while (l->n < ARRAY_SIZE(l->name) && (entry = readdir(d))) {
		if (entry->d_name[0] == '.' || strcmp(entry->d_name, "old_microcode") == 0)
			continue;
		l->name[l->n] = strdup(entry->d_name);
		l->n += l->name[l->n] != NULL;
	}
	closedir(d);
	qsort(l->name, l->n, sizeof(l->name[0]), by_name);
}

static void say_leaks(FILE *out, const char *root)
{
	struct leaks l = { .n = 0 };
	unsigned int n_open = 0;
	char path[PATH_MAX], text[TEXT_MAX];

	list(&l, root);
	for (unsigned int i = 0; i < l.n; i++) {
		snprintf(path, sizeof(path), CPU_DIR "/vulnerabilities/%s", l.name[i]);
		if (first_line(root, path, text, sizeof(text)) && is_open(text)) {
			fprintf(out, "leak:     %s: %s\n", l.name[i], text);
			n_open++;
		}
		free(l.name[i]);
	}
	if (l.n == 0)
		fprintf(out, "leaks:    not known: this kernel does not tell\n");
	else if (n_open == 0)
		fprintf(out,
			"leaks:    none: this CPU has none of the %u that this kernel knows, or "
			"it mends them\n",
			l.n);
	else
		fprintf(out,
			"leaks:    %u of the %u that this kernel knows; remedy: new microcode, a "
			"newer kernel, and no mitigations=off on its command line\n",
			n_open, l.n);
}

static void say_microcode(FILE *out, const char *root)
{
	FILE *f = open_below(root, "/proc/cpuinfo");
	char line[TEXT_MAX], revision[32] = "", old[TEXT_MAX];

	while (f && !revision[0] && fgets(line, sizeof(line), f)) {
		if (strncmp(line, "microcode", 9) == 0)
			sscanf(line, "microcode : %31s", revision);
	}
	if (f)
		fclose(f);
	fprintf(out, "microcode: %s", revision[0] ? revision : "not known");
	if (first_line(root, CPU_DIR "/vulnerabilities/old_microcode", old, sizeof(old)) &&
	    is_open(old))
		fprintf(out, ", which is old; remedy: the package intel-microcode or "
			     "amd64-microcode, or new firmware");
	fprintf(out, "\n");
}

static void say_ksm(FILE *out, const char *root)
{
	char run[8];

	if (!first_line(root, "/sys/kernel/mm/ksm/run", run, sizeof(run)))
		fprintf(out, "KSM:      none\n");
	else if (run[0] == '1')
		fprintf(out,
			"KSM:      on: it merges equal pages of processes that ask for it, which "
			"tells one what another has; vmm asks with --mem-merge only\n");
	else
		fprintf(out, "KSM:      off\n");
}

/* proc(5), /proc/swaps: file, type, KiB, KiB in use, priority. zram is RAM. */
static void say_swap(FILE *out, const char *root)
{
	FILE *f = open_below(root, "/proc/swaps");
	uint64_t size, used, all_size = 0, all_used = 0;
	char line[TEXT_MAX];

	while (f && fgets(line, sizeof(line), f)) {
		if (strncmp(line, "/dev/zram", 9) != 0 &&
		    sscanf(line, "%*s %*s %" SCNu64 " %" SCNu64, &size, &used) == 2) {
			all_size += size;
			all_used += used;
		}
	}
	if (f)
		fclose(f);
	if (all_size == 0)
		fprintf(out, "swap:     none\n");
	else
		fprintf(out,
			"swap:     %" PRIu64 " MiB, %" PRIu64 " MiB in use: a guest's RAM may be "
			"written there; remedy: --mem-lock\n",
			all_size / KIB, all_used / KIB);
}

void doctor_cpu(FILE *out, const char *root)
{
	say_smt(out, root);
	say_leaks(out, root);
	say_microcode(out, root);
	say_ksm(out, root);
	say_swap(out, root);
}
