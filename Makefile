# Makefile - builds the program, runs it, tests it. `make help` lists what to type.
#
# The program is every .c and .S below src/; nothing is listed twice. A variant (another compiler, a
# sanitizer, coverage) is the same build with another BUILD directory: see `variant` below.

PREFIX ?= /usr/local
DESTDIR ?=
V ?= 0
Q := $(if $(filter 0,$(V)),@)
say = $(if $(filter 0,$(V)),@printf '  %-5s %s\n' $(1) $(2))
CC := gcc
BUILD ?= build
VARIANT ?= release
O := $(BUILD)/$(VARIANT)

WARN := -Wall -Wextra -Wconversion -Wno-sign-conversion -Wshadow -Wvla -Wimplicit-fallthrough \
	-Wswitch-enum -Wmissing-prototypes -Wstrict-prototypes -Wcast-align -Werror
HARDEN := -fstack-protector-strong -fPIE -D_FORTIFY_SOURCE=2 -fno-strict-aliasing
OPT := -O2
SAN :=
ifneq ($(SAN),)
# Sanitizers replace the checks of _FORTIFY_SOURCE, and want frames.
HARDEN := -fPIE -fno-strict-aliasing
OPT := -O1 -fno-omit-frame-pointer -fsanitize=$(SAN) -fno-sanitize-recover=all
endif
CFLAGS = -std=gnu11 -g $(OPT) $(WARN) $(HARDEN)
CPPFLAGS := -D_GNU_SOURCE -Iinclude -MMD -MP
LDFLAGS := -pie -Wl,-z,relro,-z,now,-z,noexecstack $(if $(SAN),-fsanitize=$(SAN))
# Libraries become part of the program where their archives are installed: shared, they cost each start time, and a VM
# that runs alone memory (README, "Figures"). `make ARCHIVES=` links all of them shared. The C library always is.
LIBRARIES := z lzma bz2 lz4 zstd b2 uring jansson
ARCHIVES := $(filter /%,$(foreach lib,$(LIBRARIES),$(shell $(CC) -print-file-name=lib$(lib).a)))
LDLIBS := $(foreach lib,$(LIBRARIES),$(or $(filter %/lib$(lib).a,$(ARCHIVES)),-l$(lib))) -lpthread

ifeq ($(VARIANT),coverage)
OPT := -O0 --coverage
HARDEN := -fPIE -fno-strict-aliasing
LDFLAGS += --coverage
endif

VERSION := $(shell git describe --always --dirty 2>/dev/null || echo unknown)

# The program -----------------------------------------------------------------------------------

SRC := $(sort $(shell find src -name '*.c' -o -name '*.S'))
OBJ := $(patsubst src/%,$(O)/src/%.o,$(SRC))
LIB_OBJ := $(filter-out $(O)/src/cli/main.c.o,$(OBJ))

.PHONY: all
all: $(BUILD)/vmm

# Linked again when a library has been mended, too.
$(O)/vmm: $(OBJ) $(ARCHIVES)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $(OBJ) $(LDLIBS)

ifeq ($(VARIANT),release)
$(BUILD)/vmm: $(O)/vmm
	$(Q)ln -f $< $@
else
$(BUILD)/vmm: $(O)/vmm
endif

$(O)/src/%.c.o: src/%.c
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

$(O)/src/%.S.o: src/%.S $(O)/dsdt.aml
	@mkdir -p $(@D)
	$(call say,AS,$@)
	$(Q)$(CC) $(CPPFLAGS) -Wa,-I$(O) -g -c -o $@ $<

# Made again when the version has changed, and only then.
.PHONY: FORCE
$(O)/version: FORCE
	@mkdir -p $(@D)
	@echo '$(VERSION)' | cmp -s - $@ || echo '$(VERSION)' >$@
$(O)/src/cli/version.c.o: $(O)/version

$(O)/src/cli/version.c.o: CPPFLAGS += -DVMM_VERSION='"$(VERSION)"'

