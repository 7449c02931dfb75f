#!/bin/sh
# SPDX-License-Identifier: MIT
# What riscv64.t has, on a host whose KVM has an interrupt controller (AIA, with guest files).
cd "$(dirname "$0")/../.." || exit 1
[ $# -gt 0 ] || [ -n "$TEST_ALL" ] || set -- at-once suspend selftest aia bad-riscv64
exec tests/lab/lab test --arch riscv64 --machine aia --out build/lab/riscv64/aia "$@"
