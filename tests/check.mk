# SPDX-License-Identifier: MIT
# The test targets; every TAP run is collected by prove.

PROVE ?= prove --timer
# As many tests at a time as there are processors.
JOBS ?= -j$(shell nproc)
export LKVM := $(O)/lkvm
export GUESTS := $(O)/guests
export NATIVE := $(O)/native
# Who looks for leaks sees everything released; else lkvm leaves that to the kernel.
ifneq ($(SANITIZE),)
export LKVM_RELEASE_ALL := 1
endif

# Programs over the library that need a KVM; each has a .t of its name.
NATIVE_PROGRAMS := $(patsubst %.c,$(O)/native/%,$(notdir $(wildcard tests/native/*.c)))
native: $(NATIVE_PROGRAMS) ## build the programs of the native tests
$(O)/native/%: tests/native/%.c $(O)/liblkvm.a
	@mkdir -p $(@D)
	$(call say,TEST,$@)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -MF $@.d $(ALL_LDFLAGS) -o $@ $< $(O)/liblkvm.a $(LIBS)
-include $(NATIVE_PROGRAMS:=.d)

# lkvm whose calls of the C library fail as a test wishes, or are counted: each that the file wraps.
native: $(O)/native/lkvm-fail $(O)/native/lkvm-count
$(O)/native/lkvm-%: tests/native/inject/%.c $(O)/obj/main.o $(O)/liblkvm.a
	@mkdir -p $(@D)
	$(call say,TEST,$@)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(LIBS) \
		$$($(CC) $(ALL_CPPFLAGS) -D_GNU_SOURCE -E $< | grep -o '__wrap_[a-z_0-9]*' | sort -u | sed 's/__wrap_/-Wl,--wrap=/')

check-unit: unit ## run the unit tests
	$(Q)CMOCKA_MESSAGE_OUTPUT=TAP $(PROVE) $(JOBS) -e 'tests/unit/run.sh $(RUN)' $(UNIT_TESTS)

check-unit-own: unit-own ## run those of what only this architecture has
	$(Q)CMOCKA_MESSAGE_OUTPUT=TAP $(PROVE) $(JOBS) -e 'tests/unit/run.sh $(RUN)' $(UNIT_TESTS_OWN)

# What native tests preload into lkvm: to make a disk slow, to count calls, to have vhost.
guests: $(O)/guests/slow-disk.so $(O)/guests/calls.so $(O)/guests/crash.so $(O)/guests/vhost.so $(O)/guests/no-tmpfile.so
$(O)/guests/vhost.so: tests/lib/fake_vhost.h
$(O)/guests/%.so: tests/native/preload/%.c $(O)/flags
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) -O2 $(WARNINGS) -fPIC -shared -o $@ $< -ldl

check-native: all guests native ## run lkvm on this host's /dev/kvm with tiny guests
	$(Q)$(PROVE) $(JOBS) $(NATIVE_TESTS)

# Those that take longest begin.
NATIVE_LONG := $(wildcard $(addprefix tests/native/,selftest.t console.t dump-boot.t limits.t memory.t))
NATIVE_TESTS = $(NATIVE_LONG) $(filter-out $(NATIVE_LONG),$(sort $(wildcard tests/native/*.t)))
check-quick: all unit guests native model $(MODEL_PROGRAMS) ## unit, native and model tests, under two minutes
	$(Q)CMOCKA_MESSAGE_OUTPUT=TAP $(PROVE) $(JOBS) -e tests/unit/run.sh $(NATIVE_TESTS) $(MODEL_TESTS) $(UNIT_TESTS)

# Whoever waits for too little, or races the guest, is found where threads lose the CPU at any moment. The chance is
# another one each time: JITTER=30 is harder, JITTER=300 is milder.
JITTER ?= 100
check-jitter: all unit guests native bench-files $(O)/guests/jitter.so ## the same on a machine that seems far too busy
	$(Q)CMOCKA_MESSAGE_OUTPUT=TAP LD_PRELOAD=$(abspath $(O)/guests/jitter.so) JITTER=$(JITTER) \
		$(PROVE) -j8 -e tests/unit/run.sh $(NATIVE_TESTS) $(UNIT_TESTS)

check-asan: ## the same with AddressSanitizer and UndefinedBehaviorSanitizer
	$(Q)$(MAKE) --no-print-directory SANITIZE=1 O=$(O)/asan check-quick

# Programs over the library whose threads get in each other's way, built with ThreadSanitizer; and the native test
# that pauses a busy guest.
THREADS := $(patsubst %.c,$(O)/threads/%,$(notdir $(wildcard tests/threads/*.c)))
threads: $(THREADS)
$(O)/threads/%: tests/threads/%.c $(O)/liblkvm.a
	@mkdir -p $(@D)
	$(call say,TEST,$@)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -MF $@.d $(ALL_LDFLAGS) -o $@ $< $(O)/liblkvm.a $(LIBS)
-include $(THREADS:=.d)

check-threads: ## the device side under ThreadSanitizer while vcpus hammer it
	$(Q)$(MAKE) --no-print-directory SANITIZE=thread O=$(O)/tsan run-threads
run-threads: all threads guests native
	$(Q)TSAN_OPTIONS='second_deadlock_stack=1 $(TSAN_OPTIONS)' $(PROVE) -e '' $(THREADS) tests/native/pause.t

prove: ## prove with CBMC that the queues' core stays within guest memory (docs/fuzzing.md)
	$(Q)$(PROVE) tests/prove/run.t

check-build: ## other compilers, libraries and architectures, install, dist, lint
	$(Q)$(PROVE) $(sort $(wildcard tests/build/*.t))

# lkvm for the labs of other architectures than this machine's: from build/ARCH where their .t files find it.
CROSS_arm64 := ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu- O=$(O)/arm64
CROSS_riscv64 := ARCH=riscv64 CROSS_COMPILE=riscv64-linux-gnu- O=$(O)/riscv64
CROSS_STATIC := $(patsubst %,static-%,$(filter-out $(HOST_ARCH),arm64 riscv64))
static-arm64: ## build build/arm64/static/lkvm with Debian's cross compiler
static-riscv64: ## the same for riscv64
static-arm64 static-riscv64: static-%:
	$(Q)tests/lab/lab libs --arch $*
	$(Q)$(MAKE) --no-print-directory $(CROSS_$*) static

check-lab: static $(CROSS_STATIC) ## real kernels in the lab (makes the lab first, see docs/lab.md)
	$(Q)$(PROVE) $(JOBS) $(LAB_LONG) $(filter-out $(LAB_LONG),$(sort $(wildcard tests/lab/*.t)))
# The longest begin. A lab waits by itself where the machine carries no second one.
LAB_LONG := $(wildcard tests/lab/arm64.t tests/lab/x86-64.t)

check: ## what CI runs: everything but the inner of the lab's matrix and the static analyser in depth
	+$(Q)MAKE='$(MAKE)' tests/parts.sh

check-all: ## everything
	$(Q)$(MAKE) --no-print-directory TEST_ALL=1 check
	$(Q)$(MAKE) --no-print-directory prove check-jitter
export TEST_ALL

.PHONY: prove native threads run-threads check check-all check-threads check-unit check-unit-own check-native check-quick check-asan check-jitter check-build check-lab static-arm64 static-riscv64