# The guest's view of the hardware, compiled by ACPICA's own compiler.
$(O)/dsdt.aml: firmware/dsdt.asl
	@mkdir -p $(@D)
	$(call say,IASL,$@)
	$(Q)iasl -we -p $(O)/dsdt $< >$(O)/iasl.log 2>&1 || { cat $(O)/iasl.log; exit 1; }

# The filters of system calls, made of their table by libseccomp.
$(O)/seccomp-filters: tools/seccomp-filters.c src/jail/calls.h include/vmm/jail/jail.h
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) -std=gnu11 -D_GNU_SOURCE -O1 -Iinclude $(WARN) -o $@ $< -lseccomp

$(O)/seccomp-filters.inc: $(O)/seccomp-filters
	$(call say,FILTERS,$@)
	$(Q)$< >$@.new && mv $@.new $@

$(O)/src/jail/seccomp.c.o: CPPFLAGS += -I$(O)
$(O)/src/jail/seccomp.c.o: $(O)/seccomp-filters.inc

$(O)/libvmm.a: $(LIB_OBJ)
	$(Q)rm -f $@ && ar rcs $@ $^

# Unit tests: each file a program of its own ------------------------------------------------------

UNIT_SRC := $(sort $(wildcard tests/unit/test_*.c))
UNIT := $(patsubst tests/unit/%.c,$(O)/unit/%,$(UNIT_SRC))
# The doubles from tests/fake/ that a test is linked with, in place of the real thing.
FAKES_test_acpi_pm := fake_env
FAKES_test_base := fake_stderr
FAKES_test_blk_file := fake_kernel fake_stderr
FAKES_test_blk_raw := fake_kernel
FAKES_test_blk_snapshot := fake_kernel
FAKES_test_boot := fake_kernel fake_kvm fake_kvm_irq
FAKES_test_cgroup := fake_cgroup fake_stderr
FAKES_test_chardev := fake_console fake_kernel fake_stderr
FAKES_test_chardev_client := fake_console fake_stderr
FAKES_test_chardev_pace := fake_console
FAKES_test_chardev_tty := fake_console
FAKES_test_core_sched := fake_kernel fake_stderr
FAKES_test_cpuid := fake_kvm fake_kvm_irq
FAKES_test_evloop := fake_kernel
FAKES_test_exitport := fake_env
FAKES_test_exits := fake_kvm fake_kvm_irq
FAKES_test_i8042 := fake_env
FAKES_test_kvm_irq := fake_kvm fake_kvm_irq
FAKES_test_jail := fake_stderr
FAKES_test_kaslr := fake_kernel fake_stderr
FAKES_test_machine := fake_vm fake_kvm fake_kvm_irq fake_kernel fake_stderr
FAKES_test_machine_build := fake_vm fake_kvm fake_kvm_irq fake_kernel fake_stderr
FAKES_test_machine_reset := fake_vm fake_kvm fake_kvm_irq fake_kernel fake_stderr
FAKES_test_net_passt := fake_stderr
FAKES_test_pci_bar := fake_board fake_kvm fake_kvm_irq
FAKES_test_pci_config := fake_board fake_kvm fake_kvm_irq
FAKES_test_pci_msix := fake_board fake_kvm fake_kvm_irq
FAKES_test_pvpanic := fake_env
FAKES_test_rtc_cmos := fake_env
FAKES_test_stats := fake_stderr
FAKES_test_stuck := fake_console
FAKES_test_trace := fake_vm fake_kvm fake_kvm_irq fake_kernel fake_stderr
FAKES_test_uart16550 := fake_env fake_chardev
FAKES_test_uart16550_rx := fake_env fake_chardev
FAKES_test_uring := fake_kernel
FAKES_test_usage := fake_vm fake_kvm fake_kvm_irq fake_kernel fake_stderr
FAKES_test_vcpu := fake_vm fake_kvm fake_kvm_irq fake_kernel fake_stderr
FAKES_test_virtio_blk := fake_blk fake_driver
FAKES_test_virtio_blk_bad := fake_blk fake_driver
FAKES_test_virtio_blk_host := fake_driver fake_kernel
FAKES_test_virtio_console := fake_driver fake_chardev
FAKES_test_virtio_console_control := fake_driver fake_chardev
FAKES_test_virtio_dev := fake_driver
FAKES_test_virtio_net := fake_driver fake_netif
FAKES_test_virtio_net_rx := fake_driver fake_netif
FAKES_test_virtio_net_tx := fake_driver fake_netif
FAKES_test_virtio_net_vhost := fake_driver fake_netif fake_vhost
FAKES_test_virtio_mmio := fake_board fake_echo fake_kvm fake_kvm_irq
FAKES_test_virtio_pci := fake_board fake_echo fake_kvm fake_kvm_irq
FAKES_test_virtio_poll := fake_driver fake_echo
FAKES_test_virtio_rng := fake_driver

