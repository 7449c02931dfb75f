# SPDX-License-Identifier: MIT
# Figures beside a peer; nothing is asserted.

$(O)/bench/firstrun.so: bench/firstrun.c
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) -O2 -Wall -Wextra -fPIC -shared -o $@ $< -ldl

bench: all static musl guests $(O)/bench/firstrun.so ## lkvm beside QEMU's microvm: start-up, memory, size
	$(Q)python3 bench/bench.py --lkvm $(O)/lkvm --static glibc=$(O)/static/lkvm --static musl=$(O)/musl/lkvm \
		--guest $(O)/guests/hello.pvh --shim $(O)/bench/firstrun.so

bench-lab: static ## time to a Debian kernel's userspace, beside QEMU's microvm, in the lab
	$(Q)tests/lab/lab make
	$(Q)tests/lab/lab run --timeout 600 --lkvm $(O)/static/lkvm --file bench/l1.sh:/job/l1.sh \
		--file build/lab/x86-64/root/usr:/job/root/usr -- sh /job/l1.sh

.PHONY: bench bench-lab
