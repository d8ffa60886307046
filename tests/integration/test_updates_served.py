"""The image repository behind the fleet's own web server: HTTPS, ranges, caches, and nothing else."""

from __future__ import annotations

import hashlib
import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from tuf.api.metadata import TargetFile

from fleet.app import create_api
from fleet.images.serving import ImageFiles
from fleet.peer import PeerProtocol
from fleet.services import build_services
from fleet.serving import listen, serve
from fleet.settings import Settings
from ota.errors import NotThere, SourceAway
from ota.trust.download import download, file_name
from ota.trust.folder import TrustFolder
from ota.trust.http import HttpSource
from ota.trust.limits import Limits
from ota.trust.refresh import refresh
from tests.brokers import Certificates, wait_until
from tests.fleet_server import running_proxy
from tests.homes import make_home
from tests.image_repository import Images

WEIGHTS = bytes(range(256)) * 8000
PATH = "models/small-1.0.tar"


class Server:
    """A fleet with a home and a published repository, over TLS."""

    def __init__(self, folder: Path) -> None:
        self.images = Images(folder)
        self.images.model("1.0", weights=WEIGHTS)
        self.images.publish()
        self.home = make_home(folder / "home")
        self.certificate = Certificates(self.home, folder).file("cam-01")
        settings = Settings(
            database_url=f"sqlite:///{self.home.database}", home=self.home.folder, images=self.images.folder
        )
        self.services = build_services(settings)
        self.listener = listen("127.0.0.1", 0)
        self.port = self.listener.getsockname()[1]
        self.tls = ssl.create_default_context(cafile=str(self.home.authorities))
        self.tls.load_cert_chain(self.certificate)
        self.stop, ready = threading.Event(), threading.Event()
        options = {"ready": ready.set, "tls": self.services.tls}
        arguments = (create_api(self.services), self.listener, self.stop)
        self.thread = threading.Thread(target=serve, args=arguments, kwargs=options)
        self.thread.start()
        assert ready.wait(30)

    def close(self) -> None:
        self.stop.set()
        self.thread.join(20)
        self.services.close()

    def source(self, port: int = 0, limits: Limits | None = None) -> HttpSource:
        url = f"https://localhost:{port or self.port}/updates"
        return HttpSource(f"{url}/metadata", f"{url}/targets", limits, tls=self.tls)

    def target(self, folder: Path) -> TargetFile:
        root = self.images.home.first_root.read_bytes()
        found = refresh(TrustFolder(folder / "trust"), root, self.source(), [PATH]).targets[PATH]
        assert found is not None
        return found


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("updates"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def http(server: Server) -> Iterator[httpx.Client]:
    """Somebody without a certificate and without a log-in."""
    context = ssl.create_default_context(cafile=str(server.home.authorities))
    with httpx.Client(base_url=f"https://localhost:{server.port}/updates", verify=context) as client:
        yield client


@pytest.fixture(scope="module")
def name(server: Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    target = server.target(tmp_path_factory.mktemp("name"))
    return f"/targets/{file_name(target, prefixes_hash=True)}"


def test_a_device_refreshes_and_downloads_what_was_signed(server: Server, tmp_path: Path) -> None:
    target = server.target(tmp_path)
    download(server.source(), target, tmp_path / "model.tar")
    assert hashlib.sha256((tmp_path / "model.tar").read_bytes()).hexdigest() == target.hashes["sha256"]


def test_a_download_that_is_cut_goes_on_where_it_was(server: Server, tmp_path: Path) -> None:
    target = server.target(tmp_path)
    with running_proxy(server.port) as proxy:
        proxy.allow(down=600_000)
        with pytest.raises(SourceAway):
            download(server.source(proxy.port, Limits(tries=1)), target, tmp_path / "model.tar")
        part = next(tmp_path.glob("*.part")).stat().st_size
        assert 300_000 < part < 600_000
        proxy.allow()
        asked = len(WEIGHTS) - part
        download(server.source(proxy.port), target, tmp_path / "model.tar")
        assert proxy._passed["down"] < asked + 200_000, "the first part did not come again"
    assert (tmp_path / "model.tar").stat().st_size == target.length


def test_a_range_is_answered_with_that_range(http: httpx.Client, name: str) -> None:
    whole = http.get(name).content
    for said, part in (
        ("bytes=100-199", whole[100:200]),
        ("bytes=-7", whole[-7:]),
        ("bytes=2048000-", whole[2048000:]),
    ):
        answer = http.get(name, headers={"range": said})
        assert (answer.status_code, answer.content) == (206, part)
        assert answer.headers["content-range"].endswith(f"/{len(whole)}")
    assert http.get(name).headers["accept-ranges"] == "bytes"


def test_a_range_beyond_the_end_is_416_and_says_how_long_the_file_is(http: httpx.Client, name: str) -> None:
    length = int(http.head(name).headers["content-length"])
    answer = http.get(name, headers={"range": f"bytes={length}-"})
    assert (answer.status_code, answer.headers["content-range"]) == (416, f"bytes */{length}")


def test_if_range_gives_the_range_of_the_same_version_and_the_whole_of_another(
    http: httpx.Client, name: str
) -> None:
    etag = http.head(name).headers["etag"]
    assert etag == f'"{name.rpartition("/")[2].split(".")[0]}"', "the hash is the mark, on every server"
    asked = {"range": "bytes=5-9"}
    assert http.get(name, headers=asked | {"if-range": etag}).status_code == 206
    assert http.get(name, headers=asked | {"if-range": '"another"'}).status_code == 200
    assert http.get(name, headers=asked | {"if-range": f"W/{etag}"}).status_code == 200, (
        "weak marks do not count"
    )


@pytest.mark.parametrize("path", ["/metadata/timestamp.json", "/metadata/1.root.json", None])
def test_what_a_client_has_already_is_304_without_a_body(
    http: httpx.Client, name: str, path: str | None
) -> None:
    path = path or name
    etag = http.get(path).headers["etag"]
    for said in (etag, f"W/{etag}", f'"x", {etag}', "*"):
        answer = http.get(path, headers={"if-none-match": said})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag)
    assert http.get(path, headers={"if-none-match": '"x"'}).status_code == 200


def test_head_says_what_get_would(http: httpx.Client, name: str) -> None:
    for path in (name, "/metadata/timestamp.json"):
        head, got = http.head(path), http.get(path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == str(len(got.content))
        assert head.headers["etag"] == got.headers["etag"]


def test_caches_keep_what_never_changes_and_ask_for_the_timestamp(http: httpx.Client, name: str) -> None:
    said = {
        path: http.get(path).headers["cache-control"]
        for path in (name, "/metadata/1.root.json", "/metadata/timestamp.json", "/metadata/2.root.json")
    }
    assert "immutable" in said[name]
    assert "immutable" in said["/metadata/1.root.json"]
    assert said["/metadata/timestamp.json"] == "public, no-cache"
    assert said["/metadata/2.root.json"] == "no-store", "a root that is not there yet"


def test_a_new_timestamp_has_another_mark(server: Server, http: httpx.Client) -> None:
    before = http.get("/metadata/timestamp.json")
    server.images.model("1.1")
    server.images.publish()
    after = http.get("/metadata/timestamp.json", headers={"if-none-match": before.headers["etag"]})
    assert after.status_code == 200
    assert after.headers["etag"] != before.headers["etag"]


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/metadata",
        "/metadata/",
        "/metadata/../../repository/online/timestamp-1.pem",
        "/metadata/%2e%2e/%2e%2e/repository/repository.json",
        "/metadata/..%2f..%2frepository%2frepository.json",
        "/targets/..%5c..%5crepository",
        "/targets//etc/passwd",
        "/targets/%00",
        "/targets/models",
        "/metadata/.timestamp.json.new",
        "/metadata/timestamp.json/x",
        "/repository/repository.json",
        "/metadata/nothing.json",
        "/metadata/link.json",
    ],
)
def test_nothing_else_is_served(server: Server, path: str) -> None:
    link = server.images.folder / "metadata" / "link.json"
    if not link.exists():
        link.symlink_to(server.images.home.folder / "repository.json")
    (server.images.folder / "metadata" / ".timestamp.json.new").write_text("{}")
    with (  # httpx would tidy the path up
        socket.create_connection(("127.0.0.1", server.port)) as plain,
        server.tls.wrap_socket(plain, server_hostname="localhost") as line,
    ):
        line.sendall(f"GET /updates{path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        answer = b""
        while piece := line.recv(65_536):
            answer += piece
    assert answer.split()[1] in (b"404", b"307", b"400"), answer[:200]
    assert b"PRIVATE" not in answer
    assert b"life_days" not in answer


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_it_is_read_only(http: httpx.Client, name: str, method: str) -> None:
    answer = http.request(method, name)
    assert (answer.status_code, answer.headers.get("allow")) == (405, "GET, HEAD")


def test_without_tls_nobody_is_answered(server: Server) -> None:
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"http://127.0.0.1:{server.port}/updates/metadata/timestamp.json")


