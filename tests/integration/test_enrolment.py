"""Claims are spent, and devices let in, replaced and ended, on both databases, with real keys."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import Engine, func, inspect
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session, select

from device.firmware.identity import signing_request
from fleet.access.caller import Caller, Grant
from fleet.access.roles import Role
from fleet.errors import BadClaim, Conflict, EnrolmentRefused, Forbidden, NotFound
from fleet.identity import enrolment, revocation
from fleet.identity.authority import name_of
from fleet.identity.claims import Board, Terms, cancel_claim, read_boards
from fleet.identity.home import Home
from fleet.identity.keeper import Keeper, read_crl
from fleet.identity.office import Office, replacement_terms
from fleet.reading import read_message
from fleet.store.database import alembic_config, open_database
from fleet.store.tables import Desired, Device
from fleet.store.tables_identity import Certificate, Claim, Enrolment, Identity
from fleet.store.write import write_batch
from ota.enrolment import EnrolAnswer, EnrolRequest
from ota.messages import Channel, Topic, encode
from tests.fake_device import info
from tests.homes import make_home

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
NASTY = "Robert'); DROP TABLE identity;-- <script>alert(1)</script> {{7*7}} %s %(x)s \\ \u202e \U0001f4f7"


@dataclass
class Clock:
    """The fleet's clock."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, **words: float) -> None:
        self.now += timedelta(**words)


@dataclass
class Board_:
    """A board that has made a key."""

    serial: str = ""
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def request(self, claim: str, device: str = "", **more: Any) -> EnrolRequest:
        csr = signing_request(self.key, device)
        return EnrolRequest(claim=claim, csr=csr, serial=self.serial, device=device, **more)


class Counter:
    """A fleet's counter with a session of its own for each question, as over HTTP."""

    def __init__(self, engine: Engine, home: Home, clock: Clock) -> None:
        self.engine, self.clock = engine, clock
        self.office = Office(home, clock)

    def claim(self, terms: Terms, by: Caller | str = "noor") -> str:
        with Session(self.engine) as session:
            return self.office.new_ticket(session, terms, by)[1].claim

    def enrol(self, request: EnrolRequest) -> EnrolAnswer:
        with Session(self.engine) as session:
            return self.office.enrol(session, request)

    def refusal(self, request: EnrolRequest) -> str:
        with pytest.raises(EnrolmentRefused) as refused:
            self.enrol(request)
        return refused.value.reason

    def rows(self, table: type[Any]) -> list[Any]:
        with Session(self.engine) as session:
            return list(session.exec(select(table)))

    def do(self, deed: Any, *arguments: Any) -> Any:
        with Session(self.engine) as session:
            return deed(session, *arguments)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return make_home(tmp_path_factory.mktemp("home"))


@pytest.fixture
def counter(engine: Engine, home: Home) -> Iterator[Counter]:
    yield Counter(engine, home, Clock(datetime.now(UTC)))


def own(answer: EnrolAnswer) -> x509.Certificate:
    return x509.load_pem_x509_certificate(answer.certificate.encode())


def test_a_board_gets_an_identity_and_the_same_again_the_same(counter: Counter) -> None:
    claim = counter.claim(Terms(site="lahore/gulberg", timezone="Asia/Karachi", device="cam-01"))
    request = Board_("100").request(claim)
    first, second = counter.enrol(request), counter.enrol(request)
    assert first.certificate == second.certificate
    assert (first.device, first.site, first.timezone) == ("cam-01", "lahore/gulberg", "Asia/Karachi")
    assert name_of(own(first)) == "cam-01"
    assert [len(counter.rows(table)) for table in (Identity, Certificate, Enrolment, Device)] == [1, 1, 1, 1]


def test_another_key_does_not_get_in_with_a_claim_that_was_spent(counter: Counter) -> None:
    claim = counter.claim(Terms())
    board = Board_()
    counter.enrol(board.request(claim))
    assert counter.refusal(Board_().request(claim)) == "claim-used"
    assert counter.enrol(board.request(claim)).state == "enrolled"


