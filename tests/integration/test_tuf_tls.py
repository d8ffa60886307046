"""An image repository behind TLS: trusted by its authority, hung up on when slow, not left for plain HTTP."""

from __future__ import annotations

import ssl
import time

import pytest
import trustme

from ota.errors import SourceAway, TooSlow
from ota.trust.download import download
from ota.trust.folder import TrustFolder
from ota.trust.http import HttpSource
from ota.trust.limits import Limits
from ota.trust.refresh import refresh
from tests.repository_simulator import Repository, serving

LIMITS = Limits(metadata_s=0.5, answer_s=0.5, silence_s=5)


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def served(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with serving(Repository(), context) as one:
        yield one


@pytest.fixture
def source(served, authority):
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return HttpSource(served.metadata_url, served.targets_url, LIMITS, tls=context)


def test_metadata_and_targets_come_over_tls(served, source, tmp_path):
    target = served.repository.put("app", b"content")
    served.repository.issue_all()
    first = served.repository.issued["root"][0]
    assert refresh(TrustFolder(tmp_path / "trust"), first, source, ["app"]).targets["app"] == target
    download(source, target, tmp_path / "app")
    assert (tmp_path / "app").read_bytes() == b"content"


def test_a_server_of_another_authority_is_away(served, tmp_path):
    source = HttpSource(served.metadata_url, served.targets_url, LIMITS)
    with pytest.raises(SourceAway, match="certificate"):
        refresh(TrustFolder(tmp_path / "trust"), served.repository.issued["root"][0], source)
    assert served.asked == []


def test_a_slow_server_is_hung_up_on_under_tls_too(served, source, tmp_path):
    def slow(handler, content):
        handler.head(200, len(content))
        for byte in content:
            handler.wfile.write(bytes([byte]))
            time.sleep(0.02)

    served.faults["timestamp.json"] = slow
    began = time.monotonic()
    with pytest.raises(TooSlow, match=r"not whole within 0\.5 s"):
        refresh(TrustFolder(tmp_path / "trust"), served.repository.issued["root"][0], source)
    assert time.monotonic() - began < 2


def test_a_redirect_out_of_tls_is_not_followed(served, source, tmp_path):
    def elsewhere(handler, _):
        handler.send_response(302)
        handler.send_header("Location", served.metadata_url.replace("https", "http") + "/timestamp.json")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    served.faults["timestamp.json"] = elsewhere
    with pytest.raises(SourceAway, match="not followed"):
        refresh(TrustFolder(tmp_path / "trust"), served.repository.issued["root"][0], source)
