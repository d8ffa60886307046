"""What is cut: refreshing, downloading, signing, publishing. Each returns how many steps were survived."""

from __future__ import annotations

import contextlib
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tuf.api.metadata import Metadata

from ota.errors import Untrusted
from ota.images.adding import Wish, add
from ota.images.founding import found
from ota.images.home import Home
from ota.images.publishing import publish
from ota.images.rotation import rotate
from ota.images.signing import sign_staged
from ota.trust.download import download
from ota.trust.folder import TrustFolder
from ota.trust.refresh import Catalogue, refresh
from ota.trust.sources import FolderSource
from tests.power_cuts import cut_everywhere
from tests.repository_simulator import Repository
from tests.small_releases import model

NOW = datetime.now(UTC)


def ask(_name: str, _is_new: bool) -> str:
    return "correct horse battery"


def lay_out(repository: Repository, folder: Path) -> FolderSource:
    """Write what a repository has issued as files."""
    (folder / "metadata").mkdir(parents=True)
    for role, issued in repository.issued.items():
        for content in issued:
            version = Metadata.from_bytes(content).signed.version
            (folder / "metadata" / f"{version}.{role}.json").write_bytes(content)
    (folder / "metadata" / "timestamp.json").write_bytes(repository.issued["timestamp"][-1])
    return FolderSource(folder)


def refreshing(folder: Path) -> int:
    repository = Repository()
    first = repository.issued["root"][0]
    repository.delegate("targets", "models", "models/*")
    repository.put("models/a", b"a", "models")
    repository.issue("models", "targets", "snapshot", "timestamp")
    old = lay_out(repository, folder / "old")
    repository.issue("root", "models", "targets", "snapshot", "timestamp")
    new = lay_out(repository, folder / "new")

    def bring(place: Path, source: FolderSource) -> Catalogue:
        return refresh(TrustFolder(place / "trust"), first, source, ["models/a"])

    def check(place: Path) -> None:
        trust = TrustFolder(place / "trust")
        versions = [
            Metadata.from_bytes((trust.current / f"{role}.json").read_bytes()).signed.version
            for role in ("timestamp", "snapshot", "targets", "models")
        ]
        assert versions in ([2, 2, 2, 1], [3, 3, 3, 2]), versions
        if versions[0] == 3:
            try:
                bring(place, old)
            except Untrusted:
                pass
            else:
                raise AssertionError("went back")
        assert bring(place, new).versions["timestamp"] == 3
        assert len(list((place / "trust" / "sets").iterdir())) == 1

    before = folder / "before"
    bring(before, old)
    return cut_everywhere(before, folder / "work", lambda place: bring(place, new) and None, check)


def downloading(folder: Path) -> int:
    content = bytes(range(256)) * 400
    repository = Repository()
    target = repository.put("app", content)
    source = lay_out(repository, folder / "source")
    source = FolderSource(folder / "source", chunk_bytes=10_000)
    served = folder / "source" / "targets" / f"{target.hashes['sha256']}.app"
    served.parent.mkdir()
    served.write_bytes(content)

    def act(place: Path) -> None:
        download(source, target, place / "app")

    def check(place: Path) -> None:
        assert not (place / "app").exists() or (place / "app").read_bytes() == content
        download(source, target, place / "app")
        assert [file.name for file in place.iterdir()] == ["app"]

    before = folder / "before"
    before.mkdir()
    steps = cut_everywhere(before, folder / "work", act, check)
    # the same with a part of it there, from a file that has changed since
    (before / ".app.part").write_bytes(b"\0" * 50_000)
    shutil.copy(_note(source, target, folder), before / ".app.note")
    return steps + cut_everywhere(before, folder / "work2", act, check)


def _note(source: FolderSource, target, folder: Path) -> Path:
    """The note of a download that was stopped after its first bytes."""
    from ota.trust.download import Passage

    class Enough(Exception):
        pass

    def stop(_there: int) -> None:
        raise Enough

    place = folder / "noted"
    place.mkdir()
    with contextlib.suppress(Enough):
        download(source, target, place / "app", passage=Passage(progress=stop))
    return place / ".app.note"


def signing(folder: Path) -> int:
    before = folder / "before"
    home = Home(before / "home")
    before.mkdir()
    found(home, ask, NOW)
    release = model(folder / "model", version="1.0")
    other = model(folder / "other", version="2.0", weights=b"other")

    def act(place: Path) -> None:
        home = Home(place / "home")
        with home.locked() as settings:
            add(home, release, Wish(hw=("any",)))
            sign_staged(home, settings, ask, NOW)
            publish(home, settings, place / "www", ask, NOW)

    def check(place: Path) -> None:
        act(place)
        home = Home(place / "home")
        with home.locked() as settings:
            add(home, other, Wish(hw=("any",)))
            assert [one.is_current for one in sign_staged(home, settings, ask, NOW)] == [True]
            publish(home, settings, place / "www", ask, NOW)
        trust = TrustFolder(place / "trust")
        wanted = ["models/small-1.0.tar", "models/small-2.0.tar"]
        catalogue = refresh(trust, home.first_root.read_bytes(), FolderSource(place / "www"), wanted)
        assert None not in catalogue.targets.values()

    return cut_everywhere(before, folder / "work", act, check)


def publishing(folder: Path) -> int:
    before = folder / "before"
    home = Home(before / "home")
    before.mkdir()
    found(home, ask, NOW)
    with home.locked() as settings:
        add(home, model(folder / "one", version="1.0"), Wish(hw=("any",)))
        sign_staged(home, settings, ask, NOW)
        publish(home, settings, before / "www", ask, NOW)
        first = home.first_root.read_bytes()
        refresh(TrustFolder(before / "trust"), first, FolderSource(before / "www"))
        add(home, model(folder / "two", version="2.0", weights=b"two"), Wish(hw=("any",)))
        rotate(home, settings, "root", ask, "root-2")
        sign_staged(home, settings, ask, NOW)

    def act(place: Path) -> None:
        home = Home(place / "home")
        with home.locked() as settings:
            publish(home, settings, place / "www", ask, NOW + timedelta(minutes=1))

    def check(place: Path) -> None:
        source = FolderSource(place / "www")
        wanted = ["models/small-1.0.tar", "models/small-2.0.tar"]
        for trust in (place / "trust", place / "fresh"):
            found = refresh(TrustFolder(trust), first, source, wanted)
            assert found.targets[wanted[0]] is not None
            for target in filter(None, found.targets.values()):
                download(source, target, trust.with_name("got"))
                (place / "got").unlink()
        act(place)
        assert refresh(TrustFolder(place / "trust"), first, source, wanted).targets[wanted[1]] is not None

    return cut_everywhere(before, folder / "work", act, check)
