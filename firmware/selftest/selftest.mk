# selftest.mk - the guest of `vmm selftest`, which is embedded into the program.
#
# Included by the Makefile. Freestanding C and a little assembly, with what it shares with the tests' guests
# in firmware/runtime. src/cli/selftest_elf.S has it as bytes.

SELFTEST_DIR := $(O)/firmware/selftest
SELFTEST_OBJ := $(patsubst firmware/selftest/%,$(SELFTEST_DIR)/%.o,$(sort $(wildcard firmware/selftest/*.[cS]))) \
	$(patsubst firmware/runtime/%,$(SELFTEST_DIR)/runtime/%.o,$(addprefix firmware/runtime/, \
	start.S tables.S lib.c acpi.c))
SELFTEST_HEADERS := $(wildcard firmware/selftest/*.h firmware/runtime/*.h) firmware/selftest/selftest.mk

$(SELFTEST_DIR)/runtime/%.c.o: firmware/runtime/%.c $(SELFTEST_HEADERS)
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(GUEST_CC) $(GUEST_CFLAGS) -c -o $@ $<

$(SELFTEST_DIR)/runtime/%.S.o: firmware/runtime/%.S $(SELFTEST_HEADERS)
	@mkdir -p $(@D)
	$(call say,AS,$@)
	$(Q)$(GUEST_CC) -Ifirmware/runtime -g -c -o $@ $<

$(SELFTEST_DIR)/%.c.o: firmware/selftest/%.c $(SELFTEST_HEADERS)
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(GUEST_CC) $(GUEST_CFLAGS) -c -o $@ $<

$(SELFTEST_DIR)/%.S.o: firmware/selftest/%.S $(SELFTEST_HEADERS)
	@mkdir -p $(@D)
	$(call say,AS,$@)
	$(Q)$(GUEST_CC) -Ifirmware/runtime -g -c -o $@ $<

# Without debugging information: every copy of the program has it in it.
$(O)/selftest.elf: $(SELFTEST_OBJ) firmware/runtime/guest.ld
	$(call say,LD,$@)
	$(Q)ld -s -static -nostdlib --no-warn-rwx-segments -z noexecstack -z max-page-size=4096 \
		-e entry32 -T firmware/runtime/guest.ld -o $@ $(SELFTEST_OBJ)

$(O)/src/cli/selftest_elf.S.o: $(O)/selftest.elf