def test_a_claim_ends_by_time_and_by_hand_but_not_for_those_who_are_in(counter: Counter) -> None:
    late, ended = counter.claim(Terms(uses=2, life=timedelta(hours=1))), counter.claim(Terms(uses=2))
    inside = Board_()
    counter.enrol(inside.request(late))
    counter.clock.pass_(hours=1)
    assert counter.refusal(Board_().request(late)) == "claim-expired"
    assert counter.enrol(inside.request(late)).state == "enrolled"
    (row,) = [one for one in counter.rows(Claim) if one.used == 0]
    counter.do(cancel_claim, row.id)
    assert counter.refusal(Board_().request(ended)) == "claim-expired"


def test_a_claim_that_nobody_made_is_unknown(counter: Counter) -> None:
    assert counter.refusal(Board_().request("f" * 32)) == "claim-unknown"
    assert counter.rows(Enrolment) == []


def test_a_claim_for_another_site_serial_or_id_is_refused(counter: Counter) -> None:
    here = counter.claim(Terms(site="lahore/gulberg"))
    assert counter.refusal(Board_().request(here, site="lahore/johar")) == "claim-site"
    assert counter.refusal(Board_().request(here, site="lahore")) == "claim-site"
    assert counter.enrol(Board_().request(here, site="lahore/gulberg")).site == "lahore/gulberg"
    bound = counter.claim(Terms(serial="100"))
    assert counter.refusal(Board_("101").request(bound)) == "claim-serial"
    assert counter.refusal(Board_().request(bound)) == "claim-serial"
    assert counter.enrol(Board_("100").request(bound)).state == "enrolled"
    named = counter.claim(Terms(device="cam-09"))
    assert counter.refusal(Board_().request(named, "cam-08")) in {"id-taken", "csr"}
    assert {one.used for one in counter.rows(Claim)} == {0, 1}


@pytest.mark.parametrize("uses", [1, 5])
def test_a_card_may_be_below_its_claims_site_but_not_beside_it(counter: Counter, uses: int) -> None:
    claim = counter.claim(Terms(site="lahore", uses=uses))
    for beside in ("lahore-cantt", "karachi"):
        assert counter.refusal(Board_().request(claim, site=beside)) == "claim-site"
    assert counter.enrol(Board_().request(claim, site="lahore/gulberg")).site == "lahore/gulberg"


def test_a_card_may_be_below_what_the_list_says_of_its_board_but_not_beside_it(counter: Counter) -> None:
    boards = read_boards("serial,id,site\n100,,lahore/a\n")
    claim = counter.claim(Terms(site="lahore", boards=boards))
    assert counter.refusal(Board_("100").request(claim, site="lahore/b")) == "claim-site"
    assert counter.enrol(Board_("100").request(claim, site="lahore/a/gate")).site == "lahore/a/gate"


def test_a_list_lets_its_boards_in_once_each_with_the_id_and_site_it_says(counter: Counter) -> None:
    boards = read_boards("serial,id,site\n100,cam-100,lahore/a\n101,,\n")
    claim = counter.claim(Terms(site="lahore", boards=boards))
    answer = counter.enrol(Board_("100").request(claim))
    assert (answer.device, answer.site) == ("cam-100", "lahore/a")
    assert counter.refusal(Board_("100").request(claim)) == "claim-used"
    assert counter.refusal(Board_("102").request(claim)) == "claim-serial"
    assert counter.enrol(Board_("101").request(claim, site="lahore/b")).site == "lahore/b"


def at_once(deeds: list[Any]) -> list[Any]:
    """What each deed gives or raises, all begun in the same moment."""
    gate = threading.Barrier(len(deeds))

    def one(deed: Any) -> Any:
        gate.wait(20)
        try:
            return deed()
        except (EnrolmentRefused, Conflict, DBAPIError) as error:
            return error

    with ThreadPoolExecutor(len(deeds)) as pool:
        return list(pool.map(one, deeds))


def test_of_more_boards_at_once_than_a_batch_allows_exactly_those_get_in(counter: Counter) -> None:
    claim = counter.claim(Terms(uses=7))
    requests = [Board_(str(number)).request(claim) for number in range(8)]
    got = at_once([lambda request=request: counter.enrol(request) for request in requests])
    refused = [one for one in got if isinstance(one, Exception)]
    assert [getattr(one, "reason", repr(one)) for one in refused] == ["claim-used"]
    assert len({one.device for one in got if isinstance(one, EnrolAnswer)}) == 7
    assert counter.rows(Claim)[0].used == 7


