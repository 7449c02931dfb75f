#!/bin/sh
# SPDX-License-Identifier: MIT
# Devices that lkvm passes on to guests, in an L1 with an emulated IOMMU.
cd "$(dirname "$0")/../.." || exit 1
exec tests/lab/lab test --arch x86-64 --machine vfio --cases tests/lab/cases/vfio --out build/lab/x86-64/vfio "$@"
