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

# shellcheck disable=SC2016
in_guest killed "$kernel" -- sh -c 'kill -SEGV $$' </dev/null
check "killed by SIGSEGV: 139" [ "$status" = 139 ]
# Whoever subscribed hears of the end, with the status that the caller gets.
rm -f /run/events
mkfifo /run/go
until lkvm ctl off subscribe >/run/events 2>/dev/null || ! [ -e /run/go ]; do
	sleep 0.1
done &
subscriber=$!
(until grep -q '"result"' /run/events || ! [ -e /run/go ]; do
	sleep 0.1
done 2>/dev/null
[ ! -e /run/go ] || echo go >/run/go) &
# shellcheck disable=SC2016
in_guest off "$kernel" --name off -- sh -c 'read -r line; poweroff -f' <>/run/go
rm /run/go
wait $subscriber
check "turned off by its command: 1" [ "$status" = 1 ]
check "which is said" says 'was turned off before its command had ended'
check "and is an event, with that status" grep -q '"event":"ended",.*"status":1}' /run/events

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
# shellcheck disable=SC2034 # it is the case library's
keys=
vm_name=command-terminal send_log command-terminal
check "a terminal: it has the size of lkvm's" says '^31 97'
check "what is typed reaches the command" says '^it-was typed'
check "its status" [ "$status" = 7 ]
