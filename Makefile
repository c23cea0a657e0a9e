# Makefile - builds the program, runs it, tests it. `make help` lists what to type.
#
# The program is every .c and .S below src/; nothing is listed twice. A variant (another compiler, a
# sanitizer, coverage) is the same build with another BUILD directory: see `variant` below.

PREFIX ?= /usr/local
DESTDIR ?=
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
CFLAGS := -std=gnu11 -g $(OPT) $(WARN) $(HARDEN)
CPPFLAGS := -D_GNU_SOURCE -Iinclude -MMD -MP
LDFLAGS := -pie -Wl,-z,relro,-z,now,-z,noexecstack $(if $(SAN),-fsanitize=$(SAN))
LDLIBS := -lz -llzma -lbz2 -llz4 -lzstd -lb2 -lpthread

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

$(O)/vmm: $(OBJ)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

ifeq ($(VARIANT),release)
$(BUILD)/vmm: $(O)/vmm
	ln -f $< $@
else
$(BUILD)/vmm: $(O)/vmm
endif

$(O)/src/%.c.o: src/%.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

$(O)/src/%.S.o: src/%.S $(O)/dsdt.aml
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -Wa,-I$(O) -g -c -o $@ $<

$(O)/src/cli/version.c.o: CPPFLAGS += -DVMM_VERSION='"$(VERSION)"'

# The guest's view of the hardware, compiled by ACPICA's own compiler.
$(O)/dsdt.aml: firmware/dsdt.asl
	@mkdir -p $(@D)
	iasl -we -p $(O)/dsdt $< >$(O)/iasl.log 2>&1 || { cat $(O)/iasl.log; exit 1; }

$(O)/libvmm.a: $(LIB_OBJ)
	rm -f $@ && ar rcs $@ $^

# Unit tests: each file a program of its own ------------------------------------------------------

UNIT_SRC := $(sort $(wildcard tests/unit/test_*.c))
UNIT := $(patsubst tests/unit/%.c,$(O)/unit/%,$(UNIT_SRC))
# The doubles from tests/fake/ that a test is linked with, in place of the real thing.
FAKES_test_acpi_pm := fake_env
FAKES_test_exitport := fake_env
FAKES_test_i8042 := fake_env
FAKES_test_pvpanic := fake_env
FAKES_test_rtc_cmos := fake_env
FAKES_test_uart16550 := fake_env fake_chardev

.PHONY: unit
unit: $(UNIT)

$(O)/tests/%.o: tests/%.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -Itests/unit -Itests/fake -c -o $@ $<

.SECONDEXPANSION:
$(O)/unit/%: $(O)/tests/unit/%.o $(O)/tests/unit/unit.o \
		$$(addprefix $(O)/tests/fake/,$$(addsuffix .o,$$(FAKES_$$*))) $(O)/libvmm.a
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS) $$(pkg-config --libs check)

.PRECIOUS: $(O)/tests/%.o

.PHONY: clean
clean:
	rm -rf $(BUILD)

-include $(shell find $(O) -name '*.d' 2>/dev/null)
