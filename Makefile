# SPDX-License-Identifier: MIT
# Builds lkvm. `make help` lists the targets; every output goes below build/ (or O=DIR).

VERSION := 0.1.0
prefix ?= /usr/local
bindir ?= $(prefix)/bin
datadir ?= $(prefix)/share
mandir ?= $(datadir)/man
zshdir ?= $(datadir)/zsh/site-functions
fishdir ?= $(datadir)/fish/vendor_completions.d
docdir ?= $(datadir)/doc/lkvm
DESTDIR ?=
DISTDIR ?= .

CC := $(if $(filter default,$(origin CC)),$(CROSS_COMPILE)gcc,$(CC))
AR := $(if $(filter default,$(origin AR)),$(CROSS_COMPILE)ar,$(AR))

# The room of an architecture is named by ARCHDIR. Another machine's build has a folder of its own.
HOST_ARCH := $(subst aarch64,arm64,$(subst _,-,$(shell uname -m)))
ARCH ?= $(HOST_ARCH)
ARCHDIR_x86-64 := x86
ARCHDIR_arm64 := arm
ARCHDIR_riscv64 := riscv
ARCHDIR := $(ARCHDIR_$(ARCH))
ifeq ($(ARCHDIR),)
$(error ARCH=$(ARCH) is not supported; supported: x86-64 arm64 riscv64)
endif

O ?= build$(if $(filter-out $(HOST_ARCH),$(ARCH)),/$(ARCH))
hash := \#
comma := ,
V ?= 0
ifeq ($(V),0)
Q := @
say = @printf '  %-7s %s\n' '$(1)' '$(2)';
else
Q :=
say =
endif

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
	-Wformat=2 -Wvla -Wundef -Wwrite-strings -Wimplicit-fallthrough -Wno-unused-parameter
CFLAGS ?= -O2 -g
# What runs once for each VM or command is built for size, and so is what does little beside the system call that it makes
# (messages, packets of a tap). What computes for each exit, request or packet is built for speed. Who sets CFLAGS has them for all.
COLD_CFLAGS := $(if $(filter file,$(origin CFLAGS)),-Os)
HOT := bus.c event.c memory.c vcpu.c $(addprefix util/,eventfd.c io.c iov.c pattern-match.c)
HOT += $(addprefix console/,outq.c output.c)
HOT += $(addprefix disk/,raw.c raw-io.c threads.c uring.c qcow2.c qcow2-map.c)
HOT += $(addprefix hw/,serial.c serial-rx.c)
HOT += $(addprefix net/,flow.c toeplitz.c tun.c)
HOT += $(addprefix virtio/,blk-request.c mmio.c net.c net-filter.c net-hash.c net-rx.c net-tx.c queue.c ring-packed.c ring-split.c virtqueue.c)
HOT += $(addprefix virtio/,vsock.c vsock-conn.c vsock-guest.c vsock-host.c)
HOT += x86/ioapic.c x86/vcpu.c arm/vcpu.c riscv/plic.c riscv/vcpu.c
# What the compiler has of it: $(call takes,FLAGS) are those of the flags that it takes without a word.
takes = $(shell for flag in $(1); do \
	$(CC) -Werror $$flag -c -x c /dev/null -o /dev/null >/dev/null 2>&1 && echo $$flag; done)
HARDEN := -fstack-protector-strong $(call takes,-fstack-clash-protection -fcf-protection -mbranch-protection=standard) \
	-U_FORTIFY_SOURCE $(if $(filter 1 thread,$(SANITIZE)),,-D_FORTIFY_SOURCE=2)
ALL_CFLAGS := -std=gnu17 -D_GNU_SOURCE $(WARNINGS) -pthread -fno-common -fPIE -ffunction-sections -fdata-sections \
	$(HARDEN) $(CFLAGS)
ALL_CPPFLAGS := -Iinclude -isystem include/uapi -DLKVM_VERSION='"$(VERSION)"' $(CPPFLAGS)
ALL_LDFLAGS := -pthread -Wl,-z,relro,-z,now,-z,noexecstack,--gc-sections $(LDFLAGS)
LIBS :=

