# SPDX-License-Identifier: MIT
# A core file of a Linux that runs, wherever KASLR put it: gdb finds its addresses and its vcpus in there.
# shellcheck shell=dash

core=/run/core

dump_machine() {
	wait_for says 'LAB-L2 core ready'
	lkvm debug --core $core vm
	echo $? >/run/core-status
	lkvm list >/run/core-list
	printf '\r'
	wait_for says 'LAB-L2 after'
}

read_core() {
	cat >/run/core-script <<-EOF
		set pagination off
		info threads
		printf "banner: %s\\n", (char *)$(fact linux_banner)
		x/2i $(fact uptime_proc_show)
		x/i \$pc
	EOF
	gdb -nx -batch -core $core -x /run/core-script >/out/logs/"$vm_name"-gdb.log 2>&1 </dev/null
	send_log "$vm_name-gdb"
}

core_says() {
	grep -qE -- "$1" /out/logs/"$vm_name"-gdb.log
}

banner_is_there() {
	sed -n 's/^banner: //p' /out/logs/"$vm_name"-gdb.log | grep -qxF -- "$(fact banner)"
}

if ! command -v gdb >/dev/null; then
	skip 'a core file' 'the lab has no gdb'
	exit 0
fi
cpus=2 keys=dump_machine vm core "$LAB_KERNEL" lab.test=core --name vm
booted "a machine that is dumped"
check "lkvm debug --core wrote it" [ "$(cat /run/core-status)" = 0 ]
check "the machine runs on" grep -q ' vm .*running' /run/core-list
check "what was not used takes no room" [ "$(du -k $core | cut -f1)" -lt "$(($(stat -c %s $core) / 1024))" ]
read_core
check "gdb finds the kernel's banner by its address" banner_is_there
check "and its code" core_says "$(fact uptime_proc_show):"
check "vcpus are threads" core_says 'LWP 2'
check "code at a vcpu's program counter is mapped" core_says '^=> 0xffff'
rm -f $core /run/core-status /run/core-list /run/core-script
