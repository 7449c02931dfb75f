#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""idblock.py DIGEST POLICY BLOCK AUTH: files for a launch that must have this digest and policy, signed by a key of tests."""
import struct
import sys

from p384 import id_auth

if len(sys.argv) != 5:
    sys.exit(__doc__)
data = struct.pack('<48s16s16sIIQ', bytes.fromhex(sys.argv[1]), b'family', b'image', 1, 0, int(sys.argv[2], 0))
for path, content in (sys.argv[3], data), (sys.argv[4], id_auth(data)):
    with open(path, 'wb') as f:
        f.write(content)
