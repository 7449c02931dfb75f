# SPDX-License-Identifier: MIT
# Figures beside peers; nothing is asserted. ONLY="start disk" chooses tables, ROUNDS=N and VMS=N say how many,
# BEFORE=FILE is an older lkvm (or a folder as build/ is), KVMTOOL=FILE kvmtool's program.

BENCH := $(O)/bench
BENCH_CC = $(CC) -O2 -Wall -Wextra
BENCH_TINY := $(BENCH)/end.pvh $(BENCH)/wait.pvh $(BENCH)/end.bzimage $(BENCH)/wait.bzimage
BENCH_FLOORS := $(BENCH)/floor $(BENCH)/floor.static
BENCH_TOOLS := $(BENCH)/measure $(BENCH)/slowdisk $(BENCH)/flood
BENCH_GUEST := $(BENCH)/guest.pvh

$(BENCH_TOOLS): $(BENCH)/%: bench/%.c
	@mkdir -p $(@D)
	$(call say,CC,$<)$(BENCH_CC) -o $@ $<
$(BENCH)/floor: bench/floor.c
	@mkdir -p $(@D)
	$(call say,CC,$@)$(BENCH_CC) -o $@ $<
$(BENCH)/floor.static: bench/floor.c
	@mkdir -p $(@D)
	$(call say,CC,$@)$(BENCH_CC) -static -o $@ $<
$(BENCH)/floor.musl: bench/floor.c
	@mkdir -p $(@D)/include
	$(Q)ln -sfn /usr/include/linux /usr/include/asm-generic /usr/include/$$(gcc -print-multiarch)/asm $(@D)/include/
	$(call say,CC,$@)musl-gcc -O2 -static -idirafter $(@D)/include -o $@ $<

$(BENCH)/wait.%: BENCH_WAIT := -DWAIT
$(BENCH)/%.pvh: bench/guest/tiny.S
	@mkdir -p $(@D)
	$(call say,GUEST,$@)$(GUEST_CC) $(BENCH_WAIT) -c -o $@.o $< && $(GUEST_LD) -nostdlib -static --build-id=none \
		--no-warn-rwx-segments -z noexecstack -N -Ttext=0x100000 --section-start=.note.Xen=0x100040 -o $@ $@.o
$(BENCH)/%.bzimage: bench/guest/tiny.S
	@mkdir -p $(@D)
	$(call say,GUEST,$@)$(GUEST_CC) $(BENCH_WAIT) -DBZIMAGE -c -o $@.o $< && $(GUEST_OBJCOPY) -O binary -j .text $@.o $@

# The guest of the data paths: what the built-in guest has, with another main.
BENCH_GUEST_SRCS := $(sort $(wildcard bench/guest/*.c))
$(BENCH_GUEST): $(BENCH_GUEST_SRCS:%.c=$(GUEST_OBJ)/%.o) $(filter-out %/selftest/main.o,$(SELFTEST_OBJS)) $(GUEST_OBJ)/pvh.o \
		$(GUEST_OBJS) guest/$(ARCHDIR)/link.ld
	@mkdir -p $(@D)
	$(call say,LD,$@)$(guest_link) -o $@ $(filter %.o,$^)
-include $(BENCH_GUEST_SRCS:%.c=$(GUEST_OBJ)/%.d)

# The native tests have them run, so that they do not rot.
ifeq ($(ARCHDIR),x86)
check-native check-quick: bench-files
endif
bench-files: $(BENCH_TINY) $(BENCH_FLOORS) $(BENCH_TOOLS) $(BENCH_GUEST)
bench: all static musl bench-files $(BENCH)/floor.musl ## figures beside the floor, QEMU's microvm, KVMTOOL=FILE and BEFORE=FILE
	$(Q)python3 bench/bench.py --build $(O) $(if $(BEFORE),--before $(BEFORE)) $(if $(KVMTOOL),--kvmtool $(KVMTOOL)) \
		$(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(VMS),--vms $(VMS)) $(if $(KERNELS),--kernels $(KERNELS)) $(ONLY)

# ARCH chooses the lab's architecture, as it does for a build.
BENCH_ROUNDS ?= 5
BENCH_CROSS_arm64 := aarch64-linux-gnu-
bench-lab: ## time to a Debian kernel's userspace and exits, beside QEMU and BEFORE=FILE, in the lab; ARCH=arm64 too
ifneq ($(ARCH),$(HOST_ARCH))
	$(Q)tests/lab/lab libs --arch $(ARCH)
endif
	$(Q)$(MAKE) --no-print-directory ARCH=$(ARCH) O=$(O) $(if $(filter-out $(HOST_ARCH),$(ARCH)), \
		CROSS_COMPILE=$(or $(CROSS_COMPILE),$(BENCH_CROSS_$(ARCH)))) static
	$(Q)python3 bench/lab.py --arch $(ARCH) --lkvm $(O)/static/lkvm $(if $(BEFORE),--before $(BEFORE)) \
		--rounds $(BENCH_ROUNDS) --folder $(abspath $(O))/bench/lab

.PHONY: bench bench-files bench-lab
