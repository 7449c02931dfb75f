# SPDX-License-Identifier: MIT
# lkvm selftest under a real KVM: every check, and a figure for every kind of exit.
# shellcheck shell=dash

for irqchip in $LAB_SELFTEST_IRQCHIPS; do
	lkvm_says "selftest-$irqchip" selftest --irqchip "$irqchip" --timeout "$LAB_LIMIT"
	check "--irqchip $irqchip: every check passes" [ "$status" = 0 ]
	check "--irqchip $irqchip: all of them ran" says "^1\.\.$LAB_SELFTEST_CHECKS\$"
	check "--irqchip $irqchip: nothing is skipped but what this processor lacks" \
		[ "$(grep '# SKIP' "$log" | grep -vc "$LAB_SELFTEST_LACKS")" = 0 ]
done

# What is switched off is skipped, and the tree does not name it.
if [ -n "${LAB_SELFTEST_WITHOUT:-}" ]; then
	# shellcheck disable=SC2086
	lkvm_says selftest-without selftest $LAB_SELFTEST_WITHOUT --virtio-transport mmio --timeout "$LAB_LIMIT"
	check "$LAB_SELFTEST_WITHOUT: every check passes" [ "$status" = 0 ]
	check "$LAB_SELFTEST_WITHOUT: what is switched off is skipped" says "^ok .*($LAB_SELFTEST_SKIPS) # SKIP"
fi

lkvm_says selftest-exits selftest --exits --timeout "$LAB_LIMIT"
check "--exits succeeds" [ "$status" = 0 ]
for kind in $LAB_EXIT_KINDS; do
	check_says "--exits: $kind has a figure" "^$kind +[0-9]+( +[0-9]+){6}\$"
done