@pytest.mark.parametrize("uses", [1, 3])
def test_one_board_that_asks_four_times_at_once_is_one_enrolment(counter: Counter, uses: int) -> None:
    request = Board_("100").request(counter.claim(Terms(uses=uses)))
    got = at_once([lambda: counter.enrol(request)] * 4)
    assert [one for one in got if isinstance(one, Exception)] == []
    assert len({one.certificate for one in got}) == 1
    assert (len(counter.rows(Certificate)), counter.rows(Claim)[0].used) == (1, 1)


def test_two_claims_that_give_one_id_at_once_let_one_board_in(counter: Counter) -> None:
    claims = [counter.claim(Terms()) for _ in range(3)]
    got = at_once([lambda c=claim: counter.enrol(Board_().request(c, "cam-same")) for claim in claims])
    refused = [one for one in got if isinstance(one, Exception)]
    assert [getattr(one, "reason", repr(one)) for one in refused] == ["id-taken"] * 2
    assert len(counter.rows(Certificate)) == 1


def test_a_board_that_was_approved_and_asks_twice_at_once_has_one_certificate(counter: Counter) -> None:
    request = Board_().request(counter.claim(Terms(needs_approval=True)))
    counter.enrol(request)
    (waiting,) = counter.rows(Enrolment)
    counter.do(enrolment.decide, waiting.id, "approved", "noor", counter.clock())
    got = at_once([lambda: counter.enrol(request)] * 3)
    assert [one for one in got if isinstance(one, Exception)] == []
    assert len(counter.rows(Certificate)) == 1


def test_a_board_waits_for_approval_and_then_is_let_in(counter: Counter) -> None:
    request = Board_("100").request(counter.claim(Terms(needs_approval=True, device="cam-01")))
    for _ in range(2):
        answer = counter.enrol(request)
        assert (answer.state, answer.device, answer.certificate) == ("waiting", "cam-01", "")
        assert answer.retry_s > 0
    (waiting,) = counter.do(enrolment.list_enrolments, "waiting")
    for _ in range(2):  # the second click changes nothing
        decided = counter.do(enrolment.decide, waiting.id, "approved", "noor", counter.clock())
        assert decided.state == "approved"
    assert counter.enrol(request).state == "enrolled"
    with pytest.raises(Conflict, match="was approved by noor"):
        counter.do(enrolment.decide, waiting.id, "refused", "x", counter.clock())
    with pytest.raises(NotFound):
        counter.do(enrolment.decide, "nobody", "approved", "noor", counter.clock())


def test_a_board_that_an_administrator_refuses_is_refused_for_good(counter: Counter) -> None:
    request = Board_().request(counter.claim(Terms(needs_approval=True)))
    counter.enrol(request)
    (waiting,) = counter.rows(Enrolment)
    counter.do(enrolment.decide, waiting.id, "refused", NASTY * 3, counter.clock())
    assert [counter.refusal(request), counter.refusal(request)] == ["refused", "refused"]
    assert counter.rows(Identity) == []


def test_two_boards_that_wait_under_one_id_are_not_both_let_in(counter: Counter) -> None:
    claims = [counter.claim(Terms(needs_approval=True)) for _ in range(2)]
    requests = [Board_().request(claim, "cam-same") for claim in claims]
    for request in requests:
        counter.enrol(request)
    for waiting in counter.rows(Enrolment):
        counter.do(enrolment.decide, waiting.id, "approved", "noor", counter.clock())
    assert counter.enrol(requests[0]).state == "enrolled"
    assert counter.refusal(requests[1]) == "id-taken"
    assert len(counter.rows(Certificate)) == 1


def test_two_administrators_at_once_decide_once(counter: Counter) -> None:
    counter.enrol(Board_().request(counter.claim(Terms(needs_approval=True))))
    (waiting,) = counter.rows(Enrolment)
    deeds = [
        lambda state=state: counter.do(enrolment.decide, waiting.id, state, state, counter.clock())
        for state in ("approved", "refused", "approved", "refused")
    ]
    got = at_once(deeds)
    assert sum(isinstance(one, Conflict) for one in got) == 2, "those who wanted the other thing are told"
    states = {one.state for one in got if not isinstance(one, Conflict)}
    (decided,) = counter.rows(Enrolment)
    assert {decided.state, decided.decided_by} == states


