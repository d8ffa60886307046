"""Downloads over HTTP: cut, resumed, changed in between, lied about, held back."""

from __future__ import annotations

import hashlib

import pytest

from ota.errors import NotThere, SourceAway, WrongContent
from ota.trust.download import Passage, download
from ota.trust.http import HttpSource
from ota.trust.limits import Limits

CONTENT = b"".join(hashlib.sha256(bytes([n % 256, n // 256])).digest() for n in range(6_000))
SMALL = Limits(chunk_bytes=4_096, silence_s=0.5, answer_s=1.0)


@pytest.fixture
def target(repository):
    return repository.put("app.tar", CONTENT)


@pytest.fixture
def source(served):
    return HttpSource(served.metadata_url, served.targets_url, SMALL)


@pytest.fixture
def app(tmp_path):
    (tmp_path / "got").mkdir()
    return tmp_path / "got" / "app.tar"


def _cut_after(number):
    """Send as much and hang up, whatever range was asked for."""

    def fault(handler, content):
        begin = handler.begin(len(content)) if "If-Range" in handler.headers else 0
        handler.head(206 if begin else 200, len(content) - begin, '"etag"', begin, len(content))
        handler.wfile.write(content[begin : begin + number])

    return fault


def test_a_download_that_is_cut_goes_on_where_it_was(served, source, target, app):
    ranges = []

    def fault(handler, content):
        ranges.append(handler.headers.get("Range"))
        _cut_after(50_000)(handler, content)

    served.faults["/targets/"] = fault
    download(source, target, app, limits=SMALL)
    assert app.read_bytes() == CONTENT
    assert ranges == [None, "bytes=50000-", "bytes=100000-", "bytes=150000-"]
    assert [file.name for file in app.parent.iterdir()] == ["app.tar"]


def test_a_server_that_dies_for_now_leaves_a_part_for_next_time(served, source, target, app):
    served.faults["/targets/"] = _cut_after(0)
    with pytest.raises(SourceAway):
        download(source, target, app, limits=SMALL)
    served.faults["/targets/"] = _cut_after(10_000)
    with pytest.raises(SourceAway, match="cut off 5 times"):
        download(source, target, app, limits=SMALL)
    assert not app.exists()
    assert (app.parent / ".app.tar.part").stat().st_size == 50_000
    served.faults.clear()
    served.asked.clear()
    # the healthy server calls the file otherwise, so it comes whole
    download(source, target, app, limits=SMALL)
    assert app.read_bytes() == CONTENT
    assert len(served.asked) == 1


def test_a_file_that_changes_between_the_ranges_comes_whole(served, source, target, app):
    served.faults["/targets/"] = lambda handler, content: _cut_after(50_000)(handler, b"old" * 64_000)
    with pytest.raises(SourceAway):
        download(source, target, app, limits=Limits(tries=1, chunk_bytes=4096))
    served.faults.clear()
    download(source, target, app, limits=SMALL)
    assert app.read_bytes() == CONTENT


def test_a_server_that_mixes_two_files_under_one_etag_costs_one_more_download(served, source, target, app):
    served.faults["/targets/"] = lambda handler, content: _cut_after(50_000)(handler, b"old" * 64_000)
    with pytest.raises(SourceAway):
        download(source, target, app, limits=Limits(tries=1, chunk_bytes=4096))
    served.faults["/targets/"] = _cut_after(len(CONTENT))
    served.asked.clear()
    download(source, target, app, limits=SMALL)
    assert app.read_bytes() == CONTENT
    assert len(served.asked) == 2


def test_a_server_that_always_mixes_is_refused_after_one_more_download(served, source, target, app):
    served.faults["/targets/"] = lambda handler, content: _cut_after(100_000)(handler, b"x" * len(CONTENT))
    with pytest.raises(WrongContent, match="hash"):
        download(source, target, app, limits=SMALL)
    assert len(served.asked) == 4
    assert list(app.parent.iterdir()) == []


@pytest.mark.parametrize("length", [0, 1, len(CONTENT) - 1, len(CONTENT) + 1, 10**15])
def test_a_server_that_lies_about_the_length_is_refused_before_anything_is_taken(
    served, source, target, app, length
):
    def fault(handler, content):
        handler.head(200, length)
        handler.wfile.write(content[:length])

    served.faults["/targets/"] = fault
    with pytest.raises(WrongContent, match=f"{len(CONTENT)} were signed"):
        download(source, target, app, limits=SMALL)
    assert list(app.parent.iterdir()) == []


def test_a_server_that_ends_early_without_a_length_is_refused(served, source, target, app):
    def fault(handler, content):
        handler.head(200, None)
        handler.wfile.write(content[:1000])

    served.faults["/targets/"] = fault
    with pytest.raises(WrongContent):
        download(source, target, app, limits=SMALL)


@pytest.mark.parametrize("answer", ["bytes 0-9/192000", "bytes 50001-191999/192000", "nonsense", ""])
def test_a_range_that_was_not_asked_for_is_not_taken(served, source, target, app, answer):
    served.faults["/targets/"] = _cut_after(50_000)
    with pytest.raises(SourceAway):
        download(source, target, app, limits=Limits(tries=1))

    def fault(handler, content):
        handler.send_response(206)
        handler.send_header("Content-Range", answer)
        handler.send_header("Content-Length", str(len(content) - 50_000))
        handler.end_headers()
        handler.wfile.write(content[50_000:])

    served.faults["/targets/"] = fault
    with pytest.raises(SourceAway, match="not asked for"):
        download(source, target, app, limits=SMALL)


def test_a_range_beyond_the_end_is_asked_for_once_more_without_it(served, source, target, app):
    served.faults["/targets/"] = _cut_after(50_000)
    with pytest.raises(SourceAway):
        download(source, target, app, limits=Limits(tries=1))

    def fault(handler, content):
        if handler.headers.get("Range"):
            handler.send_error(416)
        else:
            handler.give(content)

    served.faults["/targets/"] = fault
    download(source, target, app, limits=SMALL)
    assert app.read_bytes() == CONTENT


def test_a_file_without_an_etag_begins_anew(served, source, target, app):
    def fault(handler, content):
        assert "Range" not in handler.headers
        handler.head(200, len(content))
        handler.wfile.write(content[: 30_000 * len(served.asked)])

    served.faults["/targets/"] = fault
    with pytest.raises(SourceAway):
        download(source, target, app, limits=SMALL)
    served.faults.clear()
    download(source, target, app, limits=SMALL)
    assert app.read_bytes() == CONTENT


def test_what_is_whole_and_not_yet_named_is_checked_and_not_fetched(served, source, target, app):
    def stop(there):
        if there == len(CONTENT):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(source, target, app, limits=SMALL, passage=Passage(progress=stop))
    served.asked.clear()
    download(source, target, app, limits=SMALL)
    assert app.read_bytes() == CONTENT
    assert served.asked == []


def test_a_part_of_another_target_is_not_gone_on_with(served, source, repository, target, app):
    served.faults["/targets/"] = _cut_after(50_000)
    with pytest.raises(SourceAway):
        download(source, target, app, limits=Limits(tries=1))
    served.faults.clear()
    other = repository.put("app.tar", CONTENT[::-1])
    download(source, other, app, limits=SMALL)
    assert app.read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize("status", [404, 403, 410, 500])
def test_a_target_that_is_not_there_is_said_with_its_address(served, source, target, app, status):
    served.faults["/targets/"] = lambda handler, _: handler.send_error(status)
    with pytest.raises(NotThere, match=f"app.tar.*{status}"):
        download(source, target, app, limits=SMALL)


def test_a_server_that_is_not_there_at_all_is_away(repository, target, app):
    with pytest.raises(SourceAway):
        download(HttpSource("http://127.0.0.1:9/m", "http://127.0.0.1:9/t"), target, app)


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://x/y", "http://", "http://[", "http://x:99999/", "x"]
)
def test_an_address_that_is_none_of_a_web_server_is_said_to_be(url, target, app):
    with pytest.raises(SourceAway):
        download(HttpSource(url, url), target, app)


def test_an_empty_target_is_made(served, source, repository, app):
    download(source, repository.put("app.tar", b""), app, limits=SMALL)
    assert app.read_bytes() == b""


def test_the_bandwidth_is_kept_to(source, target, app):
    time_s = 0.0

    def pause(seconds):
        nonlocal time_s
        time_s += seconds

    passage = Passage(clock=lambda: time_s, pause=pause)
    download(source, target, app, limits=Limits(most_bytes_per_s=10_000.0), passage=passage)
    assert time_s == pytest.approx(len(CONTENT) / 10_000.0, rel=0.01)


def test_progress_is_told_up_to_the_end(source, target, app):
    told = []
    download(source, target, app, limits=SMALL, passage=Passage(progress=told.append))
    assert told == sorted(told)
    assert told[-1] == len(CONTENT)
