# SPDX-License-Identifier: MIT
# A command in the guest: its streams, its exit status and its terminal are lkvm's own. The kernels have what is needed as
# modules. Each command is a boot: all that init itself does is tests/native/init.t's, without one.
# shellcheck shell=dash

# The modules as the kernel's package has them, from the guests' initramfs.
modules_of() {
	modules=/run/modules/$1
	[ -d "$modules" ] && return
	mkdir -p "$modules"
	(cd "$modules" && cpio -id 'lib/*' </lab/kernels/"$1"/initrd 2>/dev/null)
	# Nothing of what is wanted is built into those that have no 9P: what is missing is missing.
	case $1 in
	*-cloud) : >"$(echo "$modules"/lib/modules/*)/modules.builtin" ;;
	esac
}

# prepare_guest NAME KERNEL: sets $log and $modules. False: the mirror did not give that kernel.
prepare_guest() {
	vm_name=command-$1
	vm_kernel=/lab/kernels/$2
	log=/out/logs/$vm_name.log
	# shellcheck disable=SC2034 # they are the case library's
	shown_log=
	# shellcheck disable=SC2034
	vm_missing=
	if ! [ -e "$vm_kernel" ] && [ -e "/lab/missing/$2" ]; then
		# shellcheck disable=SC2034
		read -r vm_missing <"/lab/missing/$2"
		return 1
	fi
	modules_of "$2"
}

lkvm_run() {	# lkvm_run WORD...: with that kernel
	timeout -s KILL "$LAB_LIMIT" lkvm run -k "$vm_kernel/vmlinuz" --modules "$modules" -m 512 -c 1 -p "$LAB_PARAMS" "$@"
}

# in_guest NAME KERNEL WORD...: runs lkvm from our standard input to /run/out and the log. Sets $log and $status.
in_guest() {
	prepare_guest "$1" "$2" || return
	shift 2
	lkvm_run "$@" >/run/out 2>"$log"
	status=$?
	send_log "$vm_name"
}

only_line() {	# only_line TEXT: the log has that line, once, and no other
	[ "$(cat "$log")" = "$1" ]
}

# Binary data through standard input and output; the environment, the user and the directory.
streams() {	# streams KERNEL MIB STATUS
	make_pattern /run/given "$2"
	cd /lab/kernels || return
	export HOME=/lab LANG=C.UTF-8
	# shellcheck disable=SC2016 # it is for the guest's shell
	in_guest "streams-$1" "$1" -- sh -c 'echo "$(pwd) $# $(id -u) $HOME $LANG" >&2; read -r begun </proc/uptime; cat
		read -r ended </proc/uptime; echo "# ${begun%% *} to ${ended%% *}" >&2; exit $1' sh "$3" </run/given
	cd / || return
	sed -n "s|^# \\(.*\\)|# $2 MiB through Linux $1: second \\1 of the guest|p" "$log"
	check "Linux $1: a command's exit status is lkvm's: $3" [ "$status" = "$3" ]
	check "Linux $1: what comes in goes out, unharmed" [ "$(sum_of /run/out)" = "$(sum_of /run/given)" ]
	sed -i '/^# /d' "$log"
	check "Linux $1: standard error is apart; directory, user and environment" only_line '/lab/kernels 1 0 /lab C.UTF-8'
	rm -f /run/given /run/out
}

generic=
for kernel in $LAB_KERNELS; do
	case $kernel in
	*-generic) generic="$generic $kernel" ;;
	esac
done
mib=8 wanted_status=42
# shellcheck disable=SC2086
for kernel in $(corners $generic); do
	streams "$kernel" $mib $wanted_status
	mib=16 wanted_status=0
done

kernel=$LAB_FULL_KERNEL
in_guest missing "$kernel" -- no-such-command </dev/null
check "not found: 127" [ "$status" = 127 ]
check "which is said in one line" only_line 'lkvm: error: no-such-command: there is no such command in the guest'
in_guest not-executable "$kernel" -- /lab/settings </dev/null
check "not executable: 126" [ "$status" = 126 ]
check "which is said in one line" only_line 'lkvm: error: /lab/settings: Permission denied'

# A signal; and whoever stops the machine asks the command.
if prepare_guest stop "$kernel"; then
	: >"$log"
	# shellcheck disable=SC2016
	lkvm_run --name box -- sh -c 'trap "echo hung up" HUP; trap "echo asked; exit 9" TERM
		echo is-up $((6*7)); while :; do sleep 0.2; done' >"$log" 2>&1 </dev/null &
	guest=$!
	until says '^is-up 42' || ! kill -0 $guest 2>/dev/null; do
		sleep 0.2
	done
	kill -HUP "$(pidof lkvm)"
	until says '^hung up' || ! kill -0 $guest 2>/dev/null; do
		sleep 0.2
	done
	lkvm stop box >/run/out 2>&1
	wait $guest
	status=$?
	send_log "$vm_name"
