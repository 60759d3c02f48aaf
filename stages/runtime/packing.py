"""Functions and values on their way to a worker, packed as Dask packs them; nothing packed is ever kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from distributed.protocol import pickle as travel


def pack(value: Any) -> bytes:
    """A value as Dask would send it."""
    packed: bytes = travel.dumps(value)  # type: ignore[no-untyped-call]
    return packed


def on_arrival() -> Callable[..., Any]:
    """A function that travels as its own code, so that a worker without ours can say so instead of ending at once."""

    def unpack(check: bytes | None, *packed: bytes) -> Any:
        from distributed.protocol.pickle import loads as load

        loads: Callable[[bytes], Any] = load

        def work() -> Any:
            function, *arguments = [loads(part) for part in packed]
            return function(*arguments)

        return work() if check is None else loads(check)(work)

    return unpack
