#!/bin/sh
# SPDX-License-Identifier: MIT
# Devices that lkvm passes on by iommufd, and mediated ones. No kernel of Debian's has these: L1's is built first, which
# takes minutes, so only TEST_ALL (make check-all) runs this.
cd "$(dirname "$0")/../.." || exit 1
if [ -z "$TEST_ALL" ]; then
	echo "1..0 # SKIP builds a kernel: make check-all, or TEST_ALL=1"
	exit 0
fi
tests/lab/lab kernel --arch x86-64 iommufd >&2 || exit 1
exec tests/lab/lab test --arch x86-64 --machine vfio --l1-kernel iommufd --cases tests/lab/cases/iommufd \
	--out build/lab/x86-64/iommufd "$@"
