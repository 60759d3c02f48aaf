"""Which store does a location name?  A path is a file, a URL is a server."""

from __future__ import annotations

from pathlib import Path

from stages.state.store import Store
from stages.workspace import layout
from stages.workspace.errors import UserError


def open_store(location: str | None, dataset: str) -> Store:
    """The store of a dataset; ``state/<dataset>.sqlite`` by default.  Nothing is written or asked before it is used."""
    location = location or str(layout.state(dataset))
    scheme, is_url, _ = location.partition("://")
    if not is_url:
        from stages.state.embedded import SqliteStore

        return SqliteStore(Path(location), dataset)
    if scheme not in ("redis", "rediss", "unix"):
        raise UserError("a state in a file, or at redis://…", location, "name it so")
    from stages.state.shared import RedisStore

    return RedisStore(location, dataset)
