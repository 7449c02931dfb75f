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

# Programs that make the calls themselves, without lkvm; with the model's pure parts (digests, VMSA).
MODEL_PROGRAMS := $(patsubst tests/model/t/%.c,$(O)/model/%,$(sort $(wildcard tests/model/t/*.c tests/model/t/$(ARCHDIR)/*.c)))

.PHONY: model
