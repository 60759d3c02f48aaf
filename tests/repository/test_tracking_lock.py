"""`make tracking`: an environment of its own, pinned by hash and silent about hosts; built once, then left alone."""

import re
import shutil
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOCK = Path("tools/requirements-tracking.lock")


def test_every_package_is_pinned_by_hash_and_no_host_is_named() -> None:
    text = (ROOT / LOCK).read_text(encoding="utf-8")
    blocks = re.split(r"\n(?=\S)", text.strip())
    assert [block for block in blocks if not re.match(r"[\w.-]+==\S+", block) or "--hash=sha256:" not in block] == []
    assert "://" not in text and re.search(r"^mlflow==[3-9]", text, flags=re.MULTILINE)


def test_an_environment_that_matches_its_lock_is_left_alone(tmp_path: Path, run) -> None:
    for folder in ("tools", ".venv/tracking"):
        (tmp_path / folder).mkdir(parents=True)
    shutil.copy(ROOT / LOCK, tmp_path / LOCK)
    shutil.copy(ROOT / LOCK, tmp_path / ".venv/tracking/requirements.lock")
    assert run(ROOT / "tools" / "tracking.sh", cwd=tmp_path).stdout == ""
    assert [path.name for path in (tmp_path / ".venv/tracking").iterdir()] == ["requirements.lock"]