.PHONY: unit
unit: $(UNIT)

$(O)/tests/%.o: tests/%.c
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -Itests/unit -Itests/fake -c -o $@ $<

.SECONDEXPANSION:
$(O)/unit/%: $(O)/tests/unit/%.o $(O)/tests/unit/unit.o \
		$$(addprefix $(O)/tests/fake/,$$(addsuffix .o,$$(FAKES_$$*))) $(O)/libvmm.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS) $$(pkg-config --libs check)

.PRECIOUS: $(O)/tests/%.o

include tests/tests.mk firmware/selftest/selftest.mk firmware/lessons/lessons.mk
include tests/hostile/hostile.mk tests/fuzz/fuzz.mk tests/fault/fault.mk tests/jail/jail.mk tests/bench/bench.mk

# What people type --------------------------------------------------------------------------------

.PHONY: run
run: setup ## boot Debian's kernel to a shell on the terminal; installs and fetches what is missing
	@$(MAKE) -s all
	@tools/guest-assets vmlinuz-6.1-cloud initrd.cpio.gz
	@tools/boot-shell

.PHONY: test
test: setup ## all there is: lint, analysers, unit tests, tiny guests, faults, real kernels
	@tests/run

# The release's unit tests, two programs at a time, and the guest that is built in.
.PHONY: check-fast
check-fast: all unit ## unit tests and selftest: the inner loop, about half a minute once it is built
	@tests/check-fast

.PHONY: lint
lint: ## clang-format, clang-tidy, layers, sizes, shell scripts
	@tools/lint

.PHONY: analyse
analyse: ## clang's static analyzer, cppcheck, gcc -fanalyzer over src/
	@tools/analyse

.PHONY: coverage
coverage: ## statements and branches that the tests execute, by folder; fails below the floors
	@$(MAKE) -s all guests
	@$(MAKE) -s VARIANT=coverage $(BUILD)/coverage/vmm unit
	@tests/coverage

.PHONY: setup
setup: ## install the packages of tools/packages.txt that are missing
	@tools/setup

.PHONY: tour
tour: ## print the file headers in reading order: from main to the guest and back
	@tools/tour

.PHONY: install
install: all ## install program and man page below PREFIX (/usr/local), with DESTDIR in front
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 755 $(BUILD)/vmm $(DESTDIR)$(PREFIX)/bin/vmm
	install -m 644 src/cli/vmm.1 $(DESTDIR)$(PREFIX)/share/man/man1/vmm.1

.PHONY: clean
clean: ## remove build/
	rm -rf $(BUILD)

.PHONY: help
help: ## this list
	@echo "make              build $(BUILD)/vmm (V=1 shows the commands)"
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/make \1|\2/p' Makefile tests/*/*.mk | \
		while IFS='|' read -r t h; do printf '%-17s %s\n' "$$t" "$$h"; done

-include $(shell find $(O) -name '*.d' 2>/dev/null)
