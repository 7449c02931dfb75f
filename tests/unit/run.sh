#!/bin/bash
# SPDX-License-Identifier: MIT
# Runs a unit test for prove: cmocka before 1.1.8 says "not ok" of what it skips, which prove takes for a failure.
set -o pipefail
"$@" | sed 's/^not ok \([0-9]* # SKIP\)/ok \1/'
