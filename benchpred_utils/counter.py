"""A counter-based generator of random numbers: the same numbers on every array library and device.

The i-th number of a stream is a function of its seed and of i alone, so nothing is drawn on the host and carried over.
"""

import math
from numbers import Integral

import numpy as np

from .backend import device, namespace

__all__ = ["Stream", "philox"]

WORD = 2**32 - 1  # the lower 32 bits
ROUNDS = 10
PERIOD = 2**65  # numbers of a stream: two for each of 2**64 counters
AT_ONCE = 2**16  # counters: their words stay in a processor's cache


def philox(counter, key):
    """Philox4x32-10 of Salmon et al. (2011, doi:10.1145/2063384.2063405): (4, ...) random words of 32 bits, in uint64.

    `counter` (4, ...) is an array of words in uint32 or uint64, `key` two words, numbers or arrays (...).  Each of the
    ten rounds multiplies two words and mixes the products' halves with the others and with the key.
    """
    xp = namespace(counter)
    c0, c1, c2, c3 = (xp.astype(counter[i, ...], xp.uint64, copy=False) for i in range(4))
    k0, k1 = key
    for _ in range(ROUNDS):
        p0, p1 = c0 * 0xD2511F53, c2 * 0xCD9E8D57
        c0, c1, c2, c3 = (p1 >> 32) ^ c1 ^ k0, p1 & WORD, (p0 >> 32) ^ c3 ^ k1, p0 & WORD
        k0, k1 = (k0 + 0x9E3779B9) & WORD, (k1 + 0xBB67AE85) & WORD
    return xp.stack([c0, c1, c2, c3])


class Stream:
    """Uniform random numbers that are the same, to the bit, on every array library.

    They come as arrays of the library and on the device of `like`, or of NumPy.  `seed` is Philox's key: each of the
    2**64 seeds has a stream of its own, of 2**65 numbers before it begins anew; streams of different seeds can be used
    as independent ones (Salmon et al. 2011; they pass TestU01's BigCrush).  Raises ValueError on any other seed.
    `at_once` counters are worked on at a time, in some 150 bytes each: on a GPU more of them mean fewer launches.
    """

    def __init__(self, seed, like=None, at_once=AT_ONCE):
        if not isinstance(seed, Integral) or not 0 <= seed < 2**64:
            raise ValueError(f"seed is {seed!r}; use a whole number from 0 to 2**64 - 1")
        like = np.empty(0) if like is None else like
        self._like = namespace(like).empty(
            0, device=device(like)
        )  # not `like` itself, which may be large
        self.seed, self.position, self.at_once = int(seed), 0, at_once

    def random(self, shape):
        """The next numbers of the stream, uniform on the multiples of 2**-53 in [0, 1): float64 of this `shape`.

        They fill it row by row, and the next call goes on after them: two calls give what one for both gives.
        """
        shape = (shape,) if isinstance(shape, Integral) else tuple(shape)
        count, xp = math.prod(shape), namespace(self._like)
        first, end = self.position // 2, -(-(self.position + count) // 2)  # two numbers per counter
        values = xp.empty(2 * (end - first), dtype=xp.float64, device=device(self._like))
        for start in range(first, end, self.at_once):
            part = self._pairs(start, min(self.at_once, end - start))
            values[2 * (start - first) : 2 * (start - first) + part.shape[0]] = part
        values = xp.reshape(values[self.position % 2 :][:count], shape)
        self.position = (self.position + count) % PERIOD
        return values

    def _pairs(self, start, size):
        """The numbers (2 * size,) of the counters from `start` on: 53 of each 64 bits, as NumPy makes its doubles."""
        xp = namespace(self._like)
        low = xp.arange(size, dtype=xp.uint64, device=device(self._like)) + start % 2**64
        counter = xp.stack([low & WORD, low >> 32, xp.zeros_like(low), xp.zeros_like(low)])
        words = philox(counter, (self.seed & WORD, self.seed >> 32))
        bits = (words[0::2, :] >> 5 << 26) | (words[1::2, :] >> 6)  # (2, size)
        return xp.reshape((xp.astype(bits, xp.float64) * 2.0**-53).T, (-1,))
