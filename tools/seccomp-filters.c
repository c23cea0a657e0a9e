/*
 * seccomp-filters.c - run when vmm is built: makes programs of src/jail/calls.h by libseccomp, and
 * prints them as C.
 *
 * What is printed is included by src/jail/seccomp.c. So a VM's start costs no time for it, and its
 * process has no libseccomp in it.
 */
#include "../src/jail/calls.h"
#include <linux/filter.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define CALLS_MAX 512

static size_t longest;

static void check(int rc, const char *what)
{
	if (rc >= 0)
		return;
	fprintf(stderr, "seccomp-filters: %s: error %d\n", what, rc);
	exit(1);
}

static int add_line(scmp_filter_ctx ctx, const struct line *l)
{
	struct scmp_arg_cmp cmp = { .arg = l->arg, .op = SCMP_CMP_EQ, .datum_a = l->value };
	const struct scmp_arg_cmp both[2] = { cmp, { .arg = 0, .op = SCMP_CMP_EQ } };

	if (l->test == NONE)
		return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, l->call, 0);
	if (l->test == CALLER)
		return seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, l->call, 2, both);
	if (l->test == MASKED) {
		cmp.op = SCMP_CMP_MASKED_EQ;
		cmp.datum_a = l->mask;
		cmp.datum_b = l->value;
	} else if (l->test == OURSELVES) {
		cmp.datum_a = OURSELVES_NUMBER;
	}
	return seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, l->call, 1, &cmp);
}

static void add_lines(scmp_filter_ctx ctx, enum jail_role role)
{
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		if (role == JAIL_BUILD || lines[i].roles & 1u << role)
			check(add_line(ctx, &lines[i]), lines[i].why);
	}
	for (size_t i = 0; i < ARRAY_SIZE(declined); i++)
		check(seccomp_rule_add(ctx, SCMP_ACT_ERRNO((unsigned int)declined[i].error),
				       declined[i].call, 0),
		      declined[i].why);
}

static void print_program(scmp_filter_ctx ctx, const char *name)
{
	FILE *f = tmpfile();
	struct sock_filter insn;
	size_t n = 0;

	check(f ? seccomp_export_bpf(ctx, fileno(f)) : -1, "export");
	check(lseek(fileno(f), 0, SEEK_SET) < 0 ? -1 : 0, "seek");
	printf("static const struct sock_filter %s[] = {\n", name);
	for (; read(fileno(f), &insn, sizeof(insn)) == (ssize_t)sizeof(insn); n++)
		printf("\t{ %#x, %u, %u, %#xu },\n", insn.code, insn.jt, insn.jf, insn.k);
	printf("};\n");
	longest = n > longest ? n : longest;
	fclose(f);
}

/* tells: what is on no list is told to a listener, which lets it go on; else it is a SIGSYS. */
static void print_filter(enum jail_role role, bool tells)
{
	scmp_filter_ctx ctx = seccomp_init(tells ? SCMP_ACT_NOTIFY : SCMP_ACT_TRAP);
	char name[32];

	check(ctx ? 0 : -1, "seccomp_init");
	check(seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_TRAP), "other tables");
	add_lines(ctx, role);
	check(seccomp_syscall_priority(ctx, SYS_ioctl, UINT8_MAX), "KVM_RUN first");
	snprintf(name, sizeof(name), "filter_%u_%u", role, tells);
	print_program(ctx, name);
	seccomp_release(ctx);
}

static void print_names(void)
{
	printf("#define CALL_NAMES_ARCH %#xu\n", seccomp_arch_native());
	printf("static const char *const call_names[] = {\n");
	for (int nr = 0; nr < CALLS_MAX; nr++) {
		char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, nr);

		if (name)
			printf("\t[%d] = \"%s\",\n", nr, name);
		free(name);
	}
	printf("};\n");
}

int main(void)
{
	for (unsigned int role = 0; role < JAIL_ROLES; role++) {
		print_filter((enum jail_role)role, false);
		print_filter((enum jail_role)role, true);
	}
	printf("#define FILTER_MAX %zu\n", longest);
	printf("static const struct program filters[JAIL_ROLES][2] = {\n");
	for (unsigned int role = 0; role < JAIL_ROLES; role++) {
		printf("\t{");
		for (unsigned int tells = 0; tells < 2; tells++)
			printf(" { filter_%u_%u, sizeof(filter_%u_%u) / sizeof(struct sock_filter) "
			       "},",
			       role, tells, role, tells);
		printf(" },\n");
	}
	printf("};\n");
	print_names();
	return 0;
}
