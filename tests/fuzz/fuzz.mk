# fuzz.mk - builds, runs and replays the fuzz targets. Included by the Makefile.
#
#	make fuzz SECONDS=60 ONLY='virtio_*'	every target for so long (60 s), as many at a time as there are CPUs
#	make fuzz-replay				what is committed, once: part of `make test`
#
# A target is tests/fuzz/fuzz_NAME.c; FUZZ_NAME names what it is linked with beside fuzz.c. Everything is
# built by clang with ASan, UBSan and coverage, as the variant "fuzz".

FUZZ := $(sort $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c)))
FUZZ_LOOP := fuzz/loop
FUZZ_GUEST := fuzz/guest fuzz/race fake/fake_driver $(FUZZ_LOOP)
FUZZ_BOARD := fake/fake_board fake/fake_kvm fake/fake_kvm_irq $(FUZZ_LOOP)
FUZZ_virtq := $(FUZZ_GUEST) fake/fake_echo
FUZZ_virtio_blk := $(FUZZ_GUEST) fake/fake_blk
FUZZ_virtio_console := $(FUZZ_GUEST) fake/fake_chardev
FUZZ_virtio_net := $(FUZZ_GUEST) fake/fake_netif
FUZZ_virtio_rng := $(FUZZ_GUEST)
FUZZ_virtio_pci := $(FUZZ_BOARD) fake/fake_echo
FUZZ_virtio_mmio := $(FUZZ_BOARD) fake/fake_echo
FUZZ_pci := $(FUZZ_BOARD)
FUZZ_platform := fake/fake_env fake/fake_chardev
FUZZ_net_stream := $(FUZZ_LOOP)

# Calls that a target hears or answers, in place of the real ones.
FUZZ_WRAPS := time getrandom
FUZZ_WRAPS_RACE := gmem_read gmem_load_le16 vchain_read
fuzz_wraps = $(addprefix -Wl$(comma)--wrap=,$(FUZZ_WRAPS) $(if $(findstring fuzz/race,$(1)),$(FUZZ_WRAPS_RACE)))
comma := ,

.SECONDEXPANSION:
$(O)/fuzz/%: $(O)/tests/fuzz/fuzz_%.o $(O)/tests/fuzz/fuzz.o \
		$$(addprefix $(O)/tests/,$$(addsuffix .o,$$(FUZZ_$$*))) $(O)/libvmm.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -fsanitize=fuzzer $(call fuzz_wraps,$(FUZZ_$*)) -o $@ $^ $(LDLIBS)

.PHONY: fuzz-programs
fuzz-programs: $(FUZZ:%=$(O)/fuzz/%)

.PHONY: fuzz-build
fuzz-build: ## build the fuzz targets, with clang
	@$(MAKE) --no-print-directory VARIANT=fuzz CC=clang SAN=fuzzer-no-link,address,undefined fuzz-programs

.PHONY: fuzz
fuzz: fuzz-build ## fuzz each target for SECONDS (60); ONLY=PATTERN picks some
	@FUZZ_SECONDS=$(if $(filter command,$(origin SECONDS)),$(SECONDS),60) BUILD=$(BUILD) tests/fuzz/run

.PHONY: fuzz-replay
fuzz-replay: fuzz-build ## run the fuzz targets over the inputs that are committed
	@BUILD=$(BUILD) tests/fuzz/replay
