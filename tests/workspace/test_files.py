"""Whole files or none, stable bytes, and folders that are complete only when their manifest says so."""

import errno
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from stages.workspace.errors import UserError, run_stage
from stages.workspace.files import (
    read_json,
    read_manifest,
    require_writable,
    start_folder,
    whole_file,
    write_csv,
    write_json,
    write_manifest,
    write_parquet,
)

ROOT = Path(__file__).parents[2]
# a process that may write only short files would leave cut byte code behind
ENVIRONMENT = {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
NOISE = pl.DataFrame({"x": np.random.default_rng(0).random(50_000)})


def test_a_file_appears_whole_and_its_folders_with_it(tmp_path):
    path = tmp_path / "deep" / "down" / "a.txt"
    with whole_file(path) as aside:
        aside.write_text("half")
        assert not path.exists()
    assert path.read_text() == "half"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), OSError(errno.EACCES, "no")])
def test_a_broken_off_write_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("old")

    with pytest.raises(type(error)) as caught, whole_file(path) as aside:
        aside.write_text("new")
        raise error
    assert caught.value is error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("writer", ["write_parquet", "write_csv", "write_json"])
def test_a_full_disk_is_told_in_plain_words_whoever_writes(tmp_path, writer):
    """In a process of its own, whose files may not grow beyond 4 KB."""
    script = (
        "import numpy as np, polars as pl, pathlib, stages.workspace.files as files\n"
        "from stages.workspace.errors import run_stage\n"
        "frame = pl.DataFrame({'x': np.random.default_rng(0).random(50_000)})\n"
        f"content = frame['x'].to_list() if '{writer}' == 'write_json' else frame\n"
        f"run_stage(lambda: files.{writer}(pathlib.Path('out/table'), content), [])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("error: the disk is full\nwanted  room to write out/table\n")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_polars_words_for_a_full_disk_are_understood(tmp_path, number):
    told = pl.exceptions.ComputeError(f"parquet: underlying IO error: {os.strerror(number)} (os error {number})")
    with pytest.raises(OSError, match="out") as caught, whole_file(tmp_path / "out.parquet"):
        raise told
    assert caught.value.errno == number
    assert caught.value.filename == str(tmp_path / "out.parquet")


def test_other_errors_of_polars_stay_what_they_are(tmp_path):
    told = pl.exceptions.ComputeError("something else (os error 2)")
    with pytest.raises(pl.exceptions.ComputeError) as caught, whole_file(tmp_path / "out.parquet"):
        raise told
    assert caught.value is told


# ── stable bytes ─────────────────────────────────────────────────────────────────────────────────────────────────────
def test_equal_content_gives_equal_bytes(tmp_path):
    for name in "ab":
        write_parquet(tmp_path / f"{name}.parquet", NOISE)
        write_csv(tmp_path / f"{name}.csv", NOISE)
        write_json(tmp_path / f"{name}.json", {"ä": [1, 2.5, None]})
    for kind in ("parquet", "csv", "json"):
        assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()


def test_what_is_written_is_read_back(tmp_path):
    write_parquet(tmp_path / "x.parquet", NOISE)
    assert pl.read_parquet(tmp_path / "x.parquet").equals(NOISE)
    write_json(tmp_path / "x.json", {"b": 1, "a": "é"})
    assert (tmp_path / "x.json").read_text(encoding="utf-8") == '{\n  "b": 1,\n  "a": "é"\n}\n'
    assert read_json(tmp_path / "x.json") == {"b": 1, "a": "é"}


def test_json_holds_no_nan(tmp_path):
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "x.json", {"value": float("nan")})
    assert list(tmp_path.iterdir()) == []


# ── folders ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_folder_is_complete_when_its_manifest_exists(tmp_path):
    with pytest.raises(UserError, match="never finished"):
        read_manifest(tmp_path)
    write_manifest(tmp_path, {"files": []})
    assert read_manifest(tmp_path) == {"files": []}


