# SPDX-License-Identifier: MIT
# The model of KVM (docs/model.md): a library that is preloaded into lkvm, and its tests.

MODEL_SO := $(O)/model/model.so
MODEL_SRCS := $(sort $(wildcard tests/model/*.c tests/model/$(ARCHDIR)/*.c))
MODEL_OBJS := $(MODEL_SRCS:tests/model/%.c=$(O)/model/obj/%.o)
# It replaces functions of the C library: no fortified ones of those, no sanitizer.
MODEL_CFLAGS := -std=gnu17 -D_GNU_SOURCE -U_FORTIFY_SOURCE $(WARNINGS) $(if $(filter 1,$(WERROR)),-Werror) -O2 -g -fPIC -pthread \
	-fvisibility=hidden
export MODEL := $(MODEL_SO)

model: $(MODEL_SO) ## build the model of KVM for guests that no machine here can run (docs/model.md)
$(MODEL_SO): $(MODEL_OBJS)
	$(call say,LD,$@)$(CC) -shared -pthread -o $@ $^ -ldl
$(O)/model/obj/%.o: tests/model/%.c $(O)/flags
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(ALL_CPPFLAGS) $(MODEL_CFLAGS) -MMD -MP -c -o $@ $<
-include $(MODEL_OBJS:.o=.d)

# The model's pure parts (digests, sets), with whatever sanitizer lkvm has.
MODEL_PROGRAMS := $(patsubst tests/model/t/%.c,$(O)/model/t/%,$(sort $(wildcard tests/model/t/*.c)))
MODEL_PURE := tests/model/sha2.c tests/model/set.c tests/model/p384.c
$(O)/model/t/%: tests/model/t/%.c $(MODEL_PURE) tests/model/model.h $(O)/flags
	@mkdir -p $(@D)
	$(call say,TEST,$@)$(CC) $(ALL_CPPFLAGS) -Itests/model $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $< $(MODEL_PURE) -lcmocka

# The rules of a kind are tested by calls made by hand, lkvm by launches over them.
MODEL_TESTS = $(sort $(wildcard tests/model/*.t)) $(MODEL_PROGRAMS)
check-model: all guests model $(MODEL_PROGRAMS) ## the model's own tests, and lkvm over it
	$(Q)CMOCKA_MESSAGE_OUTPUT=TAP $(PROVE) $(JOBS) -e tests/unit/run.sh $(MODEL_TESTS)

.PHONY: model check-model
include tests/model/arm.mk
