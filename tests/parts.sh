#!/bin/bash
# SPDX-License-Identifier: MIT
# Runs the parts of `make check` one after the other, up to the first that fails, and shows what each took: in seconds, as a
# share of the whole, and what share is expected. A part that outgrows its share is told; no verdict depends on it.
set -u
cd "$(dirname "$0")/.." || exit 1
make=${MAKE:-make}

# The parts in their order: the target, its share of the whole in percent as measured, a title.
parts=(
	'quick 8 unit and native tests'
	'asan 16 the same under sanitizers'
	'threads 3 threads'
	'fuzz 1 fuzz corpora'
	'build 22 builds, install, lint'
	'lab 50 real kernels in the lab'
)

names=() took=()
table() {
	local i name share title percent all=0
	for i in "${took[@]}"; do all=$((all + i)); done
	[ "$all" -gt 0 ] || all=1
	echo "== what took how long"
	for i in "${!names[@]}"; do
		read -r name share title <<<"${names[i]}"
		percent=$((100 * took[i] / all))
		printf '%6d s %3d %% (%d %%)  %s\n' "${took[i]}" "$percent" "$share" "$title"
		# Only of all parts together are the shares what they are measured against.
		[ ${#names[@]} = ${#parts[@]} ] && [ $((2 * percent)) -gt $((3 * share)) ] && [ "$percent" -gt 5 ] &&
			echo "         check-$name outgrew its share: see where its time goes, or correct tests/parts.sh"
	done
	printf '%6d s in all\n' "$all"
}

status=0
for part in "${parts[@]}"; do
	read -r name _ title <<<"$part"
	echo "== $title"
	start=$SECONDS
	$make --no-print-directory WERROR=1 "check-$name" || status=$?
	names+=("$part") took+=($((SECONDS - start)))
	[ $status = 0 ] || break
done
table
exit $status
