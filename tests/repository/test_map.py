"""`stages/__init__.py` is the map of the house: every verb and every room, in the order of the line."""

import ast
import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
STAGES = ROOT / "stages"
ENTRY = re.compile(r"^  (\w+) {2,}\S", re.M)


def section(heading: str) -> list[str]:
    """The names listed under a heading of the map."""
    text = ast.get_docstring(ast.parse((STAGES / "__init__.py").read_text(encoding="utf-8")), clean=False) or ""
    return ENTRY.findall(next(part for part in text.split("\n\n") if part.startswith(heading)))


def test_the_verbs_of_the_line_are_those_of_dvc_yaml_in_its_order() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    assert section("Verbs of the line") == [name for name, stage in stages.items() if "foreach" in stage]


def test_every_verb_is_on_the_map() -> None:
    verbs = {path.stem for path in STAGES.glob("*.py")} - {"__init__"}
    listed = section("Verbs of the line") + section("Verbs around the line")
    assert sorted(listed) == sorted(verbs)


def test_every_room_is_on_the_map_and_the_layers_keep_its_order() -> None:
    rooms = {path.parent.name for path in STAGES.glob("*/__init__.py")}
    nouns, ground = section("Nouns, in the order"), section("The ground")
    assert sorted(nouns + ground) == sorted(rooms)
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    _, *layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    height = {room: -k for k, layer in enumerate(layers) for room in re.findall(r"\w+", layer)}
    assert [height[room] for room in nouns] == sorted(height[room] for room in nouns)
