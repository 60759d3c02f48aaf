"""Put the drawing scripts of `dvc plots` beside the environment, so that its page needs no network.

Reads   the package vl-convert-python, which carries Vega, Vega-Lite and Vega-Embed
Writes  .venv/vega.js, loaded by .dvc/plots/page.html; without it that page asks the CDN that DVC names
"""

from pathlib import Path

import vl_convert

from stages.workspace.files import whole_file

SCRIPT = Path(".venv/vega.js")
VEGA_LITE = "5.8"  # the templates are written for version 5, as DVC's own are


def main() -> None:
    """Write the bundle: `vegaEmbed` as a global, which is the name that DVC calls."""
    script = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=VEGA_LITE)
    with whole_file(SCRIPT) as aside:
        aside.write_text(script, encoding="utf-8")


if __name__ == "__main__":
    main()
