# fault.mk - builds the tests in which the n-th call into the host fails (fault.h says how).
#
# Included by the Makefile. Unit tests that end in _faults are linked with the renamed library; vmm-fault is the
# whole program made so, for tests/fault/run.

FAULT_LIB := $(O)/fault/libvmm.a
FAULT_UNIT := $(filter %_faults,$(UNIT))
FAKES_test_cgroup_faults := fake_cgroup
FAKES_test_kernel_cache_faults := fake_kvm fake_kvm_irq
FAKES_test_machine_faults := fake_vm fake_kvm fake_kvm_irq fake_kernel fake_stderr

$(O)/fault/renames: tests/fault/calls
	@mkdir -p $(@D)
	$(Q)sed -n 's/^fail \(.*\)/\1 fault_\1/p' $< >$@

$(FAULT_LIB): $(O)/fault/renames $(O)/libvmm.a
	$(call say,COPY,$@)
	$(Q)objcopy --redefine-syms=$^ $@

# The program's own main is vmm_main there.
$(O)/fault/main.o: $(O)/fault/renames $(O)/src/cli/main.c.o
	$(Q)objcopy --redefine-syms=$< --redefine-sym main=vmm_main $(lastword $^) $@

$(FAULT_UNIT): $(O)/unit/%: $(O)/tests/unit/%.o $(O)/tests/unit/unit.o $(O)/tests/fault/fault.o \
		$$(addprefix $(O)/tests/fake/,$$(addsuffix .o,$$(FAKES_$$*))) $(FAULT_LIB)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS) -lutil $$(pkg-config --libs check)

$(O)/vmm-fault: $(O)/fault/main.o $(O)/tests/fault/fault.o $(O)/tests/fault/fault_main.o $(FAULT_LIB)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS) -lutil
