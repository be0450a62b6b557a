"""The arithmetic of the digest: unsigned 64-bit numbers that wrap, in place where it can be."""

from __future__ import annotations

from functools import cache
from hashlib import sha256

import numpy as np
import numpy.typing as npt

from raybackfill.model import DIGEST_ALGORITHM

U64 = npt.NDArray[np.uint64]

_HALF = np.uint64(32)


@cache
def constant(purpose: str) -> np.uint64:
    """A number that looks random, fixed for ever by the algorithm's name and what it is for."""
    hashed = sha256(f"{DIGEST_ALGORITHM}:{purpose}".encode()).digest()
    return np.uint64(int.from_bytes(hashed[:8], "little"))


@cache
def multiplier(name: str) -> np.uint64:
    """The odd factor of a column or field of this name: odd, so that no value is lost."""
    return constant(f"name:{name}") | np.uint64(1)


NULL = constant("null")


def folded(words: U64, factor: np.uint64, scratch: U64 | None = None) -> U64:
    """Mix in place, one to one: the factor carries low bits upwards, the fold brings high ones down.
    Without it, numbers that differ in their highest bits only (round floats) would stay alike."""
    np.multiply(words, factor, out=words)
    return _shifted_in(words, _HALF, scratch)


def finished(words: U64, scratch: U64) -> U64:
    """Mix in place: whatever differs by now differs everywhere, and so does the sum over rows."""
    return folded(_shifted_in(words, np.uint64(29), scratch), multiplier("finish"), scratch)


def _shifted_in(words: U64, bits: np.uint64, scratch: U64 | None) -> U64:
    shifted = None if scratch is None else scratch[: len(words)]
    return np.bitwise_xor(words, np.right_shift(words, bits, out=shifted), out=words)
