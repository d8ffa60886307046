"""Whom a device believes: each way in which a document or a root is not the director's is refused."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from device.firmware.claim_file import IDENTITY
from device.firmware.remote import SignedReader
from device.firmware.trust_roots import keep_roots, lacks_roots
from fleet.director.home import DirectorHome
from fleet.director.seal import Seal
from fleet.errors import HomeUnusable
from ota.errors import BadMessage, FolderProblem, KeyProblem, OutOfDate, Untrusted
from ota.messages import Desired, decode_signed, encode, format_ts, new_id
from ota.messages.signed import MAX_ROOTS, MAX_SIGNED_BYTES
from ota.trust.director import check_chain, follow_roots, open_document, read_root

NOW = datetime(2026, 11, 26, 9, 0, tzinfo=UTC)
PASSPHRASE = "a passphrase for tests"


def ask(_name, _is_new):
    return PASSPHRASE


def never_asked(name, _is_new):
    raise AssertionError(f"nobody is asked for {name}")


def made_director(folder: Path) -> DirectorHome:
    director = DirectorHome(folder)
    director.make(ask, NOW)
    return director


@pytest.fixture
def director(tmp_path):
    return made_director(tmp_path / "fleet")


@pytest.fixture
def state(tmp_path, director):
    """A device that enrolled when the director was new."""
    folder = tmp_path / "state"
    (folder / IDENTITY).mkdir(parents=True)
    keep_roots(folder, [content.decode() for content in director.chain()], "")
    return folder


def a_document(seq=7, **fields):
    values = {"id": new_id(), "ts": format_ts(NOW.timestamp()), "device": "cam-01", "action": new_id()}
    return Desired(**values, seq=seq, expires=format_ts(NOW.timestamp() + 3600), **fields)


def reader(state, now=NOW):
    return SignedReader(state, now=now.timestamp)


def roots(director):
    return [content.decode() for content in director.chain()]


def test_what_the_director_has_signed_is_read_and_is_what_was_signed(director, state):
    document = a_document(overlay=["health_s = 5"], config="ab" * 32)
    assert reader(state)(encode(Seal(director).sign(document))) == document


def test_an_unsigned_document_is_refused(state):
    with pytest.raises(BadMessage, match="not signed"):
        reader(state)(encode(a_document()))


def test_one_that_another_director_has_signed_is_refused(state, tmp_path):
    other = made_director(tmp_path / "other")
    with pytest.raises(Untrusted, match="not signed by the fleet's director"):
        reader(state)(encode(Seal(other).sign(a_document())))


def test_a_document_that_was_changed_after_it_was_signed_is_refused(director, state):
    signed = Seal(director).sign(a_document())
    forged = base64.b64encode(encode(a_document(seq=8))).decode()
    with pytest.raises(Untrusted):
        reader(state)(encode(msgspec.structs.replace(signed, payload=forged)))


def test_a_signature_over_another_type_of_payload_is_refused(director, state):
    said = json.loads(encode(Seal(director).sign(a_document())))
    said["payloadType"] = "application/vnd.in-toto+json"
    with pytest.raises(BadMessage):
        reader(state)(json.dumps(said).encode())


def test_a_signature_that_names_the_director_and_is_noise_is_refused(director, state):
    said = json.loads(encode(Seal(director).sign(a_document())))
    said["signatures"][0]["sig"] = base64.b64encode(b"\x00" * 64).decode()
    with pytest.raises(Untrusted):
        reader(state)(json.dumps(said).encode())


def test_two_signatures_of_one_key_are_refused(director, state):
    said = json.loads(encode(Seal(director).sign(a_document())))
    said["signatures"] *= 2
    with pytest.raises(Untrusted, match="Multiple signatures"):
        reader(state)(json.dumps(said).encode())


def test_a_root_key_cannot_sign_documents(director, state):
    """Only the key of the role `targets` may."""
    from securesystemslib.dsse import Envelope

    from ota.images.keys import open_signer

    root = director.root().signed
    keyid = root.roles["root"].keyids[0]
    signer = open_signer("root-1", "file:director-root-1.pem", root.keys[keyid], [director.keys], ask)
    envelope = Envelope(encode(a_document()), "application/vnd.pehra.desired+json", {})
    envelope.sign(signer)
    with pytest.raises(Untrusted):
        reader(state)(json.dumps(envelope.to_dict()).encode())


@pytest.mark.parametrize(
    "payload",
    [b"", b"\xff", b"[" * 60_000, b"{}", b"null", b'{"payload": "!"}', b"x" * (MAX_SIGNED_BYTES + 1)],
    ids=["empty", "no-text", "deep", "object", "null", "no-base64", "too-large"],
)
def test_what_is_no_envelope_is_refused(state, payload):
    with pytest.raises(BadMessage):
        reader(state)(payload)


def test_a_signed_payload_that_is_no_document_is_refused(director, state):
    from securesystemslib.dsse import Envelope

    envelope = Envelope(b'{"v": 1}', "application/vnd.pehra.desired+json", {})
    envelope.sign(director.signer(director.root()))
    with pytest.raises(BadMessage):
        reader(state)(json.dumps(envelope.to_dict()).encode())


def test_a_device_follows_a_rotation_and_takes_nothing_of_the_old_key_any_more(director, state):
    old = Seal(director)
    director.rotate(ask, NOW)
    new = Seal(director)
    reader(state)(encode(new.sign(a_document(seq=8))))
    with pytest.raises(Untrusted):
        reader(state)(encode(old.sign(a_document(seq=9))))
    assert read_root((state / IDENTITY / "director-root.json").read_bytes()).signed.version == 2


def test_a_device_that_slept_through_three_rotations_follows_them_one_by_one(director, state):
    for key in ("", "root-1", ""):
        director.rotate(ask, NOW, key)
    document = a_document()
    assert reader(state)(encode(Seal(director).sign(document))) == document


def test_a_root_that_its_predecessor_has_not_signed_is_refused_and_not_kept(director, state, tmp_path):
    other = made_director(tmp_path / "other")
    other.rotate(ask, NOW)
    kept = (state / IDENTITY / "director-root.json").read_bytes()
    with pytest.raises(Untrusted, match="director's root 2"):
        reader(state)(encode(Seal(other).sign(a_document())))
    assert (state / IDENTITY / "director-root.json").read_bytes() == kept


def test_a_chain_with_a_missing_link_is_refused(director, state):
    director.rotate(ask, NOW)
    director.rotate(ask, NOW)
    signed = Seal(director).sign(a_document())
    with pytest.raises(Untrusted, match="the one after 1 is missing"):
        reader(state)(encode(msgspec.structs.replace(signed, roots=signed.roots[1:])))


def test_an_older_root_in_a_message_takes_nobody_back(director, state):
    old = Seal(director).sign(a_document())
    director.rotate(ask, NOW)
    reader(state)(encode(Seal(director).sign(a_document())))
    with pytest.raises(Untrusted):
        reader(state)(encode(msgspec.structs.replace(old, roots=[json.loads(director.chain()[0])])))


@pytest.mark.parametrize("root", [{}, {"signed": {}}, {"signed": {"_type": "targets"}, "signatures": []}])
def test_what_is_no_root_is_refused(director, state, root):
    signed = Seal(director).sign(a_document())
    with pytest.raises(Untrusted):
        reader(state)(encode(msgspec.structs.replace(signed, roots=[root])))


def test_a_root_that_names_a_key_and_does_not_hold_it_believes_nobody(director, state):
    root = read_root(director.chain()[0])
    del root.signed.keys[root.signed.roles["targets"].keyids[0]]
    with pytest.raises(Untrusted, match="not signed by the fleet's director"):
        open_document(Seal(director).sign(a_document()), root)


def test_a_root_that_could_not_be_read_again_is_not_followed(director, state, monkeypatch):
    root = read_root(director.chain()[0])
    director.rotate(ask, NOW)
    monkeypatch.setattr("ota.trust.director.MAX_ROOT_BYTES", 100)
    with pytest.raises(Untrusted, match="director's root 2: more than 100 bytes"):
        follow_roots(root, [json.loads(director.chain()[1])])


def test_under_an_expired_root_nothing_new_is_taken_and_the_reason_is_said(director, state):
    message = encode(Seal(director).sign(a_document()))
    with pytest.raises(OutOfDate, match="held until"):
        reader(state, NOW + timedelta(days=366))(message)
    director.rotate(ask, NOW + timedelta(days=366))
    reader(state, NOW + timedelta(days=367))(encode(Seal(director).sign(a_document())))


def test_a_clock_that_is_surely_wrong_holds_no_date_against_a_root(director, state):
    reader(state, datetime(1970, 1, 1, tzinfo=UTC))(encode(Seal(director).sign(a_document())))


def test_a_board_that_knows_no_director_takes_nothing(director, state):
    (state / IDENTITY / "director-root.json").unlink()
    with pytest.raises(Untrusted, match="knows no director yet"):
        reader(state)(encode(Seal(director).sign(a_document())))


def test_a_new_root_that_cannot_be_kept_is_not_used(director, state, monkeypatch):
    director.rotate(ask, NOW)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("device.firmware.trust_roots.write_whole", full)
    with pytest.raises(FolderProblem, match="No space left"):
        reader(state)(encode(Seal(director).sign(a_document())))


def test_a_root_of_the_card_is_not_replaced_by_what_a_fleet_says(state, tmp_path):
    kept = (state / IDENTITY / "director-root.json").read_bytes()
    keep_roots(state, roots(made_director(tmp_path / "other")), "")
    assert (state / IDENTITY / "director-root.json").read_bytes() == kept


def test_a_damaged_root_is_asked_for_again(director, state):
    file = state / IDENTITY / "director-root.json"
    whole = file.read_bytes()
    file.write_bytes(whole[:300])
    keep_roots(state, roots(director), "")
    assert file.read_bytes() == whole


def test_a_damaged_root_of_the_images_is_asked_for_again(director, state):
    file = state / IDENTITY / "image-root.json"
    keep_roots(state, [], roots(director)[0])
    whole = file.read_bytes()
    assert not lacks_roots(state)
    file.write_bytes(b"")
    assert lacks_roots(state)
    keep_roots(state, [], whole.decode())
    assert file.read_bytes() == whole


def test_a_seal_takes_up_a_rotation_by_itself_and_sends_the_roots_along(director):
    seal = Seal(director)
    assert seal.sign(a_document()).roots == []
    director.rotate(ask, NOW)
    assert seal.look()
    assert not seal.look()
    assert len(seal.sign(a_document()).roots) == 1


def test_a_message_carries_the_newest_roots_only_and_fits_with_the_largest_document(director):
    for _ in range(MAX_ROOTS + 2):
        director.rotate(ask, NOW)
    lines = ['"' * 190] * 240
    payload = encode(Seal(director).sign(a_document(overlay=lines, config="ab" * 32)))
    assert len(decode_signed(payload).roots) == MAX_ROOTS
    assert 100_000 < len(payload) < MAX_SIGNED_BYTES
    assert check_chain(director.chain()).signed.version == MAX_ROOTS + 3
    assert follow_roots(check_chain(director.chain()[:3]), decode_signed(payload).roots).signed.version == 19


def test_one_root_key_is_enough_also_for_putting_another_in_the_place_of_a_lost_one(director):
    (director.keys / "director-root-1.pem").unlink()
    done = director.rotate(ask, NOW, "root-1")
    assert (done.version, done.key) == (2, "root-3")
    assert director.rotate(ask, NOW).version == 3


def test_without_a_root_key_nothing_is_rotated(director):
    for file in director.keys.iterdir():
        file.unlink()
    before = director.chain()
    with pytest.raises(KeyProblem, match="not at hand"):
        director.rotate(ask, NOW)
    assert director.chain() == before
    Seal(director)


def test_a_root_key_on_a_stick_signs(director, tmp_path):
    stick = tmp_path / "stick"
    stick.mkdir()
    for file in list(director.keys.iterdir()):
        file.rename(stick / file.name)
    assert director.rotate(ask, NOW, more=[stick]).key == "key-2"


def test_a_wrong_passphrase_changes_nothing(director):
    with pytest.raises(KeyProblem, match="passphrase is wrong"):
        director.rotate(lambda *_: "not the passphrase", NOW)
    assert director.newest() == 1
    Seal(director)


def test_the_key_that_was_rotated_away_is_gone_from_the_disk(director):
    director.rotate(ask, NOW)
    assert [file.name for file in director.online.iterdir()] == ["key-2.pem"]


def test_there_is_one_director_in_a_home(director):
    with pytest.raises(HomeUnusable, match="already"):
        director.make(never_asked, NOW)


def test_a_director_whose_first_root_was_lost_is_not_made_anew_over_its_keys(director):
    director.rotate(ask, NOW)
    (director.roots / "1.root.json").unlink()
    before = {file: file.read_bytes() for file in director.folder.rglob("*.*") if file.is_file()}
    with pytest.raises(HomeUnusable, match="backup"):
        director.make(never_asked, NOW)
    assert {file: file.read_bytes() for file in director.folder.rglob("*.*") if file.is_file()} == before


def test_a_short_passphrase_makes_no_director(tmp_path):
    director = DirectorHome(tmp_path)
    with pytest.raises(KeyProblem, match="12 letters"):
        director.make(lambda *_: "short", NOW)
    assert not director.exists
    director.make(ask, NOW)
    Seal(director)


def test_a_seal_without_its_key_says_what_to_do(director):
    for file in director.online.iterdir():
        file.unlink()
    with pytest.raises(HomeUnusable, match="rotate"):
        Seal(director)
