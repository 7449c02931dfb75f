#!/bin/bash
# SPDX-License-Identifier: MIT
# A directory as the guest's root, as far as it goes without Linux: setup, sandbox, what they refuse.
# shellcheck disable=SC2154
. "$(dirname "$0")/lib.sh"

export HOME=$PWD/home
mkdir home
# lkvm_line STATUS REGEX ARGUMENT...: one line on standard error that matches.
line() {
	local want=$1 regex=$2 status
	shift 2
	limited "$lkvm" "$@" >out 2>err </dev/null
	status=$?
	[ $status = "$want" ] && [ "$(wc -l <err)" = 1 ] && grep -qE -- "$regex" err && return 0
	echo "# '$*': status $status, not $want, or not one line like '$regex':"
	head -n 5 err | sed 's/^/# err: /'
	return 1
}

makes() {
	limited "$lkvm" setup box >out 2>err || return 1
	grep -qx "$HOME/.lkvm/box is made; 'lkvm run -d box' starts it" out && [ ! -s err ] &&
		[ "$(stat -c %a home/.lkvm/box/tmp)" = 1777 ] && [ "$(readlink home/.lkvm/box/usr)" = host/usr ] &&
		[ "$(ls home/.lkvm)" = box ]
}
again() { line 1 "box exists already; 'lkvm run -d box' starts it" setup box && [ "$(ls home/.lkvm)" = box ]; }
names() {
	line 2 'is not a name' setup a/b && line 2 'is not a name' setup .a && line 2 'needs one name' setup &&
		HOME='' line 1 'set HOME' setup x
}
full() {	# nothing half-made is left where it cannot be made
	: >file && HOME=$PWD/file line 1 'cannot make .*Not a directory' setup x && [ ! -s file ]
}
by_name() {
	line 2 'home/.lkvm/box: cannot be combined with --initrd' run -d box -i x -k x &&
		line 2 'home/.lkvm/box: cannot be combined with --firmware' run -d box -f x &&
		line 2 'home/.lkvm/box: cannot be combined with --dump-boot' run -d box -k x --dump-boot d -c 1 -m 64
}
sandboxed() {
	local words
	for words in --rw '-d file' '--9p /tmp,x' '--virtiofs /tmp,x' '-n mode=user' '--vsock 3' '--port a,pty' '--pmem file'; do
		# shellcheck disable=SC2086
		line 2 "^lkvm: error: ${words%% *}|writes nothing on the host" sandbox -k x $words || return 1
	done
	line 2 'sandbox: cannot be combined with the kernel parameter root=' sandbox -k x -p root=/dev/vda
}
commands() {	# what follows '--' is no option, of either
	line 2 "the command 'true': cannot be combined with --firmware" run -f x -- true --rw -p root=/dev/vda &&
		line 2 "the command '--rw': cannot be combined with --initrd" sandbox -k x -i x -- --rw &&
		line 1 "the command 'ls -l': only Linux runs one" run -k "$guests/hello.flat" --kernel-format flat -- 'ls -l'
}

echo 1..7
point 'setup makes a root, whole' makes
point 'once' again
point 'names that are none' names
point 'where it cannot be made nothing is left' full
point 'a root by its name' by_name
point 'a sandbox refuses what could be written or reached' sandboxed
point "a command after '--', of run and of sandbox" commands
