# SPDX-License-Identifier: MIT
# A debugger at a riscv64 guest's kernel, whose KVM knows no steps and Debian's gdb there is too large: tests/lab/programs/gdb-steps.
# shellcheck shell=dash
only_on riscv64

client=/lab/programs/gdb-steps
steps=100

# What the debugger does, when the guest has said where.
debug_guest() {
	await_places
	place=$(fact uptime_proc_show)
	$client $gdb_socket "$place" $steps "$(fact panic_timeout)" >/out/logs/"$vm_name"-gdb.log 2>&1
	# The guest would wait for it.
	gdb_says "^detached$" || killall lkvm
}

if ! [ -e $client ]; then
	skip 'steps in a guest' 'there was no compiler for the debugger'
	exit 0
fi
# The other vcpu runs on while one steps.
cpus=2 prepare=begin_debugger vm gdb-steps "$LAB_KERNEL" "nokaslr lab.test=gdb" --gdb unix:$gdb_socket
end_debugger
booted "a guest with a debugger"
place=$(fact uptime_proc_show)
check "a breakpoint stops it, twice" [ "$(gdb_lines "^stopped at $place$")" = 2 ]
check "the code there is the guest's" [ "$(gdb_lines '^code there 0x9002$')" = 0 ]
check "$steps steps end" [ "$(gdb_lines '^step [0-9]+ at 0x[0-9a-f]*$')" = $steps ]
check "the first one at the next instruction" gdb_says "^step 0 at ($(printf '0x%x|0x%x' $((place + 2)) $((place + 4))))$"
check "there are no hardware breakpoints" gdb_says '^a hardware breakpoint: not supported$'
check_fact "memory is written, and the guest finds it" panic 4242
check_fact "it runs on when the debugger has left" after yes
check_fact "and is well" health fine
