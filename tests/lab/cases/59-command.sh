# SPDX-License-Identifier: MIT
# A command in the guest: its streams, its exit status and its terminal are lkvm's own. The kernels have what is needed as modules.
# shellcheck shell=dash

# The modules as the kernel's package has them, from the guests' initramfs.
modules_of() {
	modules=/run/modules/$1
	[ ! -d "$modules" ] || return
	mkdir -p "$modules"
	(cd "$modules" && cpio -id 'lib/*' </lab/kernels/"$1"/initrd 2>/dev/null)
}

# in_guest NAME KERNEL COMMAND...: runs it there, from our standard input to /run/out and the log. Sets $log and $status.
in_guest() {
	vm_name=command-$1-$2
	vm_kernel=/lab/kernels/$2
	log=/out/logs/$vm_name.log
	shown_log=
	vm_missing=
	if ! [ -e "$vm_kernel" ] && [ -e "/lab/missing/$2" ]; then
		read -r vm_missing <"/lab/missing/$2"
		cat >/dev/null
		return
	fi
	shift 2
	modules_of "${vm_kernel##*/}"
	timeout -s KILL "$LAB_LIMIT" lkvm run -k "$vm_kernel/vmlinuz" --modules "$modules" -m 512 -c 1 -p "$LAB_PARAMS" \
		-- "$@" >/run/out 2>"$log"
	status=$?
	send_log "$vm_name"
}

only_line() {	# only_line TEXT: the log has that line, once, and no other
	[ "$(cat "$log")" = "$1" ]
}

streams() {	# streams KERNEL: binary data through standard input and output, eight MiB of it
	make_pattern /run/given 8
	cd /lab/kernels || return
	# shellcheck disable=SC2016 # it is for the guest's shell
	in_guest streams "$1" sh -c 'echo "$(pwd) $#" >&2; cat; exit 42' </run/given
	cd / || return
	check "Linux $1: a command's exit status is lkvm's" [ "$status" = 42 ]
	check "Linux $1: what comes in goes out, unharmed" [ "$(sum_of /run/out)" = "$(sum_of /run/given)" ]
	check "Linux $1: standard error is apart, and the directory is lkvm's" only_line '/lab/kernels 0'
	rm -f /run/given /run/out
}

generic=
for kernel in $LAB_KERNELS; do
	case $kernel in
	*-generic) generic="$generic $kernel" ;;
	esac
done
# shellcheck disable=SC2086
for kernel in $(corners $generic); do
	streams "$kernel"
done

kernel=$LAB_FULL_KERNEL
# shellcheck disable=SC2016
in_guest killed "$kernel" sh -c 'kill -SEGV $$' </dev/null
check "killed by SIGSEGV" [ "$status" = 139 ]
in_guest missing "$kernel" no-such-command </dev/null
check "not found: 127" [ "$status" = 127 ]
check "which is said in one line" only_line 'lkvm: error: no-such-command: there is no such command in the guest'
in_guest off "$kernel" poweroff -f </dev/null
check "turned off by its command: 1" [ "$status" = 1 ]
check "which is said" says 'was turned off before its command had ended'

# A terminal, with a size.
cat >/run/on-terminal <<-END
	stty rows 31 cols 97
	exec lkvm run -k /lab/kernels/$kernel/vmlinuz --modules /run/modules/$kernel -m 512 -c 1 -p "$LAB_PARAMS" -- \\
		sh -c 'stty size; read line; echo "it-was \$line"; exit 7'
END
type_line() {
	wait_for says '^31 97'
	echo typed
}
log=/out/logs/command-terminal.log
: >"$log"
rm -f /run/terminal-status
keys=type_line
type_keys | on_terminal sh /run/on-terminal >>"$log"
status=$(cat /run/terminal-status)
keys=
vm_name=command-terminal send_log command-terminal
check "a terminal: it has the size of lkvm's" says '^31 97'
check "what is typed reaches the command" says '^it-was typed'
check "its status" [ "$status" = 7 ]
