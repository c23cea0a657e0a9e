# hostile.mk - the hostile driver: a guest of several files, and its other side on the host.
#
# Included by the Makefile. `make hostile-parts` builds it into $(BUILD)/tests/hostile/, once for all variants.

HOSTILE_DIR := $(BUILD)/tests/hostile
HOSTILE_SRC := $(filter-out tests/hostile/ends.c,$(wildcard tests/hostile/*.c tests/hostile/*.S))
HOSTILE_RUNTIME := $(addprefix $(GUEST_DIR)/,start.S.o tables.S.o lib.c.o)
HOSTILE_LINK = $(Q)ld -static -nostdlib --no-warn-rwx-segments -z noexecstack -z max-page-size=4096 \
	-e entry32 -T firmware/runtime/guest.ld -o $@ $(filter %.o,$^)

.PHONY: hostile-parts
hostile-parts: $(HOSTILE_DIR)/hostile.elf $(HOSTILE_DIR)/ends.elf $(HOSTILE_DIR)/drive

$(HOSTILE_DIR)/%.c.o: tests/hostile/%.c tests/hostile/hostile.h $(GUEST_HEADERS)
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(GUEST_CC) $(GUEST_CFLAGS) -c -o $@ $<

$(HOSTILE_DIR)/%.S.o: tests/hostile/%.S $(GUEST_HEADERS)
	@mkdir -p $(@D)
	$(call say,AS,$@)
	$(Q)$(GUEST_CC) -Ifirmware/runtime -g -c -o $@ $<

$(HOSTILE_DIR)/hostile.elf: $(HOSTILE_SRC:tests/hostile/%=$(HOSTILE_DIR)/%.o) $(HOSTILE_RUNTIME) \
		firmware/runtime/guest.ld
	$(call say,LD,$@)
	$(HOSTILE_LINK)

$(HOSTILE_DIR)/ends.elf: $(HOSTILE_DIR)/ends.c.o $(HOSTILE_RUNTIME) firmware/runtime/guest.ld
	$(call say,LD,$@)
	$(HOSTILE_LINK)

$(HOSTILE_DIR)/drive: tests/hostile/host/drive.c
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(GUEST_CC) -std=gnu11 -D_GNU_SOURCE -O2 -g $(WARN) -o $@ $< -ljansson
