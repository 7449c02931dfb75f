# SPDX-License-Identifier: MIT
# Fuzzing (docs/fuzzing.md): `make fuzz` and its like need Clang and its libFuzzer, `make check-fuzz` any compiler.

FUZZ_CC ?= clang
FUZZ_SECONDS ?= 60
FUZZ_MAX_LEN ?= 4096
# An architecture's own targets are in a folder of its name, or need what only one has.
FUZZ_NOT_riscv = $(FUZZ_NOT_arm)
FUZZ_NOT_arm := bzimage elf initrd ioapic machine pc pit snp tdvf testdev
FUZZ_ALL := $(filter-out $(FUZZ_NOT_$(ARCHDIR)),$(patsubst fuzz_%.c,%,$(sort $(notdir \
	$(wildcard tests/fuzz/fuzz_*.c tests/fuzz/$(ARCHDIR)/fuzz_*.c)))))
vpath fuzz_%.c tests/fuzz tests/fuzz/$(ARCHDIR)
# Those that fuzz-quick and fuzz-merge work on.
FUZZ ?= $(FUZZ_ALL)
FUZZ_SUB = --no-print-directory SANITIZE=1

# What lkvm says of its broken guests is not shown; a report of a finding is.
FUZZ_RUN = -close_fd_mask=3 -max_len=$(FUZZ_MAX_LEN) -timeout=10 -rss_limit_mb=1024
# The targets' own comparisons, many in their checks, say nothing of lkvm: only its files trace them. Nor do the targets'
# reads of guest memory: where lkvm reads, it changes meanwhile (fuzz_meanwhile.h).
FUZZ_ONLY = $(if $(findstring fuzzer-no-link,$(CFLAGS)),-fno-sanitize-coverage=trace-cmp -fno-sanitize-coverage=trace-loads)
FUZZ_TRACED = -fsanitize=fuzzer-no-link -fsanitize-coverage=trace-loads
FUZZ_WRAP = -Wl,--wrap=__asan_memcpy,--wrap=__asan_memmove
FUZZ_SOURCE_FLAGS = $(FUZZ_ONLY) -Itests/fuzz -Itests/lib/$(ARCHDIR) -MMD -MP -MF $@.d

fuzz-build: ## build the fuzz targets with libFuzzer, below build/fuzz
	$(Q)$(MAKE) $(FUZZ_SUB) CC=$(FUZZ_CC) O=$(O)/fuzz CFLAGS='-O1 -g $(FUZZ_TRACED)' fuzz-programs

fuzz-programs: $(FUZZ_ALL:%=$(O)/fuzz-%)
$(O)/fuzz-%: fuzz_%.c tests/fuzz/meanwhile.c $(O)/liblkvm.a
	$(call say,FUZZ,$@)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) $(FUZZ_SOURCE_FLAGS) $(ALL_LDFLAGS) -fsanitize=fuzzer \
		-DFZ_TRACED $(FUZZ_WRAP) -o $@ $< tests/fuzz/meanwhile.c $(O)/liblkvm.a $(LIBS)

replay-programs: $(FUZZ_ALL:%=$(O)/replay/fuzz-%)
FUZZ_REPLAY = $(addprefix $(O)/obj/tests/fuzz/,replay_main.o meanwhile.o)
$(O)/replay/fuzz-%: fuzz_%.c $(FUZZ_REPLAY) $(O)/liblkvm.a
	@mkdir -p $(@D)
	$(call say,FUZZ,$@)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) $(FUZZ_SOURCE_FLAGS) $(ALL_LDFLAGS) -o $@ $< \
		$(FUZZ_REPLAY) $(O)/liblkvm.a $(LIBS)

# New inputs go to build/fuzz/corpus, findings to build/fuzz/findings.
fuzz: FUZZ_SECONDS = 300
fuzz: fuzz-quick ## fuzz each target (FUZZ=... for some) for five minutes, or FUZZ_SECONDS
fuzz-quick: fuzz-build ## fuzz each target (FUZZ=... for some) for FUZZ_SECONDS (60)
	$(Q)FUZZ_SECONDS=$(FUZZ_SECONDS) tests/fuzz/run.sh fuzz $(O)/fuzz '$(FUZZ_RUN)' $(FUZZ)

fuzz-merge: fuzz-build ## take what was found worth keeping from build/fuzz/corpus into tests/fuzz/corpus
	$(Q)tests/fuzz/run.sh merge $(O)/fuzz '$(FUZZ_RUN)' $(FUZZ)

fuzz-coverage: ## which lines the corpora reach, as a table for each room
	$(Q)$(MAKE) --no-print-directory CC=$(FUZZ_CC) O=$(O)/fuzz-cov \
		CFLAGS='-O0 -g -fprofile-instr-generate -fcoverage-mapping' replay-programs
	$(Q)tests/fuzz/run.sh coverage $(O)/fuzz-cov '' $(FUZZ)

# AddressSanitizer needs more addresses than qemu-user has for it.
FUZZ_PLAIN = $(if $(filter-out $(HOST_ARCH),$(ARCH)),SANITIZE=)
check-fuzz: ## replay the corpora of tests/fuzz under sanitizers
	$(Q)$(MAKE) $(FUZZ_SUB) O=$(O)/asan $(FUZZ_PLAIN) replay-programs
	$(Q)FUZZ_PROGRAMS=$(O)/asan/replay FUZZ_RUN='$(RUN)' $(PROVE) tests/fuzz/replay.t :: $(FUZZ_ALL)

.PHONY: fuzz fuzz-build fuzz-programs replay-programs fuzz-quick fuzz-merge fuzz-coverage check-fuzz
.SECONDARY: $(FUZZ_REPLAY)
-include $(wildcard $(O)/fuzz-*.d $(O)/replay/*.d)
