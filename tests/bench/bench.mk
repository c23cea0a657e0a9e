# bench.mk - what tests/bench needs beside its scripts. `make bench` measures, `make bench-parts` only builds.
#
# Included by the Makefile. All of it goes to $(BUILD)/tests/bench/.

BENCH_DIR := $(BUILD)/tests/bench

.PHONY: bench
bench: setup ## measure vmm and the VMMs that this machine has; QUICK=yes, PARTS="start memory exits block net rate"
	@$(MAKE) -s all bench-parts
	@tests/bench/run

.PHONY: bench-parts
bench-parts: $(addprefix $(BENCH_DIR)/,watch storm clocks.so pingpong nothing.elf nothing.bin idle.elf costs.elf)

$(BENCH_DIR)/%: tests/bench/%.c tests/bench/clocks.h
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(GUEST_CC) -std=gnu11 -D_GNU_SOURCE -O2 -g $(WARN) -o $@ $<

# It goes into guests, and there is no other C library than theirs.
$(BENCH_DIR)/pingpong: tests/bench/pingpong.c
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(GUEST_CC) -std=gnu11 -D_GNU_SOURCE -O2 -static -o $@ $<

$(BENCH_DIR)/%.so: tests/bench/%.c tests/bench/clocks.h
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(GUEST_CC) -std=gnu11 -D_GNU_SOURCE -O2 -g $(WARN) -shared -fPIC -o $@ $<

# Guests: of a few instructions, and such as have firmware/runtime.
$(BENCH_DIR)/nothing.elf: tests/bench/nothing.S
	@mkdir -p $(@D)
	$(call say,AS,$@)
	$(Q)$(GUEST_CC) -static -nostdlib -no-pie -Wl,-n,-Ttext=0x100000,-e,begin,--build-id=none -o $@ $<

$(BENCH_DIR)/nothing.bin: tests/bench/nothing.S
	@mkdir -p $(@D)
	$(call say,AS,$@)
	$(Q)$(GUEST_CC) -DFLAT -c -o $@.o $< && objcopy -O binary -j .text $@.o $@

$(BENCH_DIR)/%.c.o: tests/bench/%.c $(GUEST_HEADERS)
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(GUEST_CC) $(GUEST_CFLAGS) -c -o $@ $<

# costs.elf has a driver of the selftest's.
BENCH_DRIVER := $(addprefix $(BENCH_DIR)/driver/,virtio.c.o virtio_pci.c.o virtio_mmio.c.o pci.c.o cpu.c.o cpu.S.o)

$(BENCH_DIR)/driver/%.c.o: firmware/selftest/%.c $(GUEST_HEADERS)
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(GUEST_CC) $(GUEST_CFLAGS) -c -o $@ $<

$(BENCH_DIR)/driver/%.S.o: firmware/selftest/%.S $(GUEST_HEADERS)
	@mkdir -p $(@D)
	$(call say,AS,$@)
	$(Q)$(GUEST_CC) -Ifirmware/runtime -g -c -o $@ $<

$(BENCH_DIR)/costs.c.o: GUEST_CFLAGS += -Ifirmware/selftest
$(BENCH_DIR)/costs.elf: $(BENCH_DRIVER) $(GUEST_DIR)/acpi.c.o

$(BENCH_DIR)/%.elf: $(BENCH_DIR)/%.c.o $(addprefix $(GUEST_DIR)/,start.S.o tables.S.o lib.c.o) firmware/runtime/guest.ld
	$(call say,LD,$@)
	$(Q)ld -static -nostdlib --no-warn-rwx-segments -z noexecstack -z max-page-size=4096 -e entry32 \
		-T firmware/runtime/guest.ld -o $@ $(filter %.o,$^)
