"""Put the drawing scripts into the page of `dvc plots`, so that what it makes is one file that needs no network.

Reads   the package vl-convert-python, which carries Vega, Vega-Lite and Vega-Embed
        .dvc/plots/page.html     the page without them, which asks a CDN
Writes  .venv/plots.html         the page with them
        .dvc/config.local        that DVC takes this one (git-ignored)
"""

from pathlib import Path

import vl_convert

from stages.workspace.files import whole_file

PAGE, WHOLE = Path(".dvc/plots/page.html"), Path(".venv/plots.html")
PLACE = '<script id="vega"></script>'
VEGA_LITE = "5.8"  # the templates are written for version 5, as DVC's own are


def whole_page() -> str:
    """The page with `vegaEmbed` in it as a global, which is the name that DVC calls."""
    script = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=VEGA_LITE)
    page, script = PAGE.read_text(encoding="utf-8"), script.replace("</script", "<\\/script")
    before, _, after = page.partition(PLACE)
    return f'{before}<script id="vega">{script}</script>{after}'


def main() -> None:
    """Write the page and have DVC take it."""
    from dvc.config import Config

    with whole_file(WHOLE) as aside:
        aside.write_text(whole_page(), encoding="utf-8")
    with Config(".dvc").edit("local") as local:
        local.setdefault("plots", {})["html_template"] = f"../{WHOLE}"  # from the folder .dvc


if __name__ == "__main__":
    main()
