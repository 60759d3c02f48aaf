"""A digest of code changes with every source that a function can reach, and with no other."""

import functools
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

from stages import clean
from stages.features.sketch import sketch_frame
from stages.metrics.bootstrap import draw_weights
from stages.records.contract import load_dataset
from stages.runtime.digest import code_digest, library_versions, reachable_sources, source_digest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "stages"
FLIGHTS = "datasets/nycflights/flights.py"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of this package that may be edited."""
    copy = tmp_path / "stages"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """A small package: names of modules and their sources."""

    def write(**sources: str) -> Path:
        package = tmp_path / "small"
        for name, source in {"__init__": "", **sources}.items():
            path = package.joinpath(*name.split("__in__")).with_suffix(".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(source)
        return package

    return write


def digest_of(package: Path, *names: str) -> str:
    """The digest as a process computes it that has not seen the files before."""
    source_digest.cache_clear()
    return source_digest(frozenset(package / name for name in names), package)


def reached_from(package: Path, name: str) -> set[str]:
    found = reachable_sources(frozenset([package / name]), package)
    return {path.relative_to(package).as_posix() for path in found}


def edit(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"# edited\n")


# ── the real package ─────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    "edited", [FLIGHTS, "records/clock.py", "records/contract.py", "datasets/nycflights/__init__.py"]
)
def test_an_edit_in_reach_of_the_published_table_changes_its_digest(package, edited):
    before = digest_of(package, FLIGHTS)
    edit(package / edited)
    assert digest_of(package, FLIGHTS) != before


@pytest.mark.parametrize(
    "edited", ["datasets/nycflights/features.py", "datasets/nycflights/history.py", "records/windows.py", "train.py"]
)
def test_an_edit_out_of_its_reach_does_not(package, edited):
    before = digest_of(package, FLIGHTS)
    edit(package / edited)
    assert digest_of(package, FLIGHTS) == before


@pytest.mark.parametrize("edited", ["runtime/jobs.py", "runtime/log.py", "runtime/cache.py"])
def test_an_edit_of_what_never_changes_a_result_does_not_either(package, edited):
    before = digest_of(package, "clean.py")
    edit(package / edited)
    assert digest_of(package, "clean.py") == before


def test_features_depend_on_their_own_edits(package):
    before = digest_of(package, "datasets/nycflights/features.py")
    edit(package / "records/windows.py")
    assert digest_of(package, "datasets/nycflights/features.py") != before


def test_the_place_of_the_checkout_is_of_no_account(package):
    names = ("clean.py", FLIGHTS)
    assert digest_of(package, *names) == digest_of(PACKAGE, *names)


def test_every_module_that_an_import_loads_is_in_reach():
    """Independent truth: a fresh interpreter that imports the module, and what it then has loaded."""
    script = "import sys, json, stages.exploration.summary\nprint(json.dumps([*sys.modules]))"
    said = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    loaded = {name for name in json.loads(said) if name.split(".")[0] == "stages" and "runtime" not in name}
    reached = {
        ".".join(("stages", *Path(name).with_suffix("").parts)).removesuffix(".__init__")
        for name in reached_from(PACKAGE, "exploration/summary.py")
    }
    assert loaded <= reached


# ── functions ────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_function_stands_for_its_module():
    assert code_digest(clean.main) == digest_of(PACKAGE, "clean.py")
    assert code_digest(load_dataset("nycflights").records.read) == digest_of(PACKAGE, FLIGHTS)


def test_order_and_repetition_are_of_no_account():
    assert code_digest(clean.main, sketch_frame) == code_digest(sketch_frame, clean.main, sketch_frame)
    assert code_digest(clean.main, sketch_frame) != code_digest(clean.main)


def test_a_partial_counts_with_its_function_and_those_among_its_arguments():
    bound = functools.partial(functools.partial(draw_weights, sketch_frame), [1], block=clean.main)
    assert code_digest(bound) == code_digest(draw_weights, sketch_frame, clean.main)


def test_a_decorated_function_and_an_object_that_is_called_count_too():
    class Called:
        def __call__(self) -> None: ...

    assert code_digest(functools.lru_cache(sketch_frame)) == code_digest(sketch_frame)
    assert code_digest(Called()) == code_digest(test_order_and_repetition_are_of_no_account)


def test_functions_of_python_itself_are_covered_by_its_version():
    assert code_digest(clean.main, len, int) == code_digest(clean.main)


def test_a_function_without_a_source_file_is_refused():
    space: dict[str, object] = {"__name__": "typed_in"}
    exec("def typed(): ...", space)
    with pytest.raises(ValueError, match=r"typed_in"):
        code_digest(space["typed"])  # type: ignore[arg-type]


def test_a_stage_that_is_run_and_one_that_is_imported_have_one_digest(package):
    (package / "told.py").write_text(
        "from stages.runtime.digest import code_digest\n"
        "from stages.records import clock\n"
        "def main(): print(code_digest(main))\n"
        "if __name__ == '__main__': main()\n"
    )
    said = [
        subprocess.run([sys.executable, *how], cwd=package.parent, capture_output=True, text=True, check=True).stdout
        for how in (["-m", "stages.told"], ["-c", "from stages import told; told.main()"])
    ]
    assert said[0] == said[1] != ""


# ── import statements ────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    "statement",
    [
        "import small.a.b",
        "import os, small.a.b as c",
        "from small.a import b",
        "from small.a.b import *",
        "from small.a.b import name as other",
        "from . import a\nfrom .a import b",
        "from .a.b import name",
        "def f():\n    from small.a.b import name",
        "class C:\n    def f(self):\n        import small.a.b",
        "try:\n    import small.a.b\nexcept ImportError:\n    pass",
        "if True:\n    import small.a.b",
        "if TYPE_CHECKING:\n    import os\nelse:\n    import small.a.b",
        "async def f():\n    with x:\n        from .a import b",
    ],
)
def test_every_form_of_import_is_followed(write, statement):
    package = write(a__in____init__="", a__in__b="", top=statement, unused="")
    assert reached_from(package, "top.py") == {"__init__.py", "top.py", "a/__init__.py", "a/b.py"}


@pytest.mark.parametrize("test", ["TYPE_CHECKING", "typing.TYPE_CHECKING"])
def test_what_only_type_checkers_import_is_not_followed(write, test):
    package = write(types="", top=f"if {test}:\n    from small import types")
    assert reached_from(package, "top.py") == {"__init__.py", "top.py"}


def test_a_package_that_is_imported_itself_is_followed_and_one_on_the_way_is_not(write):
    package = write(a__in____init__="from small.a import b, c", a__in__b="", a__in__c="", one="from small.a import b")
    assert reached_from(package, "one.py") == {"__init__.py", "one.py", "a/__init__.py", "a/b.py"}
    (package / "one.py").write_text("from small.a import name")
    assert reached_from(package, "one.py") == {"__init__.py", "one.py", "a/__init__.py", "a/b.py", "a/c.py"}


def test_relative_imports_climb(write):
    package = write(a__in____init__="", a__in__b="from ..top import x\nfrom . import c", a__in__c="", top="")
    assert reached_from(package, "a/b.py") == {"__init__.py", "a/__init__.py", "a/b.py", "a/c.py", "top.py"}


def test_modules_that_import_each_other_come_to_an_end(write):
    package = write(one="import small.two", two="import small.one")
    assert reached_from(package, "one.py") == {"__init__.py", "one.py", "two.py"}


def test_nothing_is_imported(write):
    package = write(top="raise SystemExit('imported')\nimport small.two", two="1 / 0")
    assert reached_from(package, "top.py") == {"__init__.py", "top.py", "two.py"}


def test_a_source_outside_the_package_counts_by_its_name_and_bytes(write, tmp_path):
    package = write(top="")
    for folder in ("x", "y", "z"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "plugin.py").write_text("import os" if folder != "z" else "import sys")
    digests = [digest_of(package, "top.py", str(tmp_path / folder / "plugin.py")) for folder in ("x", "y", "z")]
    assert digests[0] == digests[1] != digests[2]


# ── versions ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_the_versions_are_those_of_the_environment():
    assert library_versions() == {
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        **{name: version(name) for name in ("numpy", "pandera", "polars", "pyarrow")},
    }


def test_versions_that_are_changed_by_their_reader_stay_what_they_are():
    library_versions()["python"] = "2.7"
    assert library_versions()["python"] != "2.7"
