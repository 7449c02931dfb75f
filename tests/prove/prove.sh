#!/bin/bash
# SPDX-License-Identifier: MIT
# prove.sh ROOT [STEP[/PACKED]...]: the proofs of virtqueue.c here about the sources below ROOT, of both layouts or of
# one. One line for each that fails; status 0: all hold, 1: one does not, 2: cbmc did not say.
set -u
here=$(cd "$(dirname "$0")" && pwd)
cd "$1" || exit 2
shift
cbmc=(cbmc)
if ! command -v cbmc >/dev/null; then
	root=$("$here/../lab/lab" provers | tail -n 1)
	if ! [ -x "$root/usr/bin/cbmc" ]; then
		echo 'prove: there is no cbmc, and the lab cannot be given one' >&2
		exit 2
	fi
	libs=$root/usr/lib/x86_64-linux-gnu
	cbmc=("$libs/ld-linux-x86-64.so.2" --library-path "$libs:$root/usr/lib" "$root/usr/bin/cbmc")
fi
# The first property that fails is enough: to decide all others beside it takes up to a hundred times as long.
flags=(-I include -I virtio -I include/uapi -D_GNU_SOURCE --bounds-check --pointer-check --pointer-overflow-check
	--signed-overflow-check --div-by-zero-check --undefined-shift-check --unwinding-assertions --object-bits 8
	--slice-formula --drop-unused-functions --stop-on-fail)
names=(enable pop unpop push_later push notify)
status=0

# Guest memory of a size that chains can be too long for, where that matters; else small.
prove() {
	local step=$1 packed=$2 order=$3 size=4 segs=3 unwind=6 region=96 out
	[ "$step" = 1 ] && size=2 segs=3 unwind=7 region=0x180000000ull
	out=$("${cbmc[@]}" "${flags[@]}" -DSTEP="$step" -DPACKED="$packed" -DIN_ORDER="$order" -DVIRTQ_MAX_SIZE=$size \
		-DVIRTQ_MAX_SEGS=$segs -DREGION=$region --unwind $unwind tests/prove/virtqueue.c 2>&1)
	case $? in
	0) return ;;
	10) [ $status = 2 ] || status=1 ;;
	*) status=2 ;;
	esac
	echo "not proved: ${names[step]}, packed $packed, in order $order"
	grep -aA 3 'Violated property' <<<"$out" || grep -a error <<<"$out" | head -n 5
	[ $status = 1 ] || tail -n 3 <<<"$out"
}

[ $# = 0 ] && set -- 0 1 2 3 4 5
for step; do
	packed=${step#*/}
	[ "$packed" = "$step" ] && packed='0 1'
	for packed in $packed; do
		for order in 0 1; do
			prove "${step%/*}" "$packed" $order
		done
	done
done
exit $status