# $(call links,FLAGS,LINES BEFORE MAIN) is 1 when a program links with FLAGS without a word. (An option that a linker ignores it
# names in a warning.)
links = $(call alone,$(shell printf '%s\n' $(2) 'int main(void) { return 0; }' | \
	$(CC) $(ALL_LDFLAGS) -fPIE $(1) -x c - -o /dev/null 2>&1 && echo 1))
alone = $(if $(filter-out 1,$(1)),,$(1))
# A static binary is position-independent too, where the C library has the start-up file for that.
STATIC_LINK ?= $(if $(filter /%,$(shell $(CC) -print-file-name=rcrt1.o)),-static-pie,-static)
# Nothing here unwinds a stack but debuggers, and they read .debug_frame; a dynamic binary keeps what backtrace(3) reads.
ifeq ($(STATIC),1)
ALL_CFLAGS += -fno-asynchronous-unwind-tables
NO_UNWIND := -Wl,-T,scripts/static.ld
ALL_LDFLAGS += $(if $(call links,$(NO_UNWIND) $(firstword $(STATIC_LINK))),$(NO_UNWIND))
endif
# nettle asks the CPU (a tenth of a start of musl's) when it is first used, not at every start.
LATE_NETTLE := $(if $(call links,-Wl$(comma)-T$(comma)scripts/nettle.ld),-Wl$(comma)-T$(comma)scripts/nettle.ld)
# Relative relocations as a bit map (DT_RELR): a hundredth of their size. The C library must know them: glibc does since 2.36.
RELR := -Wl,-z,pack-relative-relocs
ALL_LDFLAGS += $(if $(call links,$(RELR),'$(hash)include <features.h>' '$(hash)if !__GLIBC_PREREQ(2, 36)' '$(hash)error' \
	'$(hash)endif'),$(RELR))

ALL_LDFLAGS += $(if $(filter 1,$(STATIC)),$(STATIC_LINK),-pie)
ifeq ($(SANITIZE),1)
ALL_CFLAGS += -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
ALL_LDFLAGS += -fsanitize=address,undefined
endif
# GCC warns of every fence, which ThreadSanitizer does not see; what fences order here is atomic itself.
ifeq ($(SANITIZE),thread)
NO_TSAN_WARNING := $(shell $(CC) -Werror -Wtsan -E -x c /dev/null >/dev/null 2>&1 && echo -Wno-tsan)
ALL_CFLAGS += -fsanitize=thread -fno-omit-frame-pointer $(NO_TSAN_WARNING)
ALL_LDFLAGS += -fsanitize=thread
endif
ifeq ($(WERROR),1)
ALL_CFLAGS += -Werror
endif
# Devices in confidential guests, by calls that no kernel has settled (docs/vfio.md).
ifeq ($(TSM),1)
ALL_CPPFLAGS += -DCONFIG_VFIO_TSM
endif

# The libraries of another machine, where they are not the system's: `tests/lab/lab libs --arch ARCH` makes this folder.
LIBS_DIR ?= $(wildcard build/lab/$(ARCH)/libs)
ifneq ($(LIBS_DIR),)
# Clang names a vendor in its triplet, Debian's folders have none.
TRIPLET := $(subst -pc-,-,$(subst -unknown-,-,$(shell $(CC) -dumpmachine)))
ALL_CPPFLAGS += -isystem $(LIBS_DIR)/usr/include/$(TRIPLET) -isystem $(LIBS_DIR)/usr/include
ALL_LDFLAGS += -L$(LIBS_DIR)/usr/lib/$(TRIPLET) -L$(LIBS_DIR)/lib/$(TRIPLET)
endif

# Libraries that most runs hardly use are taken statically, where that is installed: each shared one costs time at every
# start. $(call static_lib,NAME) is the archive, or -lNAME. SHARED=1: none is, as distributions want it.
static_lib = $(if $(filter 1,$(SHARED)),-l$(1),$(static_or_shared))
static_or_shared = $(or $(firstword $(wildcard $(LIBS_DIR:%=%/usr/lib/$(TRIPLET)/lib$(1).a) \
	$(shell $(CC) -print-file-name=lib$(1).a))),-l$(1))

