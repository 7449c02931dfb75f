#!/bin/bash
# SPDX-License-Identifier: MIT
# Proofs by CBMC of the queues' core (docs/fuzzing.md), and that they can fail: of a copy of the code without one of its
# checks the same proof must not hold. TAP.
set -u
cd "$(dirname "$0")/../.." || exit 1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
n=0

result() {
	n=$((n + 1))
	if [ "$2" = "$3" ]; then
		echo "ok $n - $1"
	else
		echo "not ok $n - $1"
		sed 's/^/# /' "$work/out"
	fi
}

for step in 0 1 2 3 4 5; do
	tests/prove/prove.sh . $step >"$work/out" 2>&1
	result "step $step" $? 0
done

# without STEP[/PACKED] FILE SED: the code changed so is found out.
without() {
	rm -rf "$work/src" && mkdir -p "$work/src/tests" && cp -r virtio include "$work/src/" &&
		cp -r tests/prove "$work/src/tests/"
	sed -i "$3" "$work/src/virtio/$2"
	cmp -s "virtio/$2" "$work/src/virtio/$2" && {
		echo "the change '$3' changes nothing" >"$work/out"
		result "without: $3" 1 0
		return
	}
	tests/prove/prove.sh "$work/src" "$1" >"$work/out" 2>&1
	result "not proved with: $3" $? 1
}

without 1 virtqueue.c 's/host = memory_ptr(vq->mem, d->addr, d->len);/host = memory_ptr(vq->mem, d->addr, d->len - 1);/'
without 1 virtqueue.c 's/if (!host \&\& !c->writable)/if (!host)/'
without 1 virtqueue.c 's/if (n == c->max)/if (n > c->max)/'
without 1 virtqueue.c 's/if (!why \&\& flying(vq, walk.head))/if (0)/'
without 1 virtqueue.c 's/walk->table = memory_ptr(vq->mem, d->addr, d->len);/walk->table = memory_ptr(vq->mem, d->addr, DESC_SIZE);/'
without 1/0 ring-split.c 's/walk->next >= walk->entries/walk->next > walk->entries/'
without 1/0 ring-split.c 's/if (!walk->room--)/if (0)/'
without 1/1 ring-packed.c 's/\.room = vq->size - distance(.*),/.room = vq->size,/'
without 2 virtqueue.c 's/ \&\& !landed(vq, req->head)//'
without 4/1 ring-packed.c 's/return to < vq->size ?/return to <= vq->size ?/'
echo "1..$n"
