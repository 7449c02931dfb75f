#!/bin/sh
# SPDX-License-Identifier: MIT
# What needs UEFI firmware, which docs/firmware.md tells how to build:
#   prove tests/lab/x86-64-uefi.t :: --file CLOUDHV.fd:/job/uefi/CLOUDHV.fd
cd "$(dirname "$0")/../.." || exit 1
case " $* " in
*":/job/uefi/CLOUDHV.fd "*) ;;
*)
	echo "1..0 # SKIP no UEFI firmware was given: --file CLOUDHV.fd:/job/uefi/CLOUDHV.fd"
	exit 0
	;;
esac
kernel=6.12-cloud
disk=build/lab/x86-64/uefi.img
tests/lab/lab make --arch x86-64 >&2 &&
	tests/lab/lab uefi-disk --arch x86-64 --words lab.test=uefi "$kernel" "$disk" || exit 1
exec tests/lab/lab test --arch x86-64 --machine uefi --cases tests/lab/cases/uefi --out build/lab/x86-64/uefi \
	--file "$disk:/job/uefi/disk.img" "$@"
