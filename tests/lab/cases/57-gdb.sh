# SPDX-License-Identifier: MIT
# gdb at a guest's kernel: breakpoints in memory and by the processor, a watchpoint, a step, memory and registers.
# shellcheck shell=dash

# QEMU's emulated SVM does not intercept INT3: the guest would get it.
first='break'
[ "$LAB_ARCH" != x86-64 ] || first=hbreak

# What gdb does, when the guest has said where.
debug_guest() {
	await_places
	place=$(fact uptime_proc_show)
	variable=$(fact panic_timeout)
	# A step that lands where an exception begins, if gdb can tell.
	vector=0
	# shellcheck disable=SC2016 # gdb's words
	[ "$LAB_ARCH" != arm64 ] || vector='(unsigned long)$pc - (unsigned long)$vbar_el1 < 0x800'
	cat >/run/gdb-script <<-EOF
		set pagination off
		set confirm off
		set remotetimeout 600
		set breakpoint always-inserted on
		target remote $gdb_socket
		info threads
		$first *$place
		continue
		print/x \$pc
		x/2i \$pc
		info registers
		stepi
		printf "stepped to %#lx\\n", \$pc
		set \$steps = 0
		while \$steps < 20
		stepi
		printf "step %d at %#lx, vector: %d\\n", \$steps, \$pc, $vector
		set \$steps = \$steps + 1
		end
		delete
		hbreak *$place
		continue
		printf "hardware breakpoint at %#lx\\n", \$pc
		delete
		watch *(int *)$variable
		continue
		continue
		delete
		set {int}$variable = 4242
		printf "variable %d\\n", *(int *)$variable
		monitor translate $place
		thread apply all print/x \$pc
		detach
	EOF
	gdb -nx -batch -x /run/gdb-script >/out/logs/"$vm_name"-gdb.log 2>&1 </dev/null
	# The guest would wait for it.
	gdb_says "^variable 4242$" || killall lkvm
}

stepped_on() {
	[ "$(gdb_lines '^step [0-9]+ at ')" = 20 ] && ! gdb_says 'vector: 1'
}

# debugged KERNEL CPUS
debugged() {
	title="Linux $1, $2 vcpus"
	cpus=$2 prepare=begin_debugger vm "gdb-$1" "$1" "nokaslr lab.test=gdb" --gdb unix:$gdb_socket
	end_debugger
	booted "$title: a guest with a debugger"
	place=$(fact uptime_proc_show)
	check "$title: vcpus are threads" gdb_says "Thread $2 \\(vcpu $(($2 - 1))"
	check "$title: a breakpoint ($first) stops it" gdb_says "^.1 = $place$"
	check "$title: the code there is the guest's" gdb_says "^=> $place:"
	check "$title: a step goes to the next instruction" gdb_says "^stepped to 0x[0-9a-f]*$"
	check "$title: and not elsewhere" gdb_says "^stepped to $(printf %.14s "$place")"
	check "$title: nor do the next twenty, to no handler of an interrupt" stepped_on
	check "$title: a hardware breakpoint stops it" gdb_says "^hardware breakpoint at $place$"
	check "$title: a watchpoint tells of the old and the new value, twice" [ "$(gdb_lines '^New value = ')" = 2 ]
	check "$title: memory is written" gdb_says "^variable 4242$"
	check_fact "$title: and the guest finds it" panic 4242
	check_fact "$title: it runs on when the debugger has left" after yes
	check_fact "$title: and is well" health fine
	check "$title: lkvm took its socket away" [ ! -e $gdb_socket ]
}

if ! command -v gdb >/dev/null; then
	skip 'gdb at a guest' 'the lab has no gdb'
	exit 0
fi
debugged "$LAB_KERNEL" "$([ "$LAB_ARCH" = x86-64 ] && echo 2 || echo 1)"
