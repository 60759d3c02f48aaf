"""Answer over HTTP for every packaged model, as `predict` does.

Reads   bundles/<dataset>/, or where the registry has one, the champion's bundle (cache, then remote)
Writes  .serving/   copies of the bundles that answered well: the last good one answers for a broken one
        forecasts/  every forecast that was served, and what came true
"""

from __future__ import annotations

import argparse
import os
import socket
from collections.abc import Sequence
from pathlib import Path

from stages.runtime.commands import run_command
from stages.workspace.errors import UserError

HELP = """\
A FOLDER is a bundle or holds some; without one, every champion of the registry and every bundle under bundles/ is
served.  A bundle that changes is checked, tried and swapped in while requests are answered.

PLUMBLINE_TOKEN   who bears it may change what is served; without it nobody may
"""
ONE_THREAD = ("POLARS_MAX_THREADS", "OMP_NUM_THREADS")


def main(*arguments: str) -> None:
    """Serve bundles until stopped; see ``--help``."""
    options = parse(arguments)
    for variable in ONE_THREAD:  # read when the libraries are loaded: serving scales by processes
        os.environ.setdefault(variable, "1")
    from stages.serving.server import Settings, serve

    with open_port(options.host, options.port) as port:
        serve(Settings(tuple(options.folders), options.state, options.keep, options.forecasts), port, options.workers)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m stages.serve",
        description="Answer over HTTP for packaged models.",
        epilog=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folders", type=Path, nargs="*", metavar="FOLDER", help="a bundle, or a folder of bundles")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8000, help="the port to listen on (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=1, help="processes that answer (default: %(default)s)")
    parser.add_argument("--state", metavar="URL", help="where the state of raw records is kept (a file, or redis://…)")
    parser.add_argument(
        "--keep", type=Path, default=Path(".serving"), metavar="FOLDER", help="for copies (default: %(default)s)"
    )
    parser.add_argument(
        "--forecasts", type=Path, default=Path("forecasts"), metavar="FOLDER",
        help="for the logs of forecasts that were served (default: %(default)s)",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    if options.workers < 1:
        parser.error("--workers: at least 1")
    return options


def open_port(host: str, port: int) -> socket.socket:
    """A socket that is bound there; others who have it are told of now, before anything is loaded."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        opened = socket.socket(family, kind, protocol)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(address)
    except (OSError, OverflowError) as error:
        raise UserError(f"the port {port} of {host}", str(error), "choose another one with --port or --host") from None
    return opened


if __name__ == "__main__":
    run_command(main)
