# SPDX-License-Identifier: MIT
# Guests without an operating system: common code in guest/lib, each architecture's in guest/ARCHDIR,
# the guest of `lkvm selftest` in guest/selftest, tests in tests/native/guests. Every test is a flat image; hello exists in every format.

GUEST_MAX_CPUS := 512
GUEST_CC := $(CC)
GUEST_LD := $(CROSS_COMPILE)ld
GUEST_OBJCOPY := $(CROSS_COMPILE)objcopy
# Every lkvm carries one of them, so they are small. The hypervisor may interpret us: no vector registers, nothing that needs a
# run-time library.
GUEST_CFLAGS := -std=gnu17 $(WARNINGS) -Os -g -ffreestanding -fno-pic -fno-pie -fno-common \
	-fno-stack-protector -fno-asynchronous-unwind-tables \
	-fno-strict-aliasing -fno-tree-loop-distribute-patterns -Iguest/lib -Iguest/$(ARCHDIR) \
	-Itests/native/guests -DGUEST_MAX_CPUS=$(GUEST_MAX_CPUS)
GUEST_CFLAGS_x86 := -fcf-protection=none -m64 -mgeneral-regs-only -mno-red-zone -mcmodel=small
# No vector registers, no calls to a library for atomics, nothing unaligned while the MMU is off.
GUEST_CFLAGS_arm := -mgeneral-regs-only -mno-outline-atomics -mstrict-align -mcmodel=small
# No floating point, nothing unaligned: whether that works is what is tested. Older compilers take two of these for granted.
GUEST_CFLAGS_riscv := -march=rv64imac -mabi=lp64 -mcmodel=medany
ifeq ($(ARCHDIR),riscv)
GUEST_CFLAGS_riscv += $(foreach flag,-march=rv64imac_zicsr_zifencei -mstrict-align,\
	$(if $(shell $(GUEST_CC) $(GUEST_CFLAGS_riscv) $(flag) -fsyntax-only -x c /dev/null 2>&1),,$(flag)))
endif
GUEST_CFLAGS += $(GUEST_CFLAGS_$(ARCHDIR))
# clang has no such pass and says so
ifneq ($(findstring clang,$(shell $(GUEST_CC) --version)),)
GUEST_CFLAGS := $(filter-out -fno-tree-loop-distribute-patterns,$(GUEST_CFLAGS)) -fno-builtin
endif

