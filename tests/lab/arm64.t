#!/bin/sh
# SPDX-License-Identifier: MIT
# The arm64 lab tests, for prove: one boot of L1 runs all the cases of tests/lab/cases (or those named).
exec "$(dirname "$0")/lab" test --arch arm64 "$@"