# libfdt writes device trees.
LIBFDT := $(call static_lib,fdt)
LIBS += $(LIBFDT)

# Optional libraries: taken when a program that includes the header links with this compiler and these flags.
# $(call probe,HEADER,LIBRARIES) is 1 or empty.
probe = $(shell printf '%s\n' '$(hash)include <$(1)>' 'int main(void) { return 0; }' | \
	$(CC) $(ALL_CPPFLAGS) $(ALL_LDFLAGS) -x c - -x none -o /dev/null $(2) 2>/dev/null && echo 1)
# An archive may be made for other programs than this one (not position-independent): then it is the shared library.
whole = -Wl,--whole-archive $(1) -Wl,--no-whole-archive
# $(call optional,HEADER,NAME) is what to link; empty: there is none.
optional = $(or $(if $(filter %.a,$(call static_lib,$(2))),$(if $(call probe,$(1),$(call whole,$(call static_lib,$(2)))), \
	$(call static_lib,$(2)))),$(if $(call probe,$(1),-l$(2)),-l$(2)))
ZLIB := $(strip $(call optional,zlib.h,z))
ZSTD := $(strip $(call optional,zstd.h,zstd))
URING := $(strip $(call optional,liburing.h,uring))
ifneq ($(ZLIB),)
ALL_CPPFLAGS += -DHAVE_ZLIB
LIBS += $(ZLIB)
endif
ifneq ($(ZSTD),)
ALL_CPPFLAGS += -DHAVE_ZSTD
LIBS += $(ZSTD)
endif
ifneq ($(URING),)
ALL_CPPFLAGS += -DHAVE_LIBURING
LIBS += $(URING)
endif
# SHA-2, for measurements: nettle's, else libcrypto's.
NETTLE := $(strip $(call optional,nettle/sha2.h,nettle))
ifneq ($(NETTLE),)
ALL_CPPFLAGS += -DHAVE_NETTLE
LIBS += $(NETTLE)
ALL_LDFLAGS += $(LATE_NETTLE)
else
CRYPTO := $(strip $(call optional,openssl/sha.h,crypto))
ifneq ($(CRYPTO),)
ALL_CPPFLAGS += -DHAVE_LIBCRYPTO
LIBS += $(CRYPTO)
endif
endif

ROOMS := util measure boot rootfs hw pci virtio vfio disk net fs vsock vhost console probe probe/$(ARCHDIR) selftest smoke $(ARCHDIR)
# Every architecture's options are in every binary, as data: help and the manual list them all.
SRCS := $(sort $(wildcard *.c $(ROOMS:%=%/*.c) */options.c */options-*.c))
OBJS := $(SRCS:%.c=$(O)/obj/%.o)
LIB_OBJS := $(filter-out $(O)/obj/main.o,$(OBJS))
# The guest of `lkvm selftest` as data, see guest/build.mk.
EMBEDDED := $(O)/obj/guest/embed.o
UNIT_TESTS := $(patsubst tests/unit/%.c,$(O)/tests/%,$(sort $(wildcard tests/unit/test_*.c tests/unit/$(ARCHDIR)/test_*.c)))

all: $(O)/lkvm ## build lkvm (default)

# Named, since they define what only the libraries after ours ask for.
STANDINS := $(O)/obj/boot/zstd-legacy.o $(O)/obj/measure/fortified.o
$(O)/lkvm: $(O)/obj/main.o $(STANDINS) $(O)/liblkvm.a
	$(call say,LD,$@)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

$(O)/liblkvm.a: $(LIB_OBJS) $(EMBEDDED)
	$(call say,AR,$@)rm -f $@ && $(AR) rcs $@ $^

$(O)/obj/%.o: %.c $(O)/flags
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) $(if $(filter $<,$(HOT)),,$(COLD_CFLAGS)) -MMD -MP -c -o $@ $<

# It runs before there is a canary.
$(O)/obj/util/relr.o: ALL_CFLAGS += -fno-stack-protector