GUEST_OBJ := $(O)/obj-guest
# What reads device trees, where machines have other descriptions.
GUEST_TREE_x86 := %/boot.c %/fdt.c %/tree.c %/cpus.c %/heap.c %/uart.c %/checks-tree.c
GUEST_LIB_SRCS := $(filter-out $(GUEST_TREE_$(ARCHDIR)),$(sort $(wildcard guest/lib/*.c)))
SELFTEST_ARCH_SRCS := $(sort $(wildcard guest/$(ARCHDIR)/selftest*.[cS]))
GUEST_ARCH_SRCS := $(sort $(filter-out $(SELFTEST_ARCH_SRCS) %/snp-stub.S %/snp-embed.S %/tdx-reset.S %/tdx-embed.S,$(wildcard guest/$(ARCHDIR)/*.[cS])))
GUEST_ENTRY_32 := guest/x86/start32.S
GUEST_OBJS := $(patsubst %,$(GUEST_OBJ)/%.o,$(basename $(GUEST_LIB_SRCS) \
	$(filter-out $(GUEST_ENTRY_32),$(GUEST_ARCH_SRCS))))
SELFTEST_OBJS := $(patsubst %,$(GUEST_OBJ)/%.o,$(basename $(SELFTEST_ARCH_SRCS) \
	$(filter-out $(GUEST_TREE_$(ARCHDIR)),$(sort $(wildcard guest/selftest/*.c)))))
# All registers of a hart, though the compiler may not use them.
$(GUEST_OBJ)/guest/riscv/selftest-registers.o: GUEST_CFLAGS += -march=rv64gcv
# Tests of what only one architecture has are of no use to others.
GUEST_TESTS_OF_X86 := board clock control cpuid exit irq leaves mtty passed say snpstub tdxreset testdev user wide
GUEST_TESTS_NOT_arm := $(GUEST_TESTS_OF_X86)
GUEST_TESTS_NOT_riscv := $(GUEST_TESTS_OF_X86)
GUEST_TESTS := $(filter-out $(GUEST_TESTS_NOT_$(ARCHDIR)), \
	$(patsubst tests/native/guests/%.c,%,$(sort $(wildcard tests/native/guests/*.c))))
GUEST_IMAGES_x86 := $(O)/guests/hello.elf $(O)/guests/hello.pvh $(O)/guests/hello.multiboot \
	$(O)/guests/testdev.multiboot
GUEST_IMAGES := $(GUEST_TESTS:%=$(O)/guests/%.flat) $(GUEST_IMAGES_$(ARCHDIR))

guests: $(GUEST_IMAGES) ## build the test guests

$(GUEST_OBJ)/%.o: %.c $(O)/flags
	@mkdir -p $(@D)
	$(call say,GUEST,$<)$(GUEST_CC) $(GUEST_CFLAGS) -MMD -MP -c -o $@ $<
$(GUEST_OBJ)/%.o: %.S $(O)/flags
	@mkdir -p $(@D)
	$(call say,GUEST,$<)$(GUEST_CC) $(GUEST_CFLAGS) -MMD -MP -c -o $@ $<
$(GUEST_OBJ)/pvh.o: $(GUEST_ENTRY_32) $(O)/flags
	@mkdir -p $(@D)
	$(call say,GUEST,$@)$(GUEST_CC) $(GUEST_CFLAGS) -DPVH -MMD -MP -c -o $@ $<
$(GUEST_OBJ)/multiboot.o: $(GUEST_ENTRY_32) $(O)/flags
	@mkdir -p $(@D)
	$(call say,GUEST,$@)$(GUEST_CC) $(GUEST_CFLAGS) -DMULTIBOOT -MMD -MP -c -o $@ $<

guest_link = $(GUEST_LD) -nostdlib -static --no-warn-rwx-segments -z max-page-size=4096 --build-id=none \
	-T guest/$(ARCHDIR)/link.ld

$(O)/guests/%.elf: $(GUEST_OBJ)/tests/native/guests/%.o $(GUEST_OBJS) guest/$(ARCHDIR)/link.ld
	@mkdir -p $(@D)
	$(call say,LD,$@)$(guest_link) -o $@ $(filter %.o,$^)
# bss is part of a flat image where the guest does not clear it: nothing else tells the loader how long it is.
guest_flat_x86 := --set-section-flags .bss=alloc,load,contents
guest_flat = $(GUEST_OBJCOPY) -O binary $(guest_flat_$(ARCHDIR))
$(O)/guests/%.flat: $(O)/guests/%.elf
	$(call say,FLAT,$@)$(guest_flat) $< $@
$(O)/guests/%.pvh: $(GUEST_OBJ)/tests/native/guests/%.o $(GUEST_OBJ)/pvh.o $(GUEST_OBJS) \
		guest/$(ARCHDIR)/link.ld
	@mkdir -p $(@D)
	$(call say,LD,$@)$(guest_link) -o $@ $(filter %.o,$^)
# Multiboot wants a 32-bit ELF file, whatever is in it.
$(O)/guests/%.multiboot: $(GUEST_OBJ)/tests/native/guests/%.o $(GUEST_OBJ)/multiboot.o $(GUEST_OBJS) \
		guest/$(ARCHDIR)/link.ld
	@mkdir -p $(@D)
	$(call say,LD,$@)$(guest_link) -e enter32 -o $@.64 $(filter %.o,$^) && \
		$(GUEST_OBJCOPY) -O elf32-i386 $@.64 $@ && rm $@.64

# The built-in guest: without what only debuggers read, and closely packed.
$(O)/selftest.elf: $(SELFTEST_OBJS) $(GUEST_OBJS) guest/$(ARCHDIR)/link.ld
	$(call say,LD,$@)$(guest_link) -o $@.debug $(filter %.o,$^) && \
		$(GUEST_OBJCOPY) --strip-all $@.debug $@
# The same for loaders that do not take ELF files.
$(O)/selftest.flat: $(O)/selftest.elf
	$(call say,FLAT,$@)$(guest_flat) $< $@
SELFTEST_FILE_x86 := $(O)/selftest.elf
SELFTEST_FILE_arm := $(O)/selftest.flat
SELFTEST_FILE_riscv := $(O)/selftest.flat
SELFTEST_FILE := $(SELFTEST_FILE_$(ARCHDIR))
$(EMBEDDED): guest/embed.S $(SELFTEST_FILE) $(O)/init $(O)/flags
	@mkdir -p $(@D)
	$(call say,AS,$<)$(CC) $(HARDEN) -DSELFTEST_IMAGE='"$(SELFTEST_FILE)"' -DINIT_IMAGE='"$(O)/init"' -c -o $@ $<

# The first page of a trust domain. It is measured: the assembler gets nothing that changes its bytes.
$(GUEST_OBJ)/guest/x86/tdx-reset.o: guest/x86/tdx-reset.S include/lkvm/guest-tdx.h $(O)/flags
	@mkdir -p $(@D)
	$(call say,GUEST,$<)$(GUEST_CC) -m64 -Iinclude -c -o $@ $<
$(O)/tdx-reset.page: $(GUEST_OBJ)/guest/x86/tdx-reset.o guest/x86/tdx-reset.ld
	$(call say,LD,$@)$(GUEST_LD) -nostdlib -static --no-warn-rwx-segments --build-id=none -T guest/x86/tdx-reset.ld \
		-o $@.elf $< && $(GUEST_OBJCOPY) -O binary $@.elf $@
# The same in an ordinary guest, over what the test brings.
$(GUEST_OBJ)/tdx-played.o: guest/x86/tdx-reset.S include/lkvm/guest-tdx.h $(O)/flags
	@mkdir -p $(@D)
	$(call say,GUEST,$@)$(GUEST_CC) -m64 -Iinclude -DTDX_PLAYED -c -o $@ $<
$(O)/guests/tdxreset.elf: $(GUEST_OBJ)/tdx-played.o
TDX_EMBEDDED := $(O)/obj/guest/tdx-embed.o
$(TDX_EMBEDDED): guest/x86/tdx-embed.S $(O)/tdx-reset.page $(O)/flags
	@mkdir -p $(@D)
	$(call say,AS,$<)$(CC) $(HARDEN) -DTDX_RESET_PAGE='"$(O)/tdx-reset.page"' -c -o $@ $<
EMBEDDED_x86 := $(TDX_EMBEDDED)
$(O)/liblkvm.a: $(EMBEDDED_$(ARCHDIR))

# lkvm's init for Linux guests, a program of user space without a C library: of the kernel's headers alone.
INIT_CFLAGS := -std=gnu17 $(WARNINGS) -Os -g -ffreestanding -fno-pic -fno-pie -fno-common -fno-stack-protector \
	-fno-asynchronous-unwind-tables -fno-strict-aliasing $(filter -fno-tree-loop-distribute-patterns -fno-builtin,$(GUEST_CFLAGS)) \
	$(INIT_CFLAGS_$(ARCHDIR)) -Iinclude $(CPPFLAGS)
INIT_CFLAGS_x86 := -fcf-protection=none
INIT_CFLAGS_arm := -mno-outline-atomics
INIT_OBJ := $(O)/obj-init
INIT_OBJS := $(patsubst %.c,$(INIT_OBJ)/%.o,$(sort $(wildcard guest/init/*.c)))
$(INIT_OBJ)/%.o: %.c $(O)/flags
	@mkdir -p $(@D)
	$(call say,INIT,$<)$(GUEST_CC) $(INIT_CFLAGS) -MMD -MP -c -o $@ $<
$(O)/init: $(INIT_OBJS)
	$(call say,LD,$@)$(GUEST_LD) -nostdlib -static --build-id=none -z noexecstack -z noseparate-code -o $@.debug $^ && \
		$(GUEST_OBJCOPY) --strip-all $@.debug $@

# The stub of SNP guests: it is measured, so the assembler gets nothing that changes its bytes.
$(GUEST_OBJ)/snp-stub.o: guest/x86/snp-stub.S include/lkvm/guest-snp.h $(O)/flags
	@mkdir -p $(@D)
	$(call say,GUEST,$<)$(GUEST_CC) -m64 -Iinclude -c -o $@ $<
$(O)/snp-stub.bin: $(GUEST_OBJ)/snp-stub.o
	$(call say,FLAT,$@)$(GUEST_OBJCOPY) -O binary -j .text.snp_stub $< $@
SNP_EMBEDDED := $(O)/obj/guest/snp-embed.o
$(SNP_EMBEDDED): guest/x86/snp-embed.S $(O)/snp-stub.bin $(O)/flags
	@mkdir -p $(@D)
	$(call say,AS,$<)$(CC) $(HARDEN) -DSNP_STUB='"$(O)/snp-stub.bin"' -c -o $@ $<
EMBEDDED_x86 += $(SNP_EMBEDDED)
$(O)/liblkvm.a: $(EMBEDDED_$(ARCHDIR))

# The same with its three instructions replaced by calls, for its test.
$(GUEST_OBJ)/snp-stub-test.o: guest/x86/snp-stub.S include/lkvm/guest-snp.h $(O)/flags
	@mkdir -p $(@D)
	$(call say,GUEST,$@)$(GUEST_CC) -m64 -Iinclude -DSNP_STUB_TEST -c -o $@ $<
$(O)/guests/snpstub.elf: $(GUEST_OBJ)/snp-stub-test.o

# Code of the guest that is tested on this machine.
$(O)/tests/riscv/test_guest_isa: ALL_CPPFLAGS += -DGUEST_MAX_CPUS=$(GUEST_MAX_CPUS)
$(O)/tests/test_guest_fdt $(O)/tests/riscv/test_guest_isa: ALL_CPPFLAGS += -Iguest/lib -Iguest/$(ARCHDIR)

.SECONDARY: $(GUEST_OBJS) $(SELFTEST_OBJS) $(GUEST_TESTS:%=$(GUEST_OBJ)/tests/native/guests/%.o) $(GUEST_TESTS:%=$(O)/guests/%.elf)
.PHONY: guests
-include $(INIT_OBJS:.o=.d) $(GUEST_OBJS:.o=.d) $(SELFTEST_OBJS:.o=.d) $(GUEST_TESTS:%=$(GUEST_OBJ)/tests/native/guests/%.d)