def test_a_new_board_takes_over_id_site_wishes_and_history_and_the_old_one_ends(counter: Counter) -> None:
    old = counter.enrol(
        Board_("100").request(counter.claim(Terms(site="lahore", timezone="Asia/Karachi", device="cam-01")))
    )
    with Session(counter.engine) as session:
        session.add(Desired(device="cam-01", seq=3, action="a", sha256="0" * 64, overlay="", made_ms=1))
        row = session.get_one(Device, "cam-01")
        row.first_seen_ms = 5
        session.add(row)
        session.commit()
    terms = counter.do(replacement_terms, "cam-01", "200")
    claim = counter.claim(terms)
    assert counter.refusal(Board_("100").request(claim)) == "claim-serial"
    counter.clock.pass_(days=1)
    new = counter.enrol(Board_("200").request(claim))
    assert (new.device, new.site, new.timezone) == (old.device, old.site, old.timezone)
    assert new.desired is not None
    (identity,) = counter.rows(Identity)
    assert (identity.serial, identity.state) == ("200", "active")
    assert [one.first_seen_ms for one in counter.rows(Device)] == [5]
    ended = {one.number: one.reason for one in counter.rows(Certificate) if one.revoked_ms is not None}
    assert ended == {format(own(old).serial_number, "x"): "replaced"}
    with Session(counter.engine) as session, pytest.raises(EnrolmentRefused, match="no longer trusted"):
        counter.office.renew(session, own(old), signing_request(Board_().key, ""))


def test_a_revoked_device_comes_back_only_by_a_claim_made_for_it(counter: Counter) -> None:
    first = Board_()
    open_claim = counter.claim(Terms(uses=9))
    spent = counter.claim(Terms(device="cam-01"))
    counter.enrol(first.request(spent))
    counter.do(revocation.revoke_device, "cam-01", "keyCompromise", counter.clock())
    assert counter.refusal(first.request(spent)) == "claim-used"
    assert counter.refusal(Board_().request(open_claim, "cam-01")) == "id-taken"
    assert counter.enrol(Board_().request(counter.claim(Terms(device="cam-01")))).device == "cam-01"
    assert [one.state for one in counter.rows(Identity)] == ["active"]


def test_an_enrolled_id_cannot_be_taken_by_who_asks_for_it(counter: Counter) -> None:
    counter.enrol(Board_().request(counter.claim(Terms()), "cam-01"))
    assert counter.refusal(Board_().request(counter.claim(Terms(uses=2)), "cam-01")) == "id-taken"
    with pytest.raises(BadClaim, match="enrolled already"):
        counter.claim(Terms(device="cam-01"))


def test_nobody_becomes_the_fleet(counter: Counter) -> None:
    assert counter.refusal(Board_().request(counter.claim(Terms()), "fleet")) == "id-taken"
    csr = signing_request(Board_().key, "fleet")
    assert counter.refusal(EnrolRequest(claim=counter.claim(Terms()), csr=csr)) == "csr"


def test_a_copied_card_is_told_to_make_a_key_of_its_own(counter: Counter) -> None:
    batch, key = counter.claim(Terms(uses=9)), Board_().key
    counter.enrol(Board_("100", key).request(batch))
    assert counter.refusal(Board_("101", key).request(batch)) == "key-used"
    assert counter.refusal(Board_("101", key).request(counter.claim(Terms()))) == "key-used"
    assert counter.enrol(Board_("100", key).request(batch)).state == "enrolled"


def test_sql_and_html_in_every_text_are_only_text(counter: Counter) -> None:
    claim = counter.claim(Terms(needs_approval=True), by=NASTY)
    board = Board_(NASTY[:64])
    request = EnrolRequest(claim=claim, csr=signing_request(board.key, ""), serial=board.serial, board=NASTY)
    counter.enrol(request)
    (waiting,) = counter.rows(Enrolment)
    counter.do(enrolment.decide, waiting.id, "approved", NASTY, counter.clock())
    device = counter.enrol(request).device
    counter.do(revocation.retire_device, device, NASTY, counter.clock())
    (identity,) = counter.rows(Identity)
    assert (identity.serial, identity.board, identity.reason) == (NASTY[:64], NASTY, NASTY)
    assert counter.rows(Claim)[0].made_by == NASTY[:100]
    assert counter.rows(Enrolment)[0].decided_by == NASTY[:100]
    assert counter.refusal(EnrolRequest(claim="x' OR '1'='1", csr=request.csr)) == "claim-unknown"


