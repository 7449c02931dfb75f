# SPDX-License-Identifier: MIT
# Finds nothing of the case before.
# shellcheck shell=dash

check "the next case finds no mount" [ "$(grep -c ' /run/' /proc/mounts)" = 0 ]
check "and nothing else" [ -z "$(find /run -maxdepth 1 -name '*left*')" ]
