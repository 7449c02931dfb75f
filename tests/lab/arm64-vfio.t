#!/bin/sh
# SPDX-License-Identifier: MIT
# Devices that lkvm passes on to guests, in an L1 with an emulated SMMU.
cd "$(dirname "$0")/../.." || exit 1
exec tests/lab/lab test --arch arm64 --machine vfio --cases tests/lab/cases/vfio --out build/lab/arm64/vfio "$@"
