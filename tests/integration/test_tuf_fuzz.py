"""Whatever a source sends instead of metadata, it is refused in our words and nothing trusted is lost."""

from __future__ import annotations

import contextlib
import json
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tuf.api.exceptions import DownloadHTTPError

from ota.errors import NotThere, TrustError
from ota.trust.folder import TrustFolder
from ota.trust.refresh import refresh
from tests.repository_simulator import Repository

NAMES = ("2.root.json", "timestamp.json", "2.snapshot.json", "2.targets.json", "1.models.json")
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=20),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=3),
)


class Memory:
    """A source in memory, one file of which is what a test wants."""

    def __init__(self, repository: Repository, name: str, content: bytes) -> None:
        self._repository = repository
        self._name = name
        self._content = content

    def metadata(self, name: str, max_bytes: int) -> bytes:
        content = self._content if name == self._name else self._repository.file(f"metadata/{name}")
        if content is None:
            raise NotThere(name)
        return content[: max_bytes + 1]

    def target(self, *_: object) -> contextlib.AbstractContextManager[object]:
        raise DownloadHTTPError("no targets here", 404)


def _repository() -> Repository:
    repository = Repository()
    repository.delegate("targets", "models", "models/*")
    repository.put("models/a", b"a", "models")
    repository.issue("models", "targets", "snapshot", "timestamp", "root")
    return repository


REPOSITORY = _repository()


def _places(value, path=()):
    yield path
    children = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, child in children:
        yield from _places(child, (*path, key))


def _replaced(value, path, new):
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = _replaced(value[path[0]], path[1:], new)
    return copy


@given(st.sampled_from(NAMES), st.data(), ODD)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_metadata_with_an_odd_value_anywhere_is_refused_in_our_words(name, data, odd):
    good = json.loads(REPOSITORY.file(f"metadata/{name}"))
    path = data.draw(st.sampled_from(list(_places(good))))
    changed = _replaced(good, path, odd)
    _refuse(name, json.dumps(changed).encode(), is_same=json.dumps(changed) == json.dumps(good))


@given(st.sampled_from(NAMES), st.integers(0, 3000), st.integers(1, 255))
@settings(max_examples=50, deadline=None)
def test_metadata_with_a_wrong_byte_is_refused_in_our_words(name, at, change):
    content = bytearray(REPOSITORY.file(f"metadata/{name}"))
    content[at % len(content)] ^= change
    _refuse(name, bytes(content), is_same=False)


def _refuse(name: str, content: bytes, *, is_same: bool) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder, first = TrustFolder(Path(place)), REPOSITORY.issued["root"][0]
        try:
            found = refresh(folder, first, Memory(REPOSITORY, name, content), ["models/a"])
        except TrustError:
            assert not is_same
        else:
            # what is not signed may be changed: names of fields beside it, an unused signature
            assert found.targets["models/a"].hashes == REPOSITORY.next["models"].targets["models/a"].hashes
        # and then all is well with a good source
        assert (
            refresh(folder, first, Memory(REPOSITORY, "", b""), ["models/a"]).targets["models/a"] is not None
        )
