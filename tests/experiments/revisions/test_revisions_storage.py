"""The cache where it is, where it is not and where it is damaged; the remote near, empty and out of reach."""

import shutil
from pathlib import Path

import pytest

from stages.experiments.revisions import objects as dvc_objects
from stages.experiments.revisions.revisions import fetch_folder, read_output, resolve
from stages.workspace.errors import UserError

TABLE, BUNDLE, SMALL = "data/tables/a.txt", "models/a", "metrics/a.json"


def lose_cache() -> None:
    """As in a fresh clone."""
    shutil.rmtree(".dvc/cache/files")


def test_what_is_not_in_the_cache_comes_from_the_remote_and_stays(history: Path) -> None:
    lose_cache()
    assert read_output(resolve("first"), TABLE) == b"value: 1\n"
    shutil.rmtree("../far")
    assert read_output(resolve("first"), TABLE) == b"value: 1\n"


def test_a_cache_elsewhere_is_found_without_asking_dvc(history: Path) -> None:
    Path(".dvc/cache").rename("../kept")
    Path(".dvc/config.local").write_text("[cache]\n    dir = ../../kept\n", encoding="utf-8")
    shutil.rmtree("../far")
    assert read_output(resolve("first"), TABLE) == b"value: 1\n"
    assert dvc_objects.cache_folder().resolve() == Path("../kept").resolve()


def test_a_cache_that_only_dvc_knows_of_is_asked_through_dvc(history: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".dvc/cache").rename("../kept")
    shutil.rmtree("../far")
    Path("../settings").mkdir()
    Path("../settings/config").write_text(f"[cache]\n    dir = {Path('../kept').resolve()}\n", encoding="utf-8")
    monkeypatch.setenv("DVC_GLOBAL_CONFIG_DIR", str(Path("../settings").resolve()))
    assert read_output(resolve("first"), TABLE) == b"value: 1\n"


def test_what_is_nowhere_is_told_with_the_words_of_the_remote(history: Path) -> None:
    lose_cache()
    shutil.rmtree("../far/files")
    with pytest.raises(UserError, match=r"not in the cache; the remote: .*do not exist neither locally nor on remote"):
        read_output(resolve("first"), TABLE)


def test_a_remote_out_of_reach_is_tried_once(history: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in (("ACCESS_KEY_ID", "x"), ("SECRET_ACCESS_KEY", "y"), ("MAX_ATTEMPTS", "1")):
        monkeypatch.setenv(f"AWS_{variable}", value)
    lose_cache()
    url = "    url = s3://bucket\n    endpointurl = http://127.0.0.1:9\n"
    Path(".dvc/config.local").write_text(f"[core]\n    remote = far\n['remote \"far\"']\n{url}", encoding="utf-8")
    for name in ("first", "main"):
        with pytest.raises(UserError, match=f"{TABLE} in DVC's cache or in its remote(?s:.*)http://127.0.0.1:9"):
            read_output(resolve(name), TABLE)
    assert "http://127.0.0.1:9" in dvc_objects._Remote.of(history).unreachable
    assert read_output(resolve("main"), SMALL) == b"value: 3\n"  # git still answers


def test_a_repository_without_a_remote_says_so(history: Path) -> None:
    lose_cache()
    Path(".dvc/config.local").unlink()
    with pytest.raises(UserError, match="no remote"):
        read_output(resolve("first"), TABLE)


def test_a_damaged_file_of_the_cache_is_refused_and_named(history: Path) -> None:
    for file in Path(".dvc/cache/files/md5").glob("??/*"):
        file.chmod(0o644)
        file.write_bytes(b"not what it was")
    with pytest.raises(UserError, match=r"the file of the cache is damaged(?s:.*)rm -f .*\.dvc/cache/files"):
        read_output(resolve("first"), TABLE)


def test_a_folder_comes_from_the_remote(history: Path, tmp_path: Path) -> None:
    lose_cache()
    fetch_folder(resolve("first"), BUNDLE, tmp_path / "bundle")
    assert (tmp_path / "bundle/deep/model.txt").read_text() == "value: 1\n"


def test_half_a_folder_is_none(history: Path, tmp_path: Path) -> None:
    shutil.rmtree("../far")
    own = Path("models/a/card.txt").read_bytes()
    for file in Path(".dvc/cache/files/md5").glob("??/*"):
        if file.read_bytes() == own:
            file.unlink()
    for path in (BUNDLE, "models/none"):
        with pytest.raises(UserError):
            fetch_folder(resolve("first"), path, tmp_path / "bundle")
    assert list(tmp_path.glob("*bundle*")) == []