def test_a_certificate_that_has_expired_is_not_handed_out_again(counter: Counter) -> None:
    request = Board_().request(counter.claim(Terms()))
    counter.enrol(request)
    counter.clock.pass_(days=366)
    assert counter.refusal(request) == "claim-used"


def renewed(counter: Counter, peer: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> EnrolAnswer:
    with Session(counter.engine) as session:
        return counter.office.renew(session, peer, signing_request(key, name_of(peer)))


def test_a_device_renews_by_its_old_certificate_and_ends_it_by_coming_with_the_new(counter: Counter) -> None:
    old = own(counter.enrol(Board_().request(counter.claim(Terms(device="cam-01")))))
    counter.clock.pass_(days=250)
    key = Board_().key
    new = own(renewed(counter, old, key))
    assert own(renewed(counter, old, key)) == new, "an answer that was lost is given again"
    with Session(counter.engine) as session:
        assert counter.office.confirm(session, old) == [], "who comes with the old one ends nothing"
    for ended in ([format(old.serial_number, "x")], []):
        with Session(counter.engine) as session:
            assert counter.office.confirm(session, new) == ended
    with pytest.raises(EnrolmentRefused, match="no longer trusted"):
        renewed(counter, old, Board_().key)


def test_renewals_without_end_are_bounded(counter: Counter) -> None:
    old = own(counter.enrol(Board_().request(counter.claim(Terms(device="cam-01")))))
    with pytest.raises(EnrolmentRefused) as refused:
        renewed(counter, old, Board_().key)
    assert refused.value.reason == "too-early"
    counter.clock.pass_(days=250)
    with pytest.raises(EnrolmentRefused) as refused:
        for _ in range(9):
            renewed(counter, old, Board_().key)
    assert refused.value.reason == "too-many"
    assert len(counter.rows(Certificate)) == 4


def test_two_renewals_with_one_key_at_once_are_one_certificate(counter: Counter) -> None:
    old = own(counter.enrol(Board_().request(counter.claim(Terms()))))
    counter.clock.pass_(days=250)
    key = Board_().key
    got = at_once([lambda: renewed(counter, old, key)] * 3)
    assert len({one.certificate for one in got}) == 1
    assert len(counter.rows(Certificate)) == 2


def test_no_certificate_outlives_a_revocation_in_the_same_moment(counter: Counter) -> None:
    for number in range(5):
        old = own(counter.enrol(Board_().request(counter.claim(Terms(device=f"cam-{number}0")))))
        counter.clock.pass_(days=250)
        revoke = (revocation.revoke_device, name_of(old), "keyCompromise", counter.clock())
        at_once([lambda old=old: renewed(counter, old, Board_().key), lambda a=revoke: counter.do(*a)])
        standing = [one for one in counter.rows(Certificate) if one.revoked_ms is None]
        assert standing == []


def test_a_certificate_of_another_fleet_renews_nothing_even_with_a_known_number(
    counter: Counter, tmp_path: Path
) -> None:
    old = own(counter.enrol(Board_().request(counter.claim(Terms(device="cam-01")))))
    other = make_home(tmp_path).issuing()
    builder = x509.CertificateBuilder(
        other.certificate.subject, old.subject, old.public_key(), old.serial_number,
        old.not_valid_before_utc, old.not_valid_after_utc,
    )  # fmt: skip
    for peer in (builder.sign(other.key, hashes.SHA256()), None):
        with Session(counter.engine) as session, pytest.raises(EnrolmentRefused) as refused:
            counter.office.renew(session, peer, signing_request(Board_().key, "cam-01"))
        assert refused.value.reason == "foreign"


def test_the_keeper_writes_a_list_that_grows_in_number_and_knows_whom_to_trust(
    engine: Engine, tmp_path: Path
) -> None:
    home = make_home(tmp_path / "home")
    counter = Counter(engine, home, Clock(datetime.now(UTC)))
    keeper = Keeper(engine, home)
    numbers = []
    for device in ("cam-01", "cam-02"):
        answer = counter.enrol(Board_().request(counter.claim(Terms(device=device))))
        keeper.look(counter.clock())
        assert keeper.is_trusted(device)
        counter.do(revocation.revoke_device, device, "keyCompromise", counter.clock())
        keeper.look(counter.clock())
        keeper.look(counter.clock())
        assert not keeper.is_trusted(device)
        crl = read_crl(home)
        assert crl is not None
        assert crl.get_revoked_certificate_by_serial_number(own(answer).serial_number) is not None
        assert crl.is_signature_valid(home.issuing().certificate.public_key())
        numbers.append(crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number)
    assert numbers == [2, 3]
    keeper.look(counter.clock() + timedelta(days=50))
    crl = read_crl(home)
    assert crl is not None
    assert crl.next_update_utc > counter.clock() + timedelta(days=100), "made anew long before it expires"
    keeper.look(counter.clock() + timedelta(days=366))
    assert len(list(read_crl(home) or ())) == 0, "what has expired needs no line"


def test_the_keeper_makes_servers_certificates_anew_and_follows_into_brokers_folders(
    engine: Engine, tmp_path: Path
) -> None:
    from fleet.broker.secure import write_secure_config

    home, told = make_home(tmp_path / "home"), []
    write_secure_config(tmp_path / "broker", home, 8883, run_as="root")
    addresses = home.read_addresses()
    addresses.brokers.append(str(tmp_path / "broker"))
    home.write_addresses(addresses)
    keeper = Keeper(engine, home, on_servers=lambda: told.append(1))
    now = datetime.now(UTC)
    keeper.look(now)
    before = home.https.read_bytes()
    keeper.look(now + timedelta(days=200))
    assert (home.https.read_bytes(), told) == (before, [])
    keeper.look(now + timedelta(days=300))
    assert home.https.read_bytes() != before
    assert told == [1]
    assert (tmp_path / "broker" / "broker.pem").read_bytes() == home.broker.read_bytes()
    assert (tmp_path / "broker" / "crl.pem").read_bytes() == home.crl.read_bytes()


def test_decommissioning_ends_in_order_and_at_once(counter: Counter) -> None:
    counter.enrol(Board_().request(counter.claim(Terms(device="cam-01"))))
    for _ in range(2):
        assert counter.do(revocation.begin_leaving, "cam-01", counter.clock()).state == "leaving"
    assert [one.revoked_ms for one in counter.rows(Certificate)] == [None]
    for _ in range(2):
        retired = counter.do(revocation.retire_device, "cam-01", "wiped itself", counter.clock())
        assert (retired.state, retired.reason) == ("retired", "wiped itself")
    assert [one.reason for one in counter.rows(Certificate)] == ["cessationOfOperation"]
    assert counter.do(revocation.begin_leaving, "cam-01", counter.clock()).state == "retired"
    assert counter.do(revocation.revoke_device, "cam-01", "keyCompromise", counter.clock()).state == "retired"
    for deed in (revocation.begin_leaving, revocation.get_identity):
        with pytest.raises(NotFound):
            counter.do(deed, "cam-none", *([counter.clock()] if deed is revocation.begin_leaving else []))


def test_the_tables_of_identity_go_and_come_back(engine: Engine) -> None:
    url = engine.url.render_as_string(hide_password=False)
    config = alembic_config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0004")
    assert not {"claim", "claim_board", "enrolment", "identity", "certificate"} & set(
        inspect(engine).get_table_names()
    )
    again = open_database(url)
    with Session(again) as session:
        assert session.exec(select(func.count()).select_from(Identity)).one() == 0
    again.dispose()


def test_a_list_with_boards_that_another_claim_lists_too_is_no_fault(counter: Counter) -> None:
    boards = (Board("100", "cam-100"),)
    first, second = counter.claim(Terms(boards=boards)), counter.claim(Terms(boards=boards))
    assert counter.enrol(Board_("100").request(first)).device == "cam-100"
    assert counter.refusal(Board_("100").request(second)) == "id-taken"


def test_a_device_that_enrolled_cannot_say_that_it_hangs_elsewhere(counter: Counter) -> None:
    counter.enrol(Board_().request(counter.claim(Terms(site="lahore/gulberg", device="cam-01"))))
    for device in ("cam-01", "cam-02"):
        birth = info("karachi/port")
        topic = str(Topic(device, Channel.INFO))
        item = read_message(topic, encode(birth), is_retained=False, received_ms=1_000)
        with counter.engine.begin() as connection:
            write_batch(connection, [item], 1_000)
    assert {row.id: row.site for row in counter.rows(Device)} == {
        "cam-01": "lahore/gulberg",
        "cam-02": "karachi/port",
    }


def test_a_device_is_moved_by_its_administrator_and_is_told_at_its_renewal(counter: Counter) -> None:
    board = Board_()
    answer = counter.enrol(board.request(counter.claim(Terms(site="lahore/gulberg", device="cam-01"))))
    counter.do(revocation.move_device, "cam-01", "lahore/cantt", counter.clock.now, "noor")
    assert [row.site for row in counter.rows(Device)] == ["lahore/cantt"]
    counter.clock.pass_(days=300)
    with Session(counter.engine) as session:
        renewed = counter.office.renew(session, own(answer), signing_request(Board_().key, "cam-01"))
    assert renewed.site == "lahore/cantt"
    with pytest.raises(BadClaim, match="a path of a-z"):
        counter.do(revocation.move_device, "cam-01", "<b>", counter.clock.now, "noor")


def person(role: Role, site: str) -> Caller:
    return Caller("asad", "session", grants=(Grant(role, site),))


def test_a_technician_takes_no_device_of_another_site_over_by_a_claim_for_its_id(counter: Counter) -> None:
    counter.enrol(Board_().request(counter.claim(Terms(site="lahore", device="cam-01"))))
    counter.do(revocation.retire_device, "cam-01", "old", counter.clock())
    terms = Terms(site="karachi", device="cam-01")
    with pytest.raises(BadClaim, match="not free"):
        counter.claim(terms, person(Role.TECHNICIAN, "karachi"))
    assert counter.claim(Terms(site="lahore", device="cam-01"), person(Role.TECHNICIAN, "lahore"))


def test_who_may_not_revoke_a_device_brings_no_revoked_one_back(counter: Counter) -> None:
    counter.enrol(Board_().request(counter.claim(Terms(site="lahore", device="cam-01"))))
    counter.do(revocation.revoke_device, "cam-01", "keyCompromise", counter.clock())
    for terms in (Terms(site="lahore", device="cam-01"), counter.do(replacement_terms, "cam-01", "")):
        with pytest.raises(Forbidden, match="was revoked"):
            counter.claim(terms, person(Role.TECHNICIAN, "lahore"))
        assert counter.claim(terms, person(Role.FLEET_ADMIN, "lahore"))


@pytest.mark.parametrize("end", ["revoke", "retire", "leave"])
def test_tickets_made_for_a_device_before_its_end_do_not_undo_it(counter: Counter, end: str) -> None:
    counter.enrol(Board_().request(counter.claim(Terms(site="lahore", device="cam-01"))))
    early = counter.claim(counter.do(replacement_terms, "cam-01", ""))
    if end == "revoke":
        counter.do(revocation.revoke_device, "cam-01", "keyCompromise", counter.clock())
    elif end == "retire":
        counter.do(revocation.retire_device, "cam-01", "old", counter.clock())
    else:
        counter.do(revocation.begin_leaving, "cam-01", counter.clock())
    assert counter.refusal(Board_().request(early)) == "claim-expired"


def test_boards_that_wait_with_a_claim_that_is_cancelled_are_refused(counter: Counter) -> None:
    request = Board_().request(counter.claim(Terms(needs_approval=True)))
    counter.enrol(request)
    (claim,), (waiting,) = counter.rows(Claim), counter.rows(Enrolment)
    counter.do(cancel_claim, claim.id, "noor")
    assert counter.refusal(request) == "refused"
    with pytest.raises(Conflict, match="refused by noor"):
        counter.do(enrolment.decide, waiting.id, "approved", "x", counter.clock())


def test_what_is_shown_of_a_device_that_comes_back_elsewhere_hangs_there_at_once(counter: Counter) -> None:
    counter.enrol(Board_().request(counter.claim(Terms(site="lahore", device="cam-01"))))
    counter.do(revocation.retire_device, "cam-01", "old", counter.clock())
    counter.enrol(Board_().request(counter.claim(Terms(site="karachi", device="cam-01"))))
    assert [row.site for row in counter.rows(Device)] == ["karachi"]
