# SPDX-License-Identifier: MIT
# The model's arm64 half: what of it is tested on every machine, and what runs under qemu-user.

# The measurement of realms knows neither KVM nor the machine that it is computed on.
MODEL_RIM := $(O)/model/t/cca-rim
MODEL_RIM_SRCS := tests/model/t/cca/rim.c tests/model/arm/cca-rim.c tests/model/arm/cca-rmm.c tests/model/sha2.c tests/model/set.c
$(MODEL_RIM): $(MODEL_RIM_SRCS) $(wildcard tests/model/arm/*.h) tests/model/model.h $(O)/liblkvm.a
	@mkdir -p $(@D)
	$(call say,TEST,$@)$(CC) $(ALL_CPPFLAGS) -Itests/model $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $(MODEL_RIM_SRCS) $(O)/liblkvm.a \
		-lcmocka $(LIBS)

check-model-rim: $(MODEL_RIM) ## measurements of realms against known ones (tests/vectors)
	$(Q)CMOCKA_MESSAGE_OUTPUT=TAP $(PROVE) -e 'tests/unit/run.sh $(RUN)' $(MODEL_RIM)

.PHONY: check-model-rim