# Everything is built anew when the compiler or its flags change. Then it is also seen whether they find libfdt.
IS_CROSS := $(filter-out $(HOST_ARCH),$(ARCH))
NEED_CC := install it: 'scripts/install-deps.sh $(if $(IS_CROSS),cross,build)'
NEED_FDT := $(if $(IS_CROSS),unpack it: 'tests/lab/lab libs --arch $(ARCH)',install it: 'scripts/install-deps.sh build')
$(O)/flags: FORCE
	@mkdir -p $(@D)
	@flags='$(subst ','\'',$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) $(COLD_CFLAGS:%=(% but for $(HOT))) $(ALL_LDFLAGS))'; \
	echo "$$flags" | cmp -s - $@ && exit; \
	command -v $(firstword $(CC)) >/dev/null || { echo "lkvm: no compiler $(firstword $(CC)): $(NEED_CC)" >&2; exit 1; }; \
	echo '$(hash)include <libfdt.h>' | $(CC) $(ALL_CPPFLAGS) -E -x c - >/dev/null 2>&1 && \
	echo 'int main(void) { return 0; }' | \
		$(CC) $(ALL_LDFLAGS) -x c - -x none $(LIBFDT) -o /dev/null >/dev/null 2>&1 || \
		{ echo "lkvm: $(CC) finds no libfdt for $(ARCH): $(NEED_FDT)" >&2; exit 1; }; \
	echo "$$flags" >$@

$(O)/tests/%: tests/unit/%.c $(O)/liblkvm.a
	@mkdir -p $(@D)
	$(call say,TEST,$@)$(CC) $(ALL_CPPFLAGS) -Itests/unit -Itests/unit/$(ARCHDIR) $(ALL_CFLAGS) -MMD -MP -MF $@.d $(ALL_LDFLAGS) -o $@ $< \
		$(filter %.o,$^) $(O)/liblkvm.a -lcmocka $(LIBS)

# What TSM=1 changes is tested in every build: these files come before the library's own.
TSM_OBJS := $(patsubst %,$(O)/tests/tsm/%.o,config-vfio config-vfio-tsm vfio/tsm vfio/pci vfio/pci-config)
$(O)/tests/test_vfio_tsm: $(TSM_OBJS)
$(O)/tests/test_vfio_tsm: private ALL_CPPFLAGS += -DCONFIG_VFIO_TSM
$(O)/tests/tsm/%.o: %.c $(O)/flags
	@mkdir -p $(@D)
	$(call say,CC,$< (TSM))$(CC) $(ALL_CPPFLAGS) -DCONFIG_VFIO_TSM $(ALL_CFLAGS) $(COLD_CFLAGS) -MMD -MP -c -o $@ $<

unit: $(UNIT_TESTS) ## build the unit tests
# What only this architecture has.
UNIT_TESTS_OWN := $(filter $(O)/tests/$(ARCHDIR)/%,$(UNIT_TESTS))
unit-own: $(UNIT_TESTS_OWN)

static: ## build build/static/lkvm, linked statically
	$(Q)$(MAKE) --no-print-directory O=$(O)/static STATIC=1

