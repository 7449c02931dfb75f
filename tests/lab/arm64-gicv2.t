#!/bin/sh
# SPDX-License-Identifier: MIT
# What needs another arm64 host than arm64.t's: a GICv2, SVE, memory tagging.
cd "$(dirname "$0")/../.." || exit 1
exec tests/lab/lab test --arch arm64 --machine gicv2 --cases tests/lab/cases/gicv2 --out build/lab/arm64/gicv2 "$@"
