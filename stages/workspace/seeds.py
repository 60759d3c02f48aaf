"""Where does each random draw get its seed?  From the run's one seed and the name of the use."""

import hashlib


def child_seed(seed: int, *names: str) -> int:
    """A 63-bit seed for one use, independent of every other use and of the order in which they run."""
    text = "/".join([str(seed), *names])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
