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
words() {	# for a root that there is not
	: >kernel && : >disk
	line 2 "--rw: is for a root .* with --initrd there is none" run -k kernel -i x --rw &&
		line 2 "--modules: is for a root .* with --disk, which is no directory, there is none" run -k kernel -d disk --modules . &&
		line 2 "--rw: is for a root .* with --firmware there is none" run -f kernel --rw &&
		line 2 "--rw: --disk \.,ro is not to be written" run -k kernel -d .,ro --rw &&
		line 2 "--modules: with the kernel parameter root= lkvm loads none" run -k kernel -d . -p root=x --modules .
}
not_linux() {
	local guest=(-k "$guests/hello.flat" --kernel-format flat -m 32 -c 1)
	line 1 '--rw: is for Linux' run "${guest[@]}" --rw && line 1 'which only Linux can have as its root' run "${guest[@]}" -d . &&
		line 1 "command 'true': only Linux runs one" run "${guest[@]}" -- true &&
		! limited "$lkvm" smoke "${guest[@]}" -- true 2>err && grep -q "command 'true': only Linux runs one" err
}
# As Ubuntu has them in /boot: for root alone.
unreadable() {
	local real=$lkvm lkvm=$PWD/nobody
	cp "$real" lkvm && chmod 755 . lkvm && : >bzImage && chmod 600 bzImage || return 1
	printf '#!/bin/sh\nexec setpriv --reuid=65534 --regid=65534 --clear-groups %s/lkvm "$@"\n' "$PWD" >nobody && chmod 755 nobody
	line 1 'no kernel: \./bzImage was found, but cannot be read: .*; or name another with -k FILE' run
}

commands() {	# what follows '--' is no option, of either
	line 2 "the command 'true': cannot be combined with --firmware" run -f x -- true --rw -p root=/dev/vda &&
		line 2 "the command '--rw': cannot be combined with --initrd" sandbox -k x -i x -- --rw &&
		line 1 "the command 'ls -l': only Linux runs one" run -k "$guests/hello.flat" --kernel-format flat -- 'ls -l'
}

echo 1..10
point 'setup makes a root, whole' makes
point 'once' again
point 'names that are none' names
point 'where it cannot be made nothing is left' full
point 'a root by its name' by_name
point 'a sandbox refuses what could be written or reached' sandboxed
point '--rw and --modules where no directory is the root' words
point 'a root, or a command, for what is not Linux' not_linux
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null && ! [ -e "/boot/vmlinuz-$(uname -r)" ]; then
	point 'a kernel that is for root alone' unreadable
else
	skip 'a kernel that is for root alone' 'needs root, setpriv, and no kernel in /boot'
fi
point "a command after '--', of run and of sandbox" commands