fi
check "SIGHUP reaches the command" says '^hung up'
check "stop asks the command to end" says '^asked'
check "and its status is lkvm's" [ "$status" = 9 ]

# on_pty NAME KERNEL WORD...: in_guest, but on a terminal, and typing what $keys prints.
on_pty() {
	prepare_guest "$1" "$2" || return
	shift 2
	{
		echo "log=$log; vm_kernel=$vm_kernel modules=$modules; LAB_LIMIT=$LAB_LIMIT LAB_PARAMS='$LAB_PARAMS'"
		# shellcheck disable=SC2016
		echo 'stty rows 31 cols 97; modes=$(stty -g)'
		# What changes the size from outside.
		# shellcheck disable=SC2016
		echo '(until grep -q "^resize-42" "$log"; do sleep 0.2; done; stty rows 20 cols 60) <&0 &'
		# shellcheck disable=SC2016
		printf 'timeout -s KILL $LAB_LIMIT lkvm run -k $vm_kernel/vmlinuz --modules $modules -m 512 -c 1 -p "$LAB_PARAMS"'
		[ $# = 0 ] || printf " '%s'" "$@"
		# shellcheck disable=SC2016
		printf '\n%s\n' 'status=$?' '[ "$(stty -g)" = "$modes" ] && echo restored-42' 'kill $!' 'exit $status'
	} >/run/on-pty
	: >"$log"
	rm -f /run/terminal-status
	type_keys | on_terminal sh /run/on-pty >>"$log"
	read -r status </run/terminal-status
	send_log "$vm_name"
}

# What is typed before the shell asks for it is dropped by busybox.
asked() {	# asked TIMES
	[ "$(lines_of '^[^ ]* # ')" -ge "$1" ]
}
# shellcheck disable=SC2016
type_to_shell() {
	wait_for asked 1
	echo "stty size; sh -c 'echo begun-\$((6*7)); cat'"
	wait_for says '^begun-42'
	printf '\003'
	wait_for asked 2
	echo "echo status-\$?; sh -c 'echo begun-\$((6*8)); cat'"
	wait_for says '^begun-48'
	printf '\032'
	wait_for asked 3
	echo 'kill -9 %1; wait; echo resize-$((6*7)); until [ "$(stty size)" = "20 60" ]; do sleep 0.1; done; exit 7'
}
keys=type_to_shell
on_pty shell "$kernel"
check "a shell on a terminal, which has the size of lkvm's" says '^31 97'
check "Ctrl-C ends what runs in its foreground" says '^status-130'
check "Ctrl-Z stops it: it has job control" says 'Stopped.*cat'
check "its exit status is lkvm's, and it saw the new size" [ "$status" = 7 ]
check "the terminal is restored" says '^restored-42'

# What follows needs nothing of the host's but a shell, which kernels without 9P get in their initramfs.
kernel=$LAB_KERNEL
type_nothing() { :; }
keys=type_nothing
on_pty panic "$kernel" -- sh -c 'echo c >/proc/sysrq-trigger'
check "a kernel that panics: 100" [ "$status" = 100 ]
check "its last words" says 'Kernel panic - not syncing'
check "the terminal is restored after it" says '^restored-42'
# shellcheck disable=SC2034
keys=

# shellcheck disable=SC2016
in_guest killed "$kernel" -- sh -c 'kill -SEGV $$' </dev/null
check "killed by SIGSEGV: 139" [ "$status" = 139 ]
in_guest off "$kernel" -- sh -c 'echo o >/proc/sysrq-trigger; while :; do :; done' </dev/null
check "turned off by its command: 1" [ "$status" = 1 ]
check "which is said" says 'was turned off before its command had ended'
in_guest no-driver "$kernel" -p module_blacklist=virtio_console -- sh -c : </dev/null
check "a kernel whose driver cannot be had: 1" [ "$status" = 1 ]
check "which its init says" says 'has no virtio console, which carries input and output; its module virtio_console'
check "and lkvm" says 'was turned off before its command had begun'

# Its input has no end and is not read; nobody reads its output.
if prepare_guest pipeline "$kernel"; then
	yes | {
		lkvm_run -- sh -c 'while echo y; do :; done' 2>"$log"
		echo $? >/run/status
	} | head -n 1 >/run/out
	read -r status </run/status
	send_log "$vm_name"
fi
check "in a pipeline: what was read" [ "$(cat /run/out)" = y ]
check "in a pipeline: SIGPIPE for who writes what nobody reads: 141" [ "$status" = 141 ]
