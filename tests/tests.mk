# tests.mk - builds what the test scripts need besides the program: the tiny guests, and who plays their user.
#
# Included by the Makefile. `make guests` builds it all, into $(BUILD)/tests/guest/, once for all variants.

GUEST_DIR := $(BUILD)/tests/guest
GUEST_CC := gcc
# What a guest has beside its own NAME.c, start.S, tables.S and lib.c.
GUEST_MORE_reset_acpi := acpi.c
GUEST_MORE_reset_clean := acpi.c virtio.c reset_facts.c reset_dirty.c reset_msix.c reset_ap.S
GUEST_MORE_real_hardware_facts := acpi.c
GUEST_MORE_smp := acpi.c smp_ap.S
GUEST_MORE_virtio_cmdline := virtio.c
GUEST_MORE_virtio_pci := virtio.c
GUEST_START_entry_64 := start64.S

GUEST_NAMES := $(filter-out virtio reset_facts reset_dirty reset_msix,$(basename $(notdir $(wildcard tests/guest/*.c))))
GUEST_HEADERS := $(wildcard tests/guest/*.h firmware/runtime/*.h) firmware/runtime/guest.ld tests/tests.mk
GUEST_CFLAGS := -std=gnu11 -O2 -g -ffreestanding -fno-pic -fno-stack-protector -fcf-protection=none \
	-fno-asynchronous-unwind-tables -mno-red-zone -mgeneral-regs-only -mcmodel=small \
	--param=min-pagesize=0 -Ifirmware/runtime $(WARN)

.PHONY: guests
guests: $(GUEST_NAMES:%=$(GUEST_DIR)/%.elf) $(GUEST_DIR)/on-terminal $(GUEST_DIR)/unix-cat $(GUEST_DIR)/big.gz

$(GUEST_DIR)/%.c.o: tests/guest/%.c $(GUEST_HEADERS)
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(GUEST_CC) $(GUEST_CFLAGS) -c -o $@ $<

$(GUEST_DIR)/%.S.o: tests/guest/%.S $(GUEST_HEADERS)
	@mkdir -p $(@D)
	$(call say,AS,$@)
	$(Q)$(GUEST_CC) -Ifirmware/runtime -g -c -o $@ $<

# What they share with the guests that ship: firmware/runtime.
$(GUEST_DIR)/%.c.o: firmware/runtime/%.c $(GUEST_HEADERS)
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(GUEST_CC) $(GUEST_CFLAGS) -c -o $@ $<

$(GUEST_DIR)/%.S.o: firmware/runtime/%.S $(GUEST_HEADERS)
	@mkdir -p $(@D)
	$(call say,AS,$@)
	$(Q)$(GUEST_CC) -Ifirmware/runtime -g -c -o $@ $<

.SECONDEXPANSION:
$(GUEST_DIR)/%.elf: $$(addprefix $(GUEST_DIR)/,$$(addsuffix .o,$$(or $$(GUEST_START_$$*),start.S) \
		$$*.c tables.S lib.c $$(GUEST_MORE_$$*))) firmware/runtime/guest.ld
	$(call say,LD,$@)
	$(Q)ld -static -nostdlib --no-warn-rwx-segments -z noexecstack -z max-page-size=4096 \
		-e $(if $(GUEST_START_$*),entry64,entry32) -T firmware/runtime/guest.ld -o $@ $(filter %.o,$^)

# What plays the user on the host's side; each file says how.
$(GUEST_DIR)/%: tests/guest/host/%.c
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(GUEST_CC) -std=gnu11 -D_GNU_SOURCE -O2 -g $(WARN) -o $@ $< -lutil

# A payload that takes seconds to unpack: hello.elf, and zeros up to 768 MiB.
$(GUEST_DIR)/big.gz: $(GUEST_DIR)/hello.elf
	$(call say,GZIP,$@)
	$(Q)head -c 768M /dev/zero | cat $< - | head -c 768M | gzip -1 >$@

.SECONDARY: $(foreach f,$(wildcard tests/guest/*.[cS] firmware/runtime/*.[cS]),$(GUEST_DIR)/$(notdir $(f)).o)