# musl-gcc knows neither kernel headers nor libfdt's: it is shown the system's through links. Nor does it know -static-pie: it
# is given musl's start-up files for that, which stand beside those that it takes.
MUSL_CRT = $(shell musl-gcc -\#\#\# -x c /dev/null 2>&1 | tr ' ' '\n' | sed -n 's,/Scrt1\.o$$,,p')
MUSL_STATIC = -static $(if $(wildcard $(MUSL_CRT)/rcrt1.o),-Wl$(comma)-pie$(comma)--no-dynamic-linker$(comma)-z$(comma)text \
	-nostartfiles $(addprefix $(MUSL_CRT)/,rcrt1.o crti.o crtn.o))
# musl's start-up file for static programs does not unpack DT_RELR: ours does that before (include/lkvm/relr.h).
MUSL_RELR = $(if $(filter %/rcrt1.o,$(MUSL_STATIC)),$(if $(call links,$(RELR)),$(RELR)$(comma)-e$(comma)relr_start))
MUSL_INCLUDE := $(O)/musl/include
MUSL_LIB := $(O)/musl/lib
musl: ## build build/musl/lkvm with musl-gcc, statically
	$(Q)mkdir -p $(MUSL_INCLUDE) $(MUSL_LIB)
	$(Q)ln -sfn /usr/include/linux /usr/include/asm-generic /usr/include/video $(MUSL_INCLUDE)/
	$(Q)ln -sfn $(wildcard $(addprefix /usr/include/,libfdt.h libfdt_env.h fdt.h zlib.h zconf.h zstd.h zstd_errors.h liburing.h liburing nettle)) \
		$(MUSL_INCLUDE)/
	$(Q)ln -sfn $(wildcard $(foreach lib,z zstd uring nettle,$(shell gcc -print-file-name=lib$(lib).a))) $(MUSL_LIB)/
	$(Q)ln -sfn /usr/include/$$(gcc -print-multiarch)/asm $(MUSL_INCLUDE)/
	$(Q)$(MAKE) --no-print-directory O=$(O)/musl STATIC=1 CC=musl-gcc STATIC_LINK='$(MUSL_STATIC) $(MUSL_RELR)' \
		CPPFLAGS='-idirafter $(abspath $(MUSL_INCLUDE)) $(CPPFLAGS)' LDFLAGS='-L$(abspath $(MUSL_LIB)) $(LDFLAGS)'

# RUN starts programs that are built for another machine: qemu-user does, with the libraries of LIBS_DIR.
RUN ?= $(if $(filter-out $(HOST_ARCH),$(ARCH)),qemu-$(subst arm64,aarch64,$(ARCH)) -L /usr/$(TRIPLET) \
	-E LD_LIBRARY_PATH=$(LIBS_DIR)/usr/lib/$(TRIPLET):$(LIBS_DIR)/lib/$(TRIPLET))
# The manual's lists of options come from the program: of run at @OPTIONS@, of another command at its name.
man: $(O)/lkvm.1 ## make build/lkvm.1
$(O)/lkvm.1: docs/lkvm.1.in $(O)/lkvm
	$(call say,MAN,$@)while IFS= read -r line; do \
		case $$line in \
		@OPTIONS@) $(RUN) $(O)/lkvm help --man run || exit ;; \
		@[A-Z]*@) $(RUN) $(O)/lkvm help --man "$$(echo "$$line" | tr -d @ | tr A-Z a-z)" || exit ;; \
		*) printf '%s\n' "$$line" ;; \
		esac; done <$< >$@

