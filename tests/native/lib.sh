# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# For the native tests: the real binary, tiny guests, TAP. Sourced.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/../.." || exit 1
lkvm=$(realpath "${LKVM:-build/lkvm}")
guests=$(realpath "${GUESTS:-build/guests}")
# shellcheck source=tests/native/tap.sh
. "$here/tap.sh"

[ "$(uname -m)" = x86_64 ] || skip_all 'the guests are for x86-64'
[ -x "$lkvm" ] && [ -d "$guests" ] || { echo 'Bail out! run make all guests first' && exit 1; }
{ : <>/dev/kvm; } 2>/dev/null || skip_all 'no access to /dev/kvm'

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
# No colours and no progress, whatever the terminal is.
export TERM=dumb
# Machines of others are not this test's.
export XDG_RUNTIME_DIR=$dir/runtime
mkdir -m 700 "$XDG_RUNTIME_DIR"

# run STATUS ARGUMENT...: lkvm run, quietly; keeps out and err, compares the status.
run() {
	local want=$1 status
	shift
	limited "$lkvm" run --loglevel warning "$@" >out 2>err </dev/null
	status=$?
	[ $status = "$want" ] && return 0
	echo "# 'run $*': status $status, not $want"
	sed 's/^/# out: /' out
	head -n 5 err | sed 's/^/# err: /'
	return 1
}

# guest STATUS NAME ARGUMENT...: the same with a flat guest, little memory, nothing added.
guest() {
	local want=$1 name=$2
	shift 2
	run "$want" -k "$guests/$name.flat" --kernel-format flat --nodefaults -m 32 -c 1 "$@"
}

# says FILE TEXT...: each text is in the file.
says() {
	local file=$1 text
	shift
	for text; do
		grep -qF -- "$text" "$file" && continue
		echo "# no '$text' in:"
		sed 's/^/#   /' "$file"
		return 1
	done
}

# Nothing is said but that this host has few CPUs.
quiet() {
	! grep -v 'vcpus that KVM recommends on this host' err >unexpected && return 0
	sed 's/^/# unexpected: /' unexpected
	return 1
}

# The checksum that guests make of a file whose length is a multiple of 4.
checksum() {
	python3 - "$1" <<-'EOF'
		import struct, sys
		h = 0x811c9dc5
		for w in struct.unpack('<%dI' % (len(data := open(sys.argv[1], 'rb').read()) // 4), data):
		    h = (h ^ w) * 0x01000193 & 0xffffffff
		print('%x' % h)
	EOF
}
