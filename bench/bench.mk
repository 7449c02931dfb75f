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

.PHONY: bench bench-disk bench-lab
