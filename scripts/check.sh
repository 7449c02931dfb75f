#!/bin/sh
# SPDX-License-Identifier: MIT
# Installs what the tests need and runs all of them.
set -eu
cd "$(dirname "$0")/.."
scripts/install-deps.sh build test cross lint lab package
exec make -j"$(nproc)" check
