"""What the processes of a server owe: to end with the one that started them, and to drop who says nothing."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import resource
import signal
import threading
import time
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from stages.serving.limits import Limits

LOOK_S = 0.5
GRACE_S = 3.0
FILES = 1 << 16
HEAD_S = Limits().head_s


def follow_parent(signal_first: int | None = signal.SIGTERM) -> None:
    """End this process when the one that started it is gone, killed too: the port is free for its successor."""
    if parent := multiprocessing.parent_process():
        threading.Thread(target=_follow, args=(parent.pid, signal_first), daemon=True).start()


def _follow(parent: int | None, signal_first: int | None) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_S)
    if signal_first is not None:  # requests that have begun are answered
        os.kill(os.getpid(), signal_first)
        time.sleep(GRACE_S)
    os._exit(1)


def allow_connections() -> None:
    """As many open files as the system lets this process have: each connection is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = FILES if hard == resource.RLIM_INFINITY else min(hard, FILES)
    if soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


class PromptProtocol(H11Protocol):
    """HTTP/1.1 that closes a connection whose request does not begin: uvicorn would let it idle for ever."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the head of a request."""
        super().connection_made(transport)
        self._head_timer = self.loop.call_later(HEAD_S, self._close_headless)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._head_timer.cancel()
        super().connection_lost(exc)

    def _close_headless(self) -> None:
        if self.cycle is None and not self.transport.is_closing():
            self.transport.close()

    def handle_events(self) -> None:
        """A connection that has asked once falls under uvicorn's own time for keeping it alive."""
        super().handle_events()
        if self.cycle is not None:
            self._head_timer.cancel()


def limit_memory(more_bytes: int) -> None:
    """Let this process take so much memory beyond what it has now; more ends it, and it alone."""
    with open("/proc/self/status", encoding="ascii") as status:  # noqa: PTH123
        held = next(int(line.split()[1]) << 10 for line in status if line.startswith("VmData"))
    resource.setrlimit(resource.RLIMIT_DATA, (held + more_bytes, resource.RLIM_INFINITY))


def connection_limits() -> dict[str, Any]:
    """Arguments of uvicorn that follow from the limits."""
    limits = Limits()
    return {"http": PromptProtocol, "timeout_keep_alive": limits.idle_s, "h11_max_incomplete_event_size": 32 << 10}
