"""Files of a distribution's packages come by the machine's own apt, from a repository that a test has built."""

import gzip
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.sources import apt
from stages.workspace.errors import UserError

pytestmark = pytest.mark.skipif(
    shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None, reason="this machine has no apt"
)

BODY = gzip.compress(b"pictures" * 1000, mtime=0)
INSIDE = "usr/share/datasets/toys/toys.gz"
CONTROL = "Package: dataset-toys\nVersion: 1-1\nArchitecture: all\nMaintainer: nobody <nobody@example.invalid>\n"
DESCRIPTION = "Description: toys to learn from\n"


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A release `toyland` with one package, which the user of this machine trusts and has as the only source."""
    tree, release = tmp_path / "tree", tmp_path / "repository" / "dists" / "toyland"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN" / "control").write_text(CONTROL + DESCRIPTION)
    (tree / INSIDE).parent.mkdir(parents=True)
    (tree / INSIDE).write_bytes(BODY)
    archive = tmp_path / "repository" / "dataset-toys_1-1_all.deb"
    archive.parent.mkdir()
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", tree, archive], check=True, capture_output=True)
    place = f"Filename: {archive.name}\nSize: {archive.stat().st_size}\nSHA256: {_digest(archive)}\n"
    index = CONTROL + place + DESCRIPTION
    packages = release / "main" / "binary-amd64" / "Packages"
    packages.parent.mkdir(parents=True)
    packages.write_text(index)
    line = f" {_digest(packages)} {packages.stat().st_size} main/binary-amd64/Packages\n"
    told = "Suite: toyland\nCodename: toyland\nComponents: main\nArchitectures: amd64\n"
    told += "Date: Sat, 01 Jan 2022 00:00:00 UTC\nSHA256:\n"
    (release / "Release").write_text(told + line)

    home = tmp_path / "apt"
    for name in ("lists/partial", "cache/archives/partial", "parts"):
        (home / name).mkdir(parents=True)
    (home / "status").touch()
    (home / "sources.list").write_text(f"deb [trusted=yes] file:{tmp_path}/repository toyland main\n")
    settings = {
        "Dir::Etc::sourcelist": home / "sources.list",
        "Dir::Etc::sourceparts": home / "parts",
        "Dir::State::lists": home / "lists",
        "Dir::State::status": home / "status",
        "Dir::Cache": home / "cache",
        "APT::Architecture": "amd64",
        "APT::Sandbox::User": "root",
    }
    config = home / "apt.conf"
    config.write_text("".join(f'{name} "{value}";\n' for name, value in settings.items()))
    monkeypatch.setenv("APT_CONFIG", str(config))
    yield tmp_path / "repository"
    apt._unpacked.cache_clear()
    apt._indices.cache_clear()


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _trust_unsigned(monkeypatch: pytest.MonkeyPatch) -> None:
    with Path(os.environ["APT_CONFIG"]).open("a") as config:
        config.write('Acquire::AllowInsecureRepositories "true";\n')


def test_a_file_of_a_package_that_is_not_installed_arrives_although_apt_was_never_updated(repository, download, pinned):
    folder = download(pinned(f"apt://dataset-toys/{INSIDE}", BODY))
    assert (folder / "toys.gz").read_bytes() == BODY
    assert not list((repository.parent / "apt" / "lists").glob("*Packages*")), "apt's own lists are left alone"


def test_a_package_of_other_bytes_than_were_pinned_is_refused(repository, refuse, pinned):
    error = refuse(pinned(f"apt://dataset-toys/{INSIDE}", BODY[:-1] + b"!"))
    assert hashlib.sha256(BODY).hexdigest() in error.found


@pytest.mark.parametrize(
    ("location", "found"),
    [
        ("apt://no-such-package/usr/share/a.gz", "apt finds no such package: Unable to locate package no-such-package"),
        ("apt://dataset-toys/usr/share/a.gz", "the package dataset-toys holds no file /usr/share/a.gz"),
        ("apt://dataset-toys/../../etc/a.gz", "../../etc"),
        ("apt://--help/usr/a.gz", "--help"),
        ("apt-index://nowhere/main/binary-amd64/Packages", "apt cannot fetch it"),
        ("apt-index://toyland/contrib/binary-amd64/Packages", "apt has no source with contrib"),
    ],
)
def test_what_apt_cannot_give_is_told_with_the_mirror_as_the_way_out(repository, refuse, unpinned, location, found):
    error = refuse(unpinned(location))
    assert found in error.found
    assert "mirror" in error.next_step


def test_a_machine_without_apt_is_told_of_the_mirror(repository, monkeypatch, refuse, unpinned):
    monkeypatch.setenv("PATH", str(repository))
    error = refuse(unpinned(f"apt://dataset-toys/{INSIDE}"))
    assert "this machine has no dpkg-query" in error.found
    assert "`download.mirror`" in error.next_step


def test_a_mirror_serves_without_apt(repository, monkeypatch, tmp_path, download, pinned):
    from stages.sources.fetch import name_source

    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "toys.gz").write_bytes(BODY)
    monkeypatch.setenv("PATH", str(repository))
    folder = download(name_source(f"apt://dataset-toys/{INSIDE}", mirror=str(tmp_path / "mirror")))
    assert (folder / "toys.gz").read_bytes() == BODY


def test_an_index_arrives_as_the_release_has_it_and_unsigned_only_where_the_user_takes_such(repository, monkeypatch):
    location = "apt-index://toyland/main/binary-amd64/Packages"
    with pytest.raises(UserError, match="not signed") as caught:
        apt.find_index(location, 5.0)
    assert "mirror" in caught.value.next_step
    _trust_unsigned(monkeypatch)
    published = repository / "dists" / "toyland" / "main" / "binary-amd64" / "Packages"
    assert apt.find_index(location, 5.0).read_bytes() == published.read_bytes()
