#!/bin/bash
# SPDX-License-Identifier: MIT
# lkvm run --snp over the model of SEV-SNP: launches, refusals, exits of the guest. TAP.
# shellcheck disable=SC2154 # of lib.sh
# shellcheck source=tests/model/lib.sh
. "$(dirname "$0")/lib.sh"
[ "$(uname -m)" = x86_64 ] || skip_all 'SNP is of x86-64'
"$lkvm" help --words run | grep -q -e '--snp' || skip_all 'this lkvm has no --snp'
# What every launch has besides.
small=(-k "$guests/hello.flat" --kernel-format flat --nodefaults -m 64 -c 1 --snp)

point 'a launch' launch 0 snp '' "${small[@]}"
point 'its digest' same_digest snp "${small[@]}"
point 'no ASID is left' refuses snp,asids=0 '' '--snp' "${small[@]}"
point 'a host without it' refuses snp,sev=off,dev=off '' '--snp' "${small[@]}"
finish
