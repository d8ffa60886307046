"""Power cuts, full disks, sticks that are pulled out: what is left is old or new, never below the floor."""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ota.errors import FolderProblem, RolledBack, SourceAway, TrustError
from ota.trust.download import download
from ota.trust.floor import decode
from ota.trust.folder import TrustFolder
from ota.trust.refresh import refresh
from ota.trust.sources import FolderSource
from tests.power_cut_scenarios import lay_out
from tests.repository_simulator import Repository

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("scenario", "least"), [("refreshing", 20), ("downloading", 8), ("publishing", 20), ("signing", 40)]
)
def test_a_cut_at_any_step_leaves_old_or_new(tmp_path, scenario, least):
    done = subprocess.run(
        [sys.executable, "-m", "tests.power_cuts", scenario, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=580,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert int(done.stdout.split()[0]) >= least


@pytest.fixture
def old_and_new(tmp_path):
    """A trusted folder that has seen the new state, the sources of both, and the first root."""
    repository = Repository()
    first = repository.issued["root"][0]
    old = lay_out(repository, tmp_path / "old")
    repository.issue("targets", "snapshot", "timestamp")
    new = lay_out(repository, tmp_path / "new")
    folder = TrustFolder(tmp_path / "trust")
    refresh(folder, first, new)
    return folder, old, new, first


def _empty(folder, *roles):
    for role in roles:
        (folder.current / f"{role}.json").write_bytes(b"")


@pytest.mark.parametrize(
    "roles",
    [
        ("timestamp", "snapshot", "targets"),
        ("timestamp",),
        ("snapshot",),
        ("timestamp", "snapshot"),
        ("root_history/1.root", "timestamp", "snapshot", "targets"),
    ],
)
def test_emptied_metadata_and_an_old_repository_do_not_go_back(old_and_new, roles):
    folder, old, new, first = old_and_new
    _empty(folder, *roles)
    with pytest.raises(TrustError):
        refresh(folder, first, old)
    assert refresh(folder, first, new).versions["timestamp"] == 2


def test_no_metadata_at_all_and_an_old_repository_do_not_go_back(old_and_new):
    folder, old, new, first = old_and_new
    shutil.rmtree(folder.folder / "sets")
    folder.current.unlink()
    with pytest.raises(RolledBack, match="has version 1, but version 2 was trusted"):
        refresh(folder, first, old)
    assert not folder.current.exists()
    assert refresh(folder, first, new).versions["timestamp"] == 2


@pytest.mark.parametrize("damage", [b"", b"\0" * 200, b"pehra-floor-1 00000000\n{}"])
def test_one_damaged_floor_file_leaves_the_other(tmp_path, damage):
    repository = Repository()
    first = repository.issued["root"][0]
    folder, sources = TrustFolder(tmp_path / "trust"), []
    for version in (1, 2, 3):
        sources.append(lay_out(repository, tmp_path / str(version)))
        if version > 1:
            refresh(folder, first, sources[-1])
        repository.issue("targets", "snapshot", "timestamp")
    newest, older = folder.folder / "floor.b", folder.folder / "floor.a"
    assert decode(newest.read_bytes()).sequence == decode(older.read_bytes()).sequence + 1
    newest.write_bytes(damage)
    shutil.rmtree(folder.folder / "sets")
    with pytest.raises(RolledBack, match="version 2 was trusted"):
        refresh(folder, first, sources[0])
    assert refresh(folder, first, sources[1]).versions["timestamp"] == 2


def test_the_floor_falls_with_the_keys_that_made_it(tmp_path):
    repository = Repository()
    first = repository.issued["root"][0]
    repository.issue("timestamp", version=99_999)
    folder = TrustFolder(tmp_path / "trust")
    refresh(folder, first, lay_out(repository, tmp_path / "ahead"))
    shutil.rmtree(folder.folder / "sets")
    folder.current.unlink()
    repository.rotate("timestamp")
    repository.issue("root")
    repository.issue("timestamp", version=1)
    assert refresh(folder, first, lay_out(repository, tmp_path / "healed")).versions["timestamp"] == 1


def test_an_old_root_after_everything_was_lost_is_refused(tmp_path):
    repository = Repository()
    first = repository.issued["root"][0]
    old = lay_out(repository, tmp_path / "old")
    repository.issue("root")
    folder = TrustFolder(tmp_path / "trust")
    refresh(folder, first, lay_out(repository, tmp_path / "new"))
    shutil.rmtree(folder.folder / "sets")
    with pytest.raises(RolledBack, match="root has version 1"):
        refresh(folder, first, old)


def test_a_refresh_that_brings_nothing_new_writes_nothing(old_and_new):
    folder, _, new, first = old_and_new
    before = (folder.current.readlink(), (folder.folder / "floor.a").read_bytes())
    refresh(folder, first, new)
    assert (folder.current.readlink(), (folder.folder / "floor.a").read_bytes()) == before


def test_two_at_once_do_not_work_in_one_folder(old_and_new):
    folder, _, new, first = old_and_new
    with folder.copied(), pytest.raises(FolderProblem, match="another process"):
        refresh(TrustFolder(folder.folder), first, new)


@pytest.fixture
def full_disk():
    """Files may not grow beyond a size: the kernel refuses as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(most: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))

    yield fill
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_in_a_refresh_leaves_the_old_set(old_and_new, tmp_path, full_disk):
    folder, _, _, first = old_and_new
    repository = Repository()
    repository.issue("targets", "snapshot", "timestamp")
    for number in range(50):
        repository.put(f"target-{number}", b"x")
    repository.issue("targets", "snapshot", "timestamp")
    newer = lay_out(repository, tmp_path / "newer")
    size = max(file.stat().st_size for file in folder.current.rglob("*.json"))
    full_disk(size + 100)
    with pytest.raises(FolderProblem, match="free some space"):
        refresh(folder, first, newer)
    full_disk(resource.RLIM_INFINITY)
    assert refresh(folder, first, newer).versions["snapshot"] == 3


def test_a_full_disk_in_a_download_leaves_nothing_behind(tmp_path, full_disk):
    source, target = _stick(tmp_path, b"x" * 100_000)
    full_disk(50_000)
    with pytest.raises(FolderProblem, match="free some space"):
        download(source, target, tmp_path / "got" / "app")
    full_disk(resource.RLIM_INFINITY)
    assert list((tmp_path / "got").iterdir()) == []
    download(source, target, tmp_path / "got" / "app")


def _stick(tmp_path, content):
    repository = Repository()
    target = repository.put("app", content)
    repository.issue_all()
    lay_out(repository, tmp_path / "stick")
    (tmp_path / "stick" / "targets").mkdir()
    (tmp_path / "stick" / "targets" / f"{target.hashes['sha256']}.app").write_bytes(content)
    return FolderSource(tmp_path / "stick", chunk_bytes=1000), target


def test_a_stick_that_is_pulled_out_is_away_and_not_empty(tmp_path):
    repository = Repository()
    first = repository.issued["root"][0]
    stick = lay_out(repository, tmp_path / "stick")

    class Pulled(FolderSource):
        def metadata(self, name: str, max_bytes: int) -> bytes:
            if name == pulled_at:
                shutil.rmtree(self.folder)
            return super().metadata(name, max_bytes)

    for pulled_at in ("2.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json"):
        copy = tmp_path / f"copy-{pulled_at}"
        shutil.copytree(stick.folder, copy)
        with pytest.raises(SourceAway, match="put the stick in again"):
            refresh(TrustFolder(tmp_path / "trust"), first, Pulled(copy))
    assert refresh(TrustFolder(tmp_path / "trust"), first, stick).versions["root"] == 1


def test_a_stick_that_is_pulled_out_in_a_download_is_gone_on_with(tmp_path):
    source, target = _stick(tmp_path, bytes(range(200)) * 100)
    served = next((source.folder / "targets").iterdir())

    class Pulled(FolderSource):
        def _read(self, handle: int, size: int) -> bytes:
            if handle_count.pop():
                raise SourceAway("pulled out")
            return super()._read(handle, size)

    handle_count = [True, True, False, False, False]
    with pytest.raises(SourceAway):
        download(Pulled(source.folder, 1000), target, tmp_path / "app")
    assert (tmp_path / ".app.part").stat().st_size == 3000
    download(source, target, tmp_path / "app")
    assert (tmp_path / "app").read_bytes() == served.read_bytes()


def test_a_stick_cannot_lead_out_of_its_folder(tmp_path):
    (tmp_path / "stick" / "metadata").mkdir(parents=True)
    (tmp_path / "secret.json").write_text("{}")
    source = FolderSource(tmp_path / "stick")
    for name in ("../../secret.json", "/etc/passwd", "a\0b"):
        with pytest.raises(SourceAway):
            source.metadata(name, 100)
        with pytest.raises(SourceAway), source.target(name):
            pass
