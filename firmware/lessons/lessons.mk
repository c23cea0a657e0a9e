# lessons.mk - the guests of `vmm lesson`, which are embedded into the program.
#
# Included by the Makefile. Each lesson is one file, C for 32 bits or assembly. The program gets three things of each,
# by src/cli/lessons.S: the guest, its source, and a table that leads from addresses to lines of it, made of the
# debugging information.

LESSON_DIR := $(O)/lessons
LESSONS := $(sort $(basename $(notdir $(wildcard firmware/lessons/[1-9]-*.[cS]))))
LESSON_CFLAGS := -std=gnu11 -m32 -march=i686 -O1 -g -ffreestanding -fno-pic -fno-stack-protector \
	-fcf-protection=none -fno-asynchronous-unwind-tables -mgeneral-regs-only $(WARN)
LESSON_LD := ld -static -nostdlib --no-warn-rwx-segments -z noexecstack -z max-page-size=16

$(LESSON_DIR)/%.debug: firmware/lessons/%.c firmware/lessons/lesson.ld firmware/lessons/lessons.mk
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(GUEST_CC) $(LESSON_CFLAGS) -c -o $@.o $<
	$(Q)$(LESSON_LD) -m elf_i386 -T firmware/lessons/lesson.ld -o $@ $@.o

$(LESSON_DIR)/%.debug: firmware/lessons/%.S firmware/lessons/lesson.ld firmware/lessons/lessons.mk
	@mkdir -p $(@D)
	$(call say,AS,$@)
	$(Q)$(GUEST_CC) -g -c -o $@.o $<
	$(Q)$(LESSON_LD) -T firmware/lessons/lesson.ld -o $@ $@.o

# Our loader wants an ELF of 64 bits, whatever the code in it is.
$(LESSON_DIR)/%.elf: $(LESSON_DIR)/%.debug
	$(Q)objcopy -S -O elf64-x86-64 $< $@

# By address; of several lines at one address, the last one counts. Line 0 ("-" there): here the code ends.
$(LESSON_DIR)/%.lines: $(LESSON_DIR)/%.debug
	$(Q)objdump --dwarf=decodedline $< | awk '$$3 ~ /^0x/ { print "\t.long " $$3 ", " $$2 + 0 }' | \
		sort -s -k 2,2 >$@
	$(Q)test -s $@ || { rm $@; echo "$<: no line numbers" >&2; exit 1; }

$(O)/src/cli/lessons.S.o: $(LESSONS:%=$(LESSON_DIR)/%.elf) $(LESSONS:%=$(LESSON_DIR)/%.lines) \
	$(wildcard firmware/lessons/*.[cS])

.SECONDARY: $(LESSONS:%=$(LESSON_DIR)/%.debug)
