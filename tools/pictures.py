"""Draw what README.md shows: the line as DVC sees it, and what a run gives, in light and dark.

Reads   `dvc dag` of one dataset; reports/<dataset>/results.html and its style sheet
Writes  the block between the two markers in README.md; docs/images/results-light.svg and results-dark.svg

An edge that follows from others is left out: what `report` needs of `clean` it needs of all that follows on `clean`.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from stages.workspace import layout
from stages.workspace.errors import UserError, run_stage
from stages.workspace.files import whole_file
from tools.results import README, between

DATASET = "nycflights"
BEGIN, END = "<!-- line: written by `make results` -->", "<!-- end of line -->"
IMAGES = Path("docs/images")
STYLE = Path("stages/results/style.css")
SHOWN = ("ROC curve", "Calibration", "Cost by threshold")
WIDTH, PLOT, GAP, TOP = 1320, 420, 20, 150


def line_block(mermaid: str) -> str:
    """The stages of ``dvc dag --mermaid`` without the dataset's name and without edges that follow from others."""
    names = dict(re.findall(r'(node\d+)\["([^@"]+)', mermaid))
    feeds: dict[str, set[str]] = {name: set() for name in sorted(names.values())}
    for one, other in re.findall(r"(node\d+)-->(node\d+)", mermaid):
        feeds[names[one]].add(names[other])

    def beyond(stage: str) -> set[str]:
        return feeds[stage].union(*map(beyond, feeds[stage]))

    bare = {stage: feeds[stage].difference(*map(beyond, feeds[stage])) for stage in feeds}
    order = sorted(feeds, key=lambda stage: (-len(beyond(stage)), stage))  # who feeds more stands further up
    edges = [f"  {a} --> {b}" for a in order for b in sorted(bare[a], key=order.index)]
    return "\n".join([BEGIN, "```mermaid", "flowchart LR", *edges, "```", END])


def picture(page: str, style: str, scheme: str) -> str:
    """Headline, figures and curves of a page of results as one SVG in the colours of ``light`` or ``dark``."""
    light, dark = re.findall(r":root \{(.*?)\}", style, re.DOTALL)[:2]
    rules = "\n".join(line for line in style.splitlines() if line.startswith("svg "))
    root = light.partition(";")[2] if scheme == "light" else dark
    charts = dict(re.findall(r"<figure>\s*<h3>(.*?)</h3>.*?(<svg class=\"plot\".*?</svg>)", page, re.DOTALL))
    if missing := [title for title in SHOWN if title not in charts]:
        raise UserError(f"the pictures {', '.join(SHOWN)} in the results of {DATASET}", f"no {', '.join(missing)}",
                        f"run `dvc repro report@{DATASET}`")  # fmt: skip
    [headline] = re.findall(r'<h2 class="headline">(.*?)</h2>', page)
    tiles = re.findall(r"<div><b>(.*?)</b><span>(.*?)</span><span>(.*?)</span></div>", page)
    pieces = [text(GAP, 36, headline, "headline")]
    for k, (value, what, span) in enumerate(tiles):
        at = GAP + k * 240
        pieces += [text(at, 78, value, "value"), text(at, 98, what), text(at, 116, span)]
    height = TOP
    for k, title in enumerate(SHOWN):
        left, box = GAP + k * (PLOT + GAP), re.search(r'viewBox="0 0 (\d+) (\d+)"', charts[title])
        assert box
        tall = PLOT * int(box[2]) // int(box[1])
        height = max(height, TOP + 16 + tall)
        place = f'<svg x="{left}" y="{TOP + 16}" width="{PLOT}" height="{tall}" '
        pieces += [text(left, TOP, title, "title"), charts[title].replace('<svg class="plot" ', place, 1)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height + GAP}" role="img">\n'
        f"<title>{headline}</title>\n<style>\nsvg {{ {root.strip()} }}\n{rules}\n"
        "svg .headline { font-size: 22px; font-weight: 600; fill: var(--ink); }\n"
        "svg .value { font-size: 24px; font-weight: 600; fill: var(--ink); }\n"
        "svg .title { font-size: 16px; font-weight: 600; fill: var(--ink); }\n</style>\n"
        '<rect width="100%" height="100%" rx="8" style="fill: var(--paper)"/>\n' + "\n".join(pieces) + "\n</svg>\n"
    )


def text(x: int, y: int, said: str, kind: str = "") -> str:
    """A text of the page, escaped as it is there."""
    return f'<text x="{x}" y="{y}" class="{kind}">{said}</text>'


def main() -> None:
    """Draw both pictures, and the line in README.md."""
    dag = ["dvc", "dag", "--full", "--mermaid", f"report@{DATASET}"]
    mermaid = subprocess.run(dag, capture_output=True, text=True, check=True).stdout
    found = README.read_text(encoding="utf-8")
    if found != (wanted := between(found, BEGIN, line_block(mermaid), END)):
        with whole_file(README) as aside:
            aside.write_text(wanted, encoding="utf-8")
    report = layout.results_report(DATASET)
    if not report.exists():
        raise UserError(f"the page {report}", "no such file", "run `dvc repro`, or `dvc checkout`")
    for scheme in ("light", "dark"):
        with whole_file(IMAGES / f"results-{scheme}.svg") as aside:
            drawn = picture(report.read_text(encoding="utf-8"), STYLE.read_text(encoding="utf-8"), scheme)
            aside.write_text(drawn, encoding="utf-8")


if __name__ == "__main__":
    run_stage(main)
