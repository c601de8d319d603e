"""Random numbers as a function of (seed, store, step, who): never of how often or when the world was saved."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np

#: Numbers above every shopper's within a step; sensors and staff draw from their own streams.
SENSORS, STAFF = (1 << 20) - 1, (1 << 20) - 2


def store_key(seed: int, store_id: str) -> int:
    """First half of the Philox key: which world."""
    return int.from_bytes(blake2b(f"{seed}/{store_id}".encode(), digest_size=8).digest(), "little")


def numbers(world: int, step: int, who: int) -> np.random.Generator:
    """An independent stream of random numbers for one actor of one step."""
    return np.random.Generator(np.random.Philox(key=[world, step << 20 | who]))
