"""Pulling a model from a real server that breaks off, lies, ignores ranges or is not there."""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from device.errors import ConfigError, ModelRefused, ModelUnavailable
from device.models.bundle import load_bundle
from device.models.zoo import MANIFEST, Entry, download, find, load_manifest
from tests.brokers import free_port

CONTENT = bytes(range(256)) * 1024
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Manners:
    """How the server behaves; what was asked of it is kept."""

    content: bytes = CONTENT
    break_after: int | None = None
    knows_ranges: bool = True
    says_length: bool = True
    status: int = 200
    ranges: list[str | None] = field(default_factory=list)


@pytest.fixture
def manners() -> Manners:
    return Manners()


@pytest.fixture
def url(manners: Manners) -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            manners.ranges.append(asked)
            if manners.status != 200:
                self.send_error(manners.status)
                return
            begin = int(asked.removeprefix("bytes=").rstrip("-")) if asked and manners.knows_ranges else 0
            if begin >= len(manners.content):
                self.send_error(416)
                return
            rest = manners.content[begin:]
            self.send_response(206 if begin else 200)
            if manners.says_length:
                self.send_header("Content-Length", str(len(rest)))
            self.end_headers()
            self.wfile.write(rest[: manners.break_after])

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/model.tflite"
    server.shutdown()
    server.server_close()
    thread.join()


def entry(url: str, sha256: str = SHA256) -> Entry:
    return Entry(name="there", url=url, sha256=sha256, licence="MIT")


def files_in(folder: Path) -> list[str]:
    return sorted(file.suffix for file in folder.iterdir())


def test_a_file_is_fetched_and_its_progress_told(url: str, tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    file = download(entry(url), tmp_path / "new", lambda done, whole: told.append((done, whole)))
    assert file.read_bytes() == CONTENT
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_a_file_that_is_there_is_not_fetched_again(url: str, manners: Manners, tmp_path: Path) -> None:
    download(entry(url), tmp_path)
    download(entry(url), tmp_path)
    assert manners.ranges == [None]


def test_a_download_that_broke_off_goes_on_from_there(url: str, manners: Manners, tmp_path: Path) -> None:
    manners.break_after = 100_000
    with pytest.raises(ModelUnavailable, match=r"broke off after 100000 bytes.*goes on from there"):
        download(entry(url), tmp_path)
    manners.break_after = None
    assert download(entry(url), tmp_path).read_bytes() == CONTENT
    assert manners.ranges == [None, "bytes=100000-"]


def test_a_server_that_ignores_ranges_is_heard_from_the_start(
    url: str, manners: Manners, tmp_path: Path
) -> None:
    manners.break_after = 100_000
    with pytest.raises(ModelUnavailable):
        download(entry(url), tmp_path)
    manners.break_after, manners.knows_ranges = None, False
    assert download(entry(url), tmp_path).read_bytes() == CONTENT


def test_a_server_that_names_no_length_is_understood(url: str, manners: Manners, tmp_path: Path) -> None:
    manners.says_length = False
    assert download(entry(url), tmp_path).read_bytes() == CONTENT


def test_a_file_that_was_whole_but_not_yet_checked_is_taken(
    url: str, manners: Manners, tmp_path: Path
) -> None:
    (tmp_path / f"{SHA256}.part").write_bytes(CONTENT)
    assert download(entry(url), tmp_path).read_bytes() == CONTENT
    assert manners.ranges == [f"bytes={len(CONTENT)}-"]


def test_a_part_of_another_file_is_thrown_away_and_fetched_anew(
    url: str, manners: Manners, tmp_path: Path
) -> None:
    (tmp_path / f"{SHA256}.part").write_bytes(b"x" * 1000)
    assert download(entry(url), tmp_path).read_bytes() == CONTENT
    assert manners.ranges == ["bytes=1000-", None]


def test_a_wrong_byte_is_refused_and_nothing_stays(url: str, manners: Manners, tmp_path: Path) -> None:
    manners.content = CONTENT[:-1] + b"!"
    with pytest.raises(ModelRefused, match="the manifest says"):
        download(entry(url), tmp_path)
    assert files_in(tmp_path) == []


@pytest.mark.parametrize("says_length", [True, False])
def test_a_file_larger_than_a_slot_is_refused(
    url: str, manners: Manners, tmp_path: Path, says_length: bool
) -> None:
    manners.says_length = says_length
    with pytest.raises(ModelRefused, match="a device has no room for it"):
        download(entry(url), tmp_path, most_bytes=150_000)
    assert files_in(tmp_path) == []


def test_a_server_that_has_not_got_it_is_a_sentence(url: str, manners: Manners, tmp_path: Path) -> None:
    manners.status = 404
    with pytest.raises(ModelUnavailable, match=r"answers 404.*look whether http"):
        download(entry(url), tmp_path)


def test_offline_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match=r"there is no way to 127\.0\.0\.1.*pehra models add"):
        download(entry(f"http://127.0.0.1:{free_port()}/m.tflite"), tmp_path)


def test_a_name_that_the_zoo_has_not_is_answered_with_those_it_has() -> None:
    with pytest.raises(ModelUnavailable, match="efficientdet-lite0"):
        find(load_manifest(), "yolo-99")


def test_the_shipped_manifest_is_sound_and_takes_no_name_of_a_shipped_model() -> None:
    entries = load_manifest(MANIFEST)
    assert len(entries) >= 2
    assert all(one.licence and one.url.startswith("https://") for one in entries)
    for one in entries:
        with pytest.raises(ModelUnavailable):
            load_bundle(one.name)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not a manifest"),
        ("model = 3", "not a manifest"),
        (
            '[[model]]\nname = "a"\nurl = "file:///etc/passwd"\nsha256 = "{sha}"\nlicence = "x"',
            "neither http nor",
        ),
        (
            '[[model]]\nname = "a"\nurl = "https://a/b"\nsha256 = "short"\nlicence = "x"',
            "64 small hexadecimal",
        ),
        ('[[model]]\nname = "a"\nurl = "https://a/b"\nsha256 = "{sha}"\nlicence = "x"\n' * 2, "there twice"),
    ],
)
def test_a_wrong_manifest_is_refused(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "zoo.toml"
    file.write_text(text.replace("{sha}", SHA256))
    with pytest.raises(ConfigError, match=says):
        load_manifest(file)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_manifest(tmp_path / "none.toml")
