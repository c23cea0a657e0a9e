# jail.mk - the VMM with a door for attackers (door.c), who may run in each of its threads.
#
# Included by the Makefile. `make jail-parts` builds vmm-door, and who plays the rest of the host. vmm-door is the program's own objects; the linker puts door.c between some of them.

JAIL_DIR := $(BUILD)/tests/jail
JAIL_WRAPS := sigaction syscall kvm_vcpu_run epoll_wait preadv2 pwritev2 io_uring_queue_init pages_map
JAIL_OBJ := $(patsubst tests/%.c,$(O)/tests/%.o,$(wildcard tests/jail/*.c))

.PHONY: jail-parts
jail-parts: $(O)/vmm-door $(JAIL_DIR)/outside

$(JAIL_OBJ): CFLAGS += -Itests/jail

$(O)/vmm-door: $(OBJ) $(JAIL_OBJ)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) $(JAIL_WRAPS:%=-Wl,--wrap=%) -o $@ $^ $(LDLIBS)

$(JAIL_DIR)/outside: tests/jail/host/outside.c
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(GUEST_CC) -std=gnu11 -D_GNU_SOURCE -O2 -g $(WARN) -o $@ $<
