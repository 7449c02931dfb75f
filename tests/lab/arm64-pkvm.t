#!/bin/sh
# SPDX-License-Identifier: MIT
# What needs a host with pKVM: protected guests. A guest kernel that can share memory (CONFIG_ARM_PKVM_GUEST=y) is taken
# from --file Image:/job/pkvm/vmlinuz.
cd "$(dirname "$0")/../.." || exit 1
exec tests/lab/lab test --arch arm64 --machine pkvm --cases tests/lab/cases/pkvm --out build/lab/arm64/pkvm "$@"
