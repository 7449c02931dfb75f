#!/bin/bash
# SPDX-License-Identifier: MIT
# What the machine offers to systems that read few tables, and what it becomes by Linux's words.
# shellcheck disable=SC2154
. "$(dirname "$0")/lib.sh"

power_off() { guest 0 board -p pm1 && quiet && guest 0 board -p qemu && quiet; }

# fadt WANTED WORDS...: an ELF guest, which is taken for Linux: the words are Linux's.
fadt() {
	local wanted=$1
	shift
	limited "$lkvm" run -k "$guests/board.elf" -m 32 -c 1 --nodefaults --loglevel warning "$@" >out 2>err </dev/null
	says out "$wanted"
}
with_pic() {
	fadt 'reduced 1, SCI 0' -p fadt && quiet && fadt 'reduced 0, SCI 5' -p 'fadt noapic' && quiet
}
without_pic() {
	fadt 'reduced 1, SCI 0' -p 'fadt noapic' --irqchip split && [ "$(wc -l <err)" = 1 ] &&
		says err "'noapic' leaves the guest without interrupts"
}

# They mean nothing where the image says that it is another system.
not_linux() {
	local file
	for file in hello.pvh hello.multiboot; do
		run 0 -k "$guests/$file" --nodefaults -m 64 -c 1 --irqchip split -p noapic && says out "noapic'" && quiet ||
			return 1
	done
}

debug_port() {
	guest 0 board -p 'dbg pm1' --loglevel debug && says err 'debug: firmware: text of firmware' &&
		guest 0 board -p 'dbg pm1' --loglevel info && ! grep -q 'text of firmware' err
}

echo 1..5
point 'power-off by PM1a control' power_off
point 'noapic: the machine has an SCI and is not hardware-reduced, and nothing is said' with_pic
point 'noapic without 8259s: one line names the word' without_pic
point 'noapic for what is not Linux: nothing is said' not_linux
point 'the debug port shows at debug level' debug_port
