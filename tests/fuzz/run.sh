#!/bin/bash
# SPDX-License-Identifier: MIT
# The fuzzing targets of fuzz.mk: run.sh fuzz|merge|coverage DIRECTORY LIBFUZZER-FLAGS TARGET...
set -u
cd "$(dirname "$0")/../.." || exit 2
what=$1 dir=$2
read -ra flags <<<"$3"
shift 3
export ASAN_OPTIONS=handle_abort=1:${ASAN_OPTIONS:-}
status=0

fuzz() {
	local name=$1 found=$dir/findings new=$dir/corpus/$1 log=$dir/$1.log
	mkdir -p "$found" "$new" "tests/fuzz/corpus/$name"
	"$dir/fuzz-$name" "${flags[@]}" -max_total_time="${FUZZ_SECONDS:-60}" -print_final_stats=1 \
		-artifact_prefix="$found/$name-" "$new" "tests/fuzz/corpus/$name" >"$log" 2>&1
	if [ $? = 0 ]; then
		printf '%-12s ok      %s\n' "$name" "$(grep -a '	DONE\|	cov:\|DONE  ' "$log" | tail -n 1)"
		return 0
	fi
	printf '%-12s FINDING, see %s; again by: %s\n' "$name" "$log" \
		"$dir/fuzz-$name $(grep -ao "$found/$name-[a-z0-9-]*" "$log" | tail -n 1)"
	return 1
}

# The smallest set of files that reaches all edges that any of them reach.
merge() {
	local name=$1 new
	new=$(mktemp -d) || return 1
	mkdir -p "$dir/corpus/$name" "tests/fuzz/corpus/$name"
	"$dir/fuzz-$name" "${flags[@]}" -set_cover_merge=1 -use_counters=0 "$new" "tests/fuzz/corpus/$name" \
		"$dir/corpus/$name" >"$dir/$name.merge.log" 2>&1 || {
		echo "$name: merge failed, see $dir/$name.merge.log"
		rm -rf "$new"
		return 1
	}
	# Regressions of findings, and cases at the edge of a rule, have names and stay.
	find "tests/fuzz/corpus/$name" -type f ! -name 'finding-*' ! -name 'case-*' -delete
	cp "$dir/corpus/$name"/case-* "tests/fuzz/corpus/$name/" 2>"$dir/$name.merge.log"
	cp "$new"/* "tests/fuzz/corpus/$name/"
	rm -rf "$new"
	printf '%-12s %s files, %s bytes\n' "$name" "$(find "tests/fuzz/corpus/$name" -type f | wc -l)" \
		"$(cat "tests/fuzz/corpus/$name"/* | wc -c)"
}

coverage() {
	local name=$1
	LLVM_PROFILE_FILE=$dir/$name.profraw "$dir/replay/fuzz-$name" "tests/fuzz/corpus/$name" \
		>"$dir/$name.log" 2>&1
}

for name; do
	"$what" "$name" || status=1
done
if [ "$what" = coverage ]; then
	programs=()
	for name; do
		programs+=(-object "$dir/replay/fuzz-$name")
	done
	llvm-profdata merge -sparse "$dir"/*.profraw -o "$dir/all.profdata" &&
		llvm-cov report "${programs[@]}" -instr-profile="$dir/all.profdata" \
			-ignore-filename-regex='tests/|include/' \
			-show-region-summary=false -show-branch-summary=false
fi
exit $status