install: $(O)/lkvm $(O)/lkvm.1 ## install below DESTDIR and prefix (/usr/local)
	install -D -m 755 $(O)/lkvm $(DESTDIR)$(bindir)/lkvm
	install -D -m 644 $(O)/lkvm.1 $(DESTDIR)$(mandir)/man1/lkvm.1
	install -D -m 644 docs/lkvm.bash $(DESTDIR)$(datadir)/bash-completion/completions/lkvm
	install -D -m 644 docs/lkvm.zsh $(DESTDIR)$(zshdir)/_lkvm
	install -D -m 644 docs/lkvm.fish $(DESTDIR)$(fishdir)/lkvm.fish
	install -d $(DESTDIR)$(docdir)/docs
	install -m 644 README.md $(DESTDIR)$(docdir)/
	install -m 644 docs/*.md $(DESTDIR)$(docdir)/docs/

dist: ## pack the last commit as lkvm-VERSION.tar.xz (in DISTDIR)
	git archive --prefix=lkvm-$(VERSION)/ -o $(DISTDIR)/lkvm-$(VERSION).tar HEAD
	xz -9f $(DISTDIR)/lkvm-$(VERSION).tar

deb: ## build a Debian package in build/deb, with debhelper
	$(Q)scripts/deb.sh $(VERSION) $(O)/deb

# The settings stand in .clang-format, .clang-tidy and .cppcheck.
LINT_SH = $(shell grep -lE '^\#!/bin/(ba)?sh' $(wildcard .ci/* scripts/* guest/* tests/* tests/*/* tests/*/*/*) 2>/dev/null)
LINT_C = $(SRCS) $(LINT_CROSS) $(wildcard include/lkvm/*.h $(ROOMS:%=%/*.h) $(LINT_CROSS_ROOMS:%=%/*.h) guest/*.[ch] \
	bench/*.c bench/guest/*.[ch] \
	tests/model/*.[ch] tests/model/*/*.[ch] tests/model/t/*/*.[ch] tests/unit/*.[ch] tests/unit/*/*.[ch] tests/lib/*.h tests/lib/*/*.h tests/native/*.[ch] tests/native/*/*.c \
	tests/threads/*.[ch] tests/prove/*.h tests/fuzz/*.[ch] tests/fuzz/*/*.c tests/lab/programs/*/*.[ch])
# The other architectures' rooms; clang-tidy wants their headers.
LINT_CROSS_ROOMS := $(filter-out $(ARCHDIR),arm riscv x86)
LINT_CROSS = $(filter-out $(SRCS),$(sort $(wildcard $(LINT_CROSS_ROOMS:%=%/*.c))))
LINT_CROSS_FLAGS_arm := --target=aarch64-linux-gnu -isystem /usr/aarch64-linux-gnu/include
LINT_CROSS_FLAGS_riscv := --target=riscv64-linux-gnu -isystem /usr/riscv64-linux-gnu/include
LINT_CROSS_FLAGS_x86 := --target=x86_64-linux-gnu -isystem /usr/x86_64-linux-gnu/include
# The architecture's own objects: `make layers ARCH=arm64` checks arm/ and guest/arm as well.
NM ?= $(CROSS_COMPILE)nm
layers: all ## check that calls go down and that no two files need each other (ARCHITECTURE.md's tables)
	python3 scripts/layers.py --nm $(NM) $(O)/obj $(GUEST_OBJ) $(INIT_OBJ)

# The static analyser in its shallow mode looks at every file in a fifteenth of the time; in depth with TEST_ALL=1, as
# make check-all sets.
TIDY_DEPTH := $(if $(TEST_ALL),,-Xclang -analyzer-config -Xclang mode=shallow)
# In a recipe it ends a command.
define newline


endef
# $(call tidy,FILES,FLAGS OF THEIR ARCHITECTURE)
tidy = printf '%s\n' $(1) | xargs -P $(shell nproc) -I{} \
	clang-tidy --quiet {} -- -std=gnu17 -D_GNU_SOURCE $(ALL_CPPFLAGS) $(2) $(TIDY_DEPTH)
lint: $(O)/lkvm.1 layers ## check layers and style, look for bugs: clang-format, clang-tidy, cppcheck, shellcheck, mandoc
	@# Every version of clang-format lays out a few things its own way; the tree has the way of 14, Debian 12's.
	@case "$$(clang-format --version)" in \
	*version\ 14.*) echo clang-format; clang-format --dry-run -Werror $(LINT_C) ;; \
	*) echo "skipped: clang-format: the tree is laid out by version 14, this is another" ;; \
	esac
	shellcheck -S warning -e SC1090 $(LINT_SH)
	shellcheck -s bash docs/lkvm.bash
	mandoc -T lint -W warning $(O)/lkvm.1
	cppcheck --quiet -j $(shell nproc) --error-exitcode=1 --enable=warning,performance,portability --inline-suppr \
		--std=c11 --suppressions-list=.cppcheck $(ALL_CPPFLAGS) -D_GNU_SOURCE $(SRCS) $(LINT_CROSS)
	$(call tidy,$(SRCS))
	$(foreach room,$(LINT_CROSS_ROOMS),$(if $(wildcard $(lastword $(LINT_CROSS_FLAGS_$(room)))),\
		$(call tidy,$(wildcard $(room)/*.c),$(LINT_CROSS_FLAGS_$(room)))$(newline)))

format: ## let clang-format lay out the sources
	clang-format -i $(LINT_C)

-include guest/build.mk
include tests/model/model.mk
include tests/check.mk
include tests/fuzz/fuzz.mk
include bench/bench.mk

clean: ## remove build/
	rm -rf $(O)

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(filter-out %.d,$(MAKEFILE_LIST)) | sed -E 's/:.*## /\t/' | expand -t 16

.PHONY: all unit static musl man install dist deb layers lint format clean help FORCE
.DELETE_ON_ERROR:
-include $(OBJS:.o=.d) $(UNIT_TESTS:=.d) $(TSM_OBJS:.o=.d)