def test_a_folder_started_anew_holds_nothing_of_an_earlier_run(tmp_path):
    folder = tmp_path / "data" / "clean"
    start_folder(folder)
    write_manifest(folder, {})
    (folder / "references").mkdir()
    (folder / "references" / ".a.parquet.4711.part").write_text("half")
    start_folder(folder)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "told"), [(None, "no such file"), ("{", "Expecting property name"), ("", "Expecting value")]
)
def test_json_that_is_missing_or_damaged_names_the_next_step(tmp_path, text, told):
    path = tmp_path / "x.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError) as caught:
        read_json(path)
    assert told in caught.value.found
    assert "dvc repro" in caught.value.next_step


# ── the end of a stage ───────────────────────────────────────────────────────────────────────────────────────────────
def test_an_error_for_the_user_ends_with_status_1_and_three_lines(capsys):
    def main(name: str) -> None:
        raise UserError(f"the file {name}", "no such file", "run `dvc repro`")

    with pytest.raises(SystemExit) as caught:
        run_stage(main, ["a.csv"])
    assert str(caught.value.code).splitlines()[1:] == [
        "wanted  the file a.csv",
        "found   no such file",
        "next    run `dvc repro`",
    ]


def test_an_error_of_the_program_is_not_hidden():
    def main() -> None:
        raise ZeroDivisionError("a mistake of ours")

    with pytest.raises(ZeroDivisionError, match="ours"):
        run_stage(main, [])


@pytest.mark.parametrize(
    ("number", "mended"),
    [
        (errno.EACCES, "mend its permissions, or name another folder"),
        (errno.EROFS, "mend its permissions, or name another folder"),
        (errno.ENOENT, "check the path; `dvc checkout` brings outputs back"),
        (errno.EMFILE, "raise `ulimit -n`"),
        (errno.EIO, "put that right"),
    ],
)
def test_what_the_system_refuses_is_told_in_three_lines(number, mended):
    def main() -> None:
        raise OSError(number, os.strerror(number), "models/x")

    with pytest.raises(SystemExit) as caught:
        run_stage(main, [])
    told = ["wanted  to read and write models/x", f"found   {os.strerror(number)}", f"next    {mended}"]
    assert str(caught.value.code).splitlines()[1:] == told


def test_what_the_system_refuses_without_a_name_is_told_as_it_was_said():
    def main() -> None:
        raise ConnectionRefusedError(errno.ECONNREFUSED, "nobody listens")

    with pytest.raises(SystemExit, match=r"found   .*nobody listens"):
        run_stage(main, [])


def test_a_file_that_cannot_be_written_aside_is_told_by_its_own_name(tmp_path, monkeypatch):
    def refuse(path, *_arguments, **_more):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "write_text", refuse)  # root may write everywhere
    with pytest.raises(PermissionError) as caught:
        write_json(tmp_path / "x.json", {})
    assert caught.value.filename == str(tmp_path / "x.json")


def test_polars_words_for_a_missing_permission_are_told_by_the_name_of_the_file(tmp_path):
    told = PermissionError(
        "Permission denied (os error 13): .out.parquet.part"
    )  # as Polars raises it: no errno, no name
    with pytest.raises(PermissionError) as caught, whole_file(tmp_path / "out.parquet"):
        raise told
    assert (caught.value.errno, caught.value.filename) == (errno.EACCES, str(tmp_path / "out.parquet"))


def test_a_place_that_cannot_be_written_is_refused_before_work(tmp_path, monkeypatch):
    require_writable(tmp_path / "new" / "deep")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "taken").write_text("")
    for folder in ("taken", "taken/below"):
        with pytest.raises(NotADirectoryError) as refused:
            require_writable(tmp_path / folder)
        assert refused.value.filename == str(tmp_path / folder)

    def refuse(**_more):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), "/somewhere/tmpx7")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(OSError, match="Read-only") as caught:
        require_writable(tmp_path)
    assert caught.value.filename == str(tmp_path)


@pytest.mark.parametrize("arguments", [[], ["a", "b"]])
def test_wrong_arguments_are_told_the_right_ones(arguments):
    def main(name: str) -> None: ...

    with pytest.raises(SystemExit, match=r"usage: .* <name>"):
        run_stage(main, arguments)


def test_a_type_error_inside_the_stage_is_not_taken_for_wrong_arguments():
    def main(name: str) -> None:
        json.dumps(object())

    with pytest.raises(TypeError, match="not JSON serializable"):
        run_stage(main, ["a"])
