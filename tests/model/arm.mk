# SPDX-License-Identifier: MIT
# The model's arm64 half: what of it is tested on every machine, and what runs under qemu-user elsewhere.

# The measurement of realms knows neither KVM nor the machine that it is computed on.
MODEL_RIM := $(O)/model/t/cca-rim
MODEL_RIM_SRCS := tests/model/t/cca/rim.c tests/model/arm/cca-rim.c tests/model/arm/cca-rmm.c tests/model/sha2.c tests/model/set.c
$(MODEL_RIM): $(MODEL_RIM_SRCS) $(wildcard tests/model/arm/*.h) tests/model/model.h $(O)/liblkvm.a
	@mkdir -p $(@D)
	$(call say,TEST,$@)$(CC) $(ALL_CPPFLAGS) -Itests/model $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $(MODEL_RIM_SRCS) $(O)/liblkvm.a \
		-lcmocka $(LIBS)

# Known measurements are those of tests/vectors.
MODEL_PROGRAMS += $(MODEL_RIM)
check-model: $(MODEL_RIM)

# Rules by plain calls: of an arm64 build alone.
ifeq ($(ARCH),arm64)
MODEL_ROWS := $(O)/model/t/arm64-rows
MODEL_ROWS_SRCS := $(sort $(wildcard tests/model/t/arm64/*.c))
$(MODEL_ROWS): $(MODEL_ROWS_SRCS) tests/model/t/arm64/rows.h $(O)/flags
	@mkdir -p $(@D)
	$(call say,TEST,$@)$(CC) $(ALL_CPPFLAGS) -std=gnu17 -D_GNU_SOURCE $(WARNINGS) $(if $(filter 1,$(WERROR)),-Werror) -O1 -g -o $@ \
		$(MODEL_ROWS_SRCS)
endif

MODEL_ARM64_TESTS := $(addprefix tests/model/,arm64-rules.t pkvm.t cca.t)
ifeq ($(HOST_ARCH),arm64)
check-model-arm64: all model $(MODEL_ROWS)
	$(Q)MODEL_ARM64=$(O) $(PROVE) $(JOBS) $(MODEL_ARM64_TESTS)
else
check-model-arm64: ## lkvm for arm64 against the model, under qemu-user
	$(Q)tests/lab/lab libs --arch arm64
	$(Q)$(MAKE) --no-print-directory $(CROSS_arm64) all model $(O)/arm64/model/t/arm64-rows
	$(Q)MODEL_ARM64=$(O)/arm64 $(PROVE) $(JOBS) $(MODEL_ARM64_TESTS)
endif

.PHONY: check-model-arm64
