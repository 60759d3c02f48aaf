"""Answer over HTTP for every packaged model.

Reads   bundles/<dataset>/
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import uvicorn

from stages.runtime.commands import run_command
from stages.runtime.log import start_log
from stages.serving.app import create_app
from stages.serving.champion import Champions, find_bundles


def main(*arguments: str) -> None:
    """Serve bundles until stopped; see ``--help``."""
    options = parse(arguments)
    champions = Champions(find_bundles(options.folders))
    uvicorn.run(create_app(champions), host=options.host, port=options.port)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m stages.serve", description="Answer over HTTP for packaged models.")
    parser.add_argument("folders", type=Path, nargs="*", default=[Path("bundles")], metavar="FOLDER",
                        help="a bundle, or a folder of bundles (default: bundles)")  # fmt: skip
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=8000, help="the port to listen on (default: 8000)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    start_log()
    run_command(main)
