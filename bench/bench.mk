# SPDX-License-Identifier: MIT
# Figures beside a peer; nothing is asserted.

$(O)/bench/firstrun.so: bench/firstrun.c
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) -O2 -Wall -Wextra -fPIC -shared -o $@ $< -ldl
$(O)/bench/launch: bench/launch.c
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) -O2 -Wall -Wextra -o $@ $<

bench: all static musl guests $(O)/bench/firstrun.so $(O)/bench/launch ## lkvm beside QEMU's microvm: start-up, memory, size
	$(Q)python3 bench/bench.py --lkvm $(O)/lkvm --static glibc=$(O)/static/lkvm --static musl=$(O)/musl/lkvm \
		--guest $(O)/guests/hello.pvh --shim $(O)/bench/firstrun.so

BENCH := $(O)/bench
BENCH_CC = $(CC) -O2 -Wall -Wextra
BENCH_TINY := $(BENCH)/end.pvh $(BENCH)/wait.pvh $(BENCH)/end.bzimage $(BENCH)/wait.bzimage
BENCH_FLOORS := $(BENCH)/floor $(BENCH)/floor.static
BENCH_TOOLS := $(BENCH)/measure

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
bench-files: $(BENCH_TINY) $(BENCH_FLOORS) $(BENCH_TOOLS) ## the floor program and what measures it

# The built-in guest as a kernel that every VMM enters, so that an older lkvm (BEFORE=FILE) can be measured with it too.
BENCH_GUEST := $(O)/bench/selftest.pvh
$(BENCH_GUEST): $(SELFTEST_OBJS) $(GUEST_OBJ)/pvh.o $(GUEST_OBJS) guest/$(ARCHDIR)/link.ld
	@mkdir -p $(@D)
	$(call say,LD,$@)$(guest_link) -o $@ $(filter %.o,$^)
$(O)/bench/slowdisk: bench/slowdisk.c
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) -O2 -Wall -Wextra -o $@ $<

bench-disk: all $(BENCH_GUEST) $(O)/bench/slowdisk ## requests per second of virtio-blk, beside QEMU's microvm and BEFORE=FILE
	$(Q)python3 bench/disk.py --lkvm $(O)/lkvm $(if $(BEFORE),--before $(BEFORE)) --guest $(BENCH_GUEST) \
		--slowdisk $(O)/bench/slowdisk

# ARCH chooses the lab's architecture, as it does for a build.
BENCH_ROUNDS ?= 5
BENCH_CROSS_arm64 := aarch64-linux-gnu-
bench-lab: ## time to a Debian kernel's userspace and exits, beside QEMU, in the lab; ARCH=arm64 too
ifneq ($(ARCH),$(HOST_ARCH))
	$(Q)tests/lab/lab libs --arch $(ARCH)
endif
	$(Q)$(MAKE) --no-print-directory ARCH=$(ARCH) O=$(O) $(if $(filter-out $(HOST_ARCH),$(ARCH)), \
		CROSS_COMPILE=$(or $(CROSS_COMPILE),$(BENCH_CROSS_$(ARCH)))) static
	$(Q)python3 bench/lab.py --arch $(ARCH) --lkvm $(O)/static/lkvm --rounds $(BENCH_ROUNDS) --folder $(abspath $(O))/bench/lab

.PHONY: bench bench-files bench-disk bench-lab