def test_a_fleet_without_a_repository_has_no_updates() -> None:
    assert ImageFiles(None)._file("/metadata/timestamp.json") is None


def test_downloads_leave_room_for_people(
    server: Server, http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fleet.images.serving.DOWNLOADS_MAX", 0)
    answer = http.get("/metadata/timestamp.json")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")
    root = server.images.home.first_root.read_bytes()
    with pytest.raises(SourceAway) as refused:
        refresh(
            TrustFolder(server.images.home.folder / "x"), root, server.source(), [], now=datetime.now(UTC)
        )
    assert not isinstance(refused.value, NotThere)


def test_who_takes_nothing_of_an_answer_is_cut_off(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PeerProtocol, "stall_s", 0.3)
    with (server.images.folder / "targets" / "large.bin").open("wb") as large:
        large.truncate(32 * 1024 * 1024)  # more than the system keeps for a peer
    with (
        socket.create_connection(("127.0.0.1", server.port)) as plain,
        server.tls.wrap_socket(plain, server_hostname="localhost") as line,
    ):
        line.sendall(b"GET /updates/targets/large.bin HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert line.recv(100).startswith(b"HTTP/1.1 200")
        ours = f":{server.port:04X} 0100007F:{line.getsockname()[1]:04X} 01"
        wait_until(lambda: ours not in Path("/proc/net/tcp").read_text(), "the server gives up")


def test_the_console_lets_updates_pass_without_a_log_in() -> None:
    from fleet.console.guard import OWN_DOORS

    assert "/updates/metadata/timestamp.json".startswith(OWN_DOORS)
