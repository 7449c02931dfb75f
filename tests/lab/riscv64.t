#!/bin/sh
# SPDX-License-Identifier: MIT
# The riscv64 lab, with a PLIC: L1's processor is the slowest of them, so all the cases are for TEST_ALL (make check-all), or
# those named.
[ $# -gt 0 ] || [ -n "$TEST_ALL" ] || set -- at-once suspend selftest bad-riscv64
exec "$(dirname "$0")/lab" test --arch riscv64 "$@"
