"""Makes deltas from the last versions of each release to its newest, with the online key.

A delta is only a way to say a release that the offline keys have signed: whoever steals the online key can
waste a download, and no more.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import groupby

from tuf.api.metadata import TargetFile

from ota.images.fresh import sign_online
from ota.images.home import DELTAS, FIRMWARE, MODELS, Home, Settings, expiry
from ota.images.signing import Signers
from ota.trust.delta import delta_path, make_delta
from ota.trust.download import file_name
from ota.trust.limits import Limits
from ota.trust.release import release_of, version_key
from ota.whole import write_whole


def refresh_deltas(home: Home, settings: Settings, signers: Signers, now: datetime) -> list[TargetFile]:
    """Make the deltas that are wanted and not there, and drop the others; return what was made.

    Raises:
        KeyProblem: The online key is not here.
    """
    role = home.targets_role(DELTAS)
    wanted = {delta_path(_sha256(old), _sha256(new)): (old, new) for old, new in _pairs(home, settings)}
    kept = {path: target for path, target in role.targets.items() if path in wanted}
    settings.not_smaller = [path for path in settings.not_smaller if path in wanted]
    made = []
    for path, (old, new) in wanted.items():
        if path not in kept and path not in settings.not_smaller:
            delta = _make(home, old, new)
            if len(delta) >= new.length:
                settings.not_smaller.append(path)
                continue
            made.append(_store(home, path, delta))
    if made or len(kept) != len(role.targets):
        fresh = home.next_version(DELTAS)
        fresh.signed.targets = {**kept, **{target.path: target for target in made}}
        fresh.signed.expires = expiry(settings, DELTAS, now)
        sign_online(home, signers, DELTAS, fresh)
    return made


def _pairs(home: Home, settings: Settings) -> Iterator[tuple[TargetFile, TargetFile]]:
    """Give each older version that counts, with the newest of its name."""
    for role in (MODELS, FIRMWARE):
        targets = home.targets_role(role).targets.values()

        def name(target: TargetFile) -> str:
            return release_of(target).name

        def order(target: TargetFile) -> tuple[str, object]:
            return name(target), version_key(release_of(target).version)

        for _, group in groupby(sorted(targets, key=order), key=name):
            *older, newest = group
            for old in older[-settings.delta_from :] if settings.delta_from > 0 else []:
                if max(old.length, newest.length) <= Limits().max_delta_bytes and old.hashes != newest.hashes:
                    yield old, newest


def _make(home: Home, old: TargetFile, new: TargetFile) -> bytes:
    contents = [(home.targets / file_name(target, prefixes_hash=True)).read_bytes() for target in (old, new)]
    return make_delta(*contents)


def _store(home: Home, path: str, delta: bytes) -> TargetFile:
    target = TargetFile.from_data(path, delta, ["sha256"])
    file = home.targets / file_name(target, prefixes_hash=True)
    file.parent.mkdir(exist_ok=True)
    write_whole(file, delta)
    return target


def _sha256(target: TargetFile) -> str:
    return target.hashes["sha256"]
