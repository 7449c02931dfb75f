# SPDX-License-Identifier: MIT
"""ECDSA over P-384 with SHA-384, to sign id blocks for tests; nothing in it is secret."""
import hashlib

P = 2**384 - 2**128 - 2**96 + 2**32 - 1
N = 0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973
G = (0xaa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e3872760ab7,
     0x3617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c00a60b1ce1d7e819d7a431d7c90ea0e5f)


def add(a, b):
    """Points of the curve; None is the one at infinity."""
    if a is None or b is None:
        return a or b
    if a[0] == b[0]:
        if (a[1] + b[1]) % P == 0:
            return None
        slope = 3 * (a[0] * a[0] - 1) * pow(2 * a[1], -1, P)
    else:
        slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, P)
    x = (slope * slope - a[0] - b[0]) % P
    return x, (slope * (a[0] - x) - a[1]) % P


def times(n, point=G):
    total = None
    while n:
        if n & 1:
            total = add(total, point)
        point = add(point, point)
        n >>= 1
    return total


def field(n):
    return n.to_bytes(72, 'little')


def key(secret):
    """1028 bytes, as an id auth has a key."""
    x, y = times(secret)
    return ((2).to_bytes(4, 'little') + field(x) + field(y)).ljust(1028, b'\0')


def sign(secret, data):
    """512 bytes, as an id auth has a signature."""
    k = int.from_bytes(hashlib.sha512(data + secret.to_bytes(48, 'big')).digest(), 'big') % N
    r = times(k)[0] % N
    s = pow(k, -1, N) * (int.from_bytes(hashlib.sha384(data).digest(), 'big') + r * secret) % N
    return (field(r) + field(s)).ljust(512, b'\0')


def id_auth(block, secret=12345, author=None):
    """The 4096 bytes that go with an id block; @author: the secret of who signs the key."""
    auth = bytearray(4096)
    auth[0:4] = (1).to_bytes(4, 'little')
    auth[0x40:0x240] = sign(secret, block)
    auth[0x240:0x644] = key(secret)
    if author:
        auth[4:8] = (1).to_bytes(4, 'little')
        auth[0x680:0x880] = sign(author, bytes(auth[0x240:0x644]))
        auth[0x880:0xc84] = key(author)
    return bytes(auth)
