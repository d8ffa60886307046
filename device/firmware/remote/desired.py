"""A desired document on its way: heard, checked, tried, and confirmed or taken back.

heard (any thread) -> checked as a whole -> kept on disk -> the daemon starts anew with it -> it runs for
`confirm_s` with the link up -> it is the last good one. Whatever fails on that way is told with path and
reason, and the last good configuration stays or comes back. Nothing here opens a socket, a camera or a
model's interpreter; the clocks come in.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Literal

import msgspec

from device.errors import ConfigError
from device.firmware.clock import clock_state
from device.firmware.config import Config
from device.firmware.remote.overlay import overlaid
from device.firmware.remote.store import ConfigStore, Heard, Kept, Verdict
from ota.errors import TrustError, WireError
from ota.messages import Channel, Desired, ReportedError, decode, parse_ts

_log = logging.getLogger(__name__)

STARTS: Final = 3
"""So often a configuration on trial may be started without being confirmed (as UPDATES.md has it)."""
PATIENCE: Final = 10.0
"""A trial without a link, or with a camera lost, is given up after this many times `confirm_s`."""

Reader = Callable[[bytes], Desired]
"""Bytes of the topic `desired` to a document to be believed; else raises `WireError` or `TrustError`."""
Fault = tuple[str, str]
"""Path of the key and reason."""
Outcome = Literal["none", "trial", "applied", "refused", "rolled-back"]


def read_unsigned(payload: bytes) -> Desired:
    """Read a document as it is: whoever may publish on `desired` is believed.

    For a board that no fleet has let in; the others have a `SignedReader`.

    Raises:
        BadMessage: too large, not JSON, or not of the schema.
    """
    document = decode(Channel.DESIRED, payload)
    assert isinstance(document, Desired)
    return document


@dataclass(frozen=True, slots=True)
class Standing:
    """What is to be reported: fields of the same names in `Reported`."""

    action: str | None = None
    seq: int | None = None
    outcome: Outcome = "none"
    overlay_sha256: str = ""
    faults: tuple[Fault, ...] = ()

    def errors(self) -> list[ReportedError]:
        """Return the faults as the wire has them."""
        return [ReportedError(path[:200], reason[:200]) for path, reason in self.faults[:10]]


def digest_of(document: Desired) -> str:
    """Return the digest of what a document says; one that is told again differs in id and dates alone."""
    said = msgspec.structs.replace(document, id="", ts="", expires="")
    return hashlib.sha256(msgspec.json.encode(said, order="sorted")).hexdigest()


class Remote:
    """The fleet's configuration of one device. `hear` may be called by any thread, the rest by one.

    Args:
        base: the device's own file.
        store: what is kept.
        read: opens a document.
        now: wall clock, Unix seconds.

    Attributes:
        on_document: told of each document that is for us, fresh, and to be believed, also when it is heard
            again: what it wants installed is another's business (`device.firmware.updating`).
    """

    def __init__(
        self,
        base: Config,
        store: ConfigStore,
        *,
        read: Reader = read_unsigned,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.on_document: Callable[[Desired], None] = lambda document: None
        self._base = base
        self._store = store
        self._read = read
        self._now = now
        self._lock = threading.Lock()
        self._heard: bytes | None = None
        self._trial: Kept | None = None
        self._since_s: float | None = None
        self._misfit: tuple[Fault, ...] = ()
        self.config = base
        self.standing = Standing()
        self.begin()

    def begin(self) -> None:
        """Choose the configuration of this start: the one on trial, else the last good one, else the file."""
        self._since_s = None
        self._misfit = ()
        self._trial = self._store.trial if self._base.remote.enabled else None
        if self._trial is not None and self._begin_trial(self._trial):
            return
        self._trial = None
        good = self._store.good if self._base.remote.enabled else None
        self.config = self._base
        if good is not None:
            try:
                self.config = overlaid(self._base, good.text)
            except ConfigError as error:  # the device's own file has changed under it
                self._misfit = ((error.path, f"the last good overlay no longer fits: {error.reason}"),)
                _log.error("remote: the last good overlay is left out path=%r reason=%r", *self._misfit[0])
        self._stand()

    def _stand(self) -> None:
        """Tell what holds, as it is kept; also the number of a document that said nothing new of it."""
        if self._trial is not None:
            trial = self._trial
            self.standing = Standing(trial.action, trial.seq, "trial", trial.sha256)
        else:
            self._stand_on(self._store.good if self._base.remote.enabled else None, self._misfit)
        heard = self._store.heard
        if heard is None or heard.seq <= (self.standing.seq or 0):
            return
        if not heard.config or heard.config == self._known_sha256():
            self.standing = replace(self.standing, action=heard.action, seq=heard.seq)

    def _begin_trial(self, trial: Kept) -> bool:
        if trial.starts >= STARTS:
            self._take_back(trial, [("", f"started {STARTS} times without staying up")])
            return False
        try:
            # Counted before it is used: a configuration that kills the device must run out of starts.
            trial = msgspec.structs.replace(trial, starts=trial.starts + 1)
            self._store.begin_trial(trial)
            self.config = overlaid(self._base, trial.text)
        except ConfigError as error:
            self._take_back(trial, [(error.path, error.reason)])
            return False
        except OSError as error:
            _log.error("remote: the trial is not begun, the disk refuses error=%r", str(error))
            return False
        self._trial = trial
        self._stand()
        _log.info("remote: configuration on trial seq=%d sha256=%.12s", trial.seq, trial.sha256)
        return True

    def _stand_on(self, good: Kept | None, faults: tuple[Fault, ...]) -> None:
        """Tell what holds; a later document that does not is told with its faults."""
        verdict, in_force = self._store.verdict, "" if good is None or faults else good.sha256
        if verdict is not None and (good is None or verdict.seq > good.seq):
            said = tuple((path, reason) for path, reason in verdict.faults)
            self.standing = Standing(verdict.action, verdict.seq, verdict.outcome, in_force, said + faults)
        elif good is not None:
            outcome: Outcome = "refused" if faults else "applied"
            self.standing = Standing(good.action, good.seq, outcome, in_force, faults)
        else:
            self.standing = Standing()

    def hear(self, payload: bytes) -> None:
        """Take a document in; only the newest counts. Empty bytes (no document any more) change nothing."""
        if payload:
            with self._lock:
                self._heard = payload

    def give_up(self, reason: str) -> bool:
        """Say that the daemon could not start; return whether it may be tried with what held before."""
        if self._trial is None:
            return False
        self._take_back(self._trial, [("", f"the device could not start with it: {reason}")])
        self.begin()
        return True

    def work(self, mono_s: float, *, is_linked: bool, lost: frozenset[str]) -> bool:
        """Do what is due.

        Args:
            mono_s: monotonic seconds.
            is_linked: whether the link is up now.
            lost: cameras that give no pictures now.

        Returns:
            Whether the daemon is to start anew, after `begin`, because another configuration holds.
        """
        with self._lock:
            payload, self._heard = self._heard, None
        if payload is not None and self._consider(payload, lost):
            return True
        return self._trial is not None and self._judge(self._trial, mono_s, is_linked=is_linked, lost=lost)

    def _consider(self, payload: bytes, lost: frozenset[str]) -> bool:
        """Check a document; return whether a new configuration waits for a start."""
        try:
            document = self._read(payload)
            parse_ts(document.expires)
        except (WireError, TrustError) as error:
            self._complain([("", str(error))])
            return False
        faults = self._faults_of(document) or self._note(document)
        if faults:
            self._complain(faults)
            return False
        self.on_document(document)
        if document.config and not self._base.remote.enabled:
            self._complain([("config", "the device's own file forbids it: [remote] enabled = false")])
            return False
        if not document.config or self._is_known(document) or self._stands_judged(document):
            self._stand()
            return False
        return self._take_in(document, lost)

    def _faults_of(self, document: Desired) -> list[Fault]:
        """Return why a document is not for us or not for now; such a one leaves no trace on disk."""
        if document.device != self._base.device.id:
            return [("device", f"for {document.device}, this is {self._base.device.id}")]
        if fault := self._age_fault(document):
            return [("seq", fault)]
        now_s = self._now()
        if clock_state(now_s) == "synced" and parse_ts(document.expires) < now_s:
            return [("expires", f"the document held until {document.expires}")]
        return []

    def _age_fault(self, document: Desired) -> str:
        """Return why a document is not new; the last one may come again, with the same content."""
        heard, standing = self._store.heard, self.standing
        last = max(heard.seq if heard else 0, standing.seq or 0)
        if document.seq > last:
            return ""
        if document.seq == last:
            if heard is None or heard.seq < last:  # kept by a version that noted configurations only
                is_same = document.config == self._known_sha256() and not document.targets
            else:
                is_same = heard.digest == digest_of(document)
            if is_same:
                return ""
        return f"{document.seq} is not newer than {last}, which was read before"

    def _note(self, document: Desired) -> list[Fault]:
        """Remember that a document was read, before anything is done about it."""
        try:
            heard = Heard(document.seq, document.action, digest_of(document), document.config)
            self._store.note_heard(heard)
        except OSError as error:
            return [("", f"the disk refuses it: {error.strerror}")]
        return []

    def _is_known(self, document: Desired) -> bool:
        """Whether its configuration was taken in already, under this number."""
        return document.seq == self.standing.seq and document.config == self._known_sha256()

    def _known_sha256(self) -> str:
        """Return the digest of the configuration that `standing` speaks of."""
        verdict, good = self._store.verdict, self._store.good
        is_judged = verdict is not None and (good is None or verdict.seq > good.seq)
        if verdict is not None and is_judged and self._trial is None:
            return verdict.sha256
        return self.standing.overlay_sha256

    def _stands_judged(self, document: Desired) -> bool:
        """Whether a document wants again what is on trial or was rolled back last: it is not tried anew."""
        verdict, good, trial = self._store.verdict, self._store.good, self._trial
        try:
            if trial is not None and trial.sha256 == document.config:
                self._trial = msgspec.structs.replace(trial, seq=document.seq, action=document.action)
                self._store.begin_trial(self._trial)
            elif (
                verdict is not None
                and verdict.outcome == "rolled-back"
                and verdict.sha256 == document.config
                and (good is None or good.seq < verdict.seq)
            ):
                self._store.condemn(
                    msgspec.structs.replace(verdict, seq=document.seq, action=document.action)
                )
            else:
                return False
        except OSError as error:
            _log.error("remote: the new number is not kept, the disk refuses error=%r", str(error))
        return True

    def _take_in(self, document: Desired, lost: frozenset[str]) -> bool:
        text = "\n".join(document.overlay)
        kept = Kept(document.seq, document.action, document.config, text, sorted(lost))
        if hashlib.sha256(text.encode()).hexdigest() != document.config:
            return self._refuse(kept, [("config", "not the SHA-256 of the overlay that came with it")])
        try:
            config = overlaid(self._base, text)
        except ConfigError as error:
            where = f"line {error.line}: " if error.line else ""
            return self._refuse(kept, [(error.path, where + error.reason)])
        try:
            if config == self.config and self._trial is None:
                self._store.confirm(kept)
                self.standing = Standing(kept.action, kept.seq, "applied", kept.sha256)
                return False
            self._store.begin_trial(kept)
        except OSError as error:
            self._complain([("", f"the disk refuses it: {error.strerror}")])
            return False
        _log.info("remote: new configuration seq=%d sha256=%.12s", kept.seq, kept.sha256)
        return True

    def _judge(self, trial: Kept, mono_s: float, *, is_linked: bool, lost: frozenset[str]) -> bool:
        """Confirm a trial or take it back once its time has come; return whether it was taken back."""
        if self._since_s is None:
            self._since_s = mono_s
        lived_s, confirm_s = mono_s - self._since_s, self._base.remote.confirm_s
        newly_lost = sorted(lost - set(trial.lost))
        if lived_s < confirm_s:
            return False
        if is_linked and not newly_lost:
            return self._confirm(trial)
        if lived_s < PATIENCE * confirm_s:
            return False
        why = f"camera {', '.join(newly_lost)} lost" if newly_lost else "no link to the fleet"
        self._take_back(trial, [("", f"{why} for {lived_s:.0f} s with it")])
        return True

    def _confirm(self, trial: Kept) -> bool:
        try:
            self._store.confirm(trial)
        except OSError as error:
            _log.error("remote: not confirmed yet, the disk refuses error=%r", str(error))
            return False
        self._trial = None
        self.standing = Standing(trial.action, trial.seq, "applied", trial.sha256)
        _log.info("remote: configuration confirmed seq=%d", trial.seq)
        return False

    def _refuse(self, kept: Kept, faults: list[Fault]) -> bool:
        """Remember a document that cannot hold, so that it is not checked again at each connection."""
        verdict = Verdict(kept.seq, kept.action, kept.sha256, "refused", faults)
        try:
            self._store.condemn(verdict)
        except OSError as error:
            _log.error("remote: the refusal is not kept, the disk refuses error=%r", str(error))
        in_force = self.standing.overlay_sha256
        self.standing = Standing(kept.action, kept.seq, "refused", in_force, tuple(faults))
        _log.warning("remote: configuration refused seq=%d path=%r reason=%r", kept.seq, *faults[0])
        return False

    def _take_back(self, trial: Kept, faults: list[Fault]) -> None:
        _log.error("remote: configuration taken back seq=%d path=%r reason=%r", trial.seq, *faults[0])
        try:
            self._store.condemn(Verdict(trial.seq, trial.action, trial.sha256, "rolled-back", faults))
        except OSError as error:
            _log.error("remote: the verdict is not kept, the disk refuses error=%r", str(error))

    def _complain(self, faults: list[Fault]) -> None:
        """Report a document that changes nothing; what holds and its number stay."""
        before = self.standing
        self.standing = Standing(
            before.action, before.seq, before.outcome, before.overlay_sha256, tuple(faults)
        )
        _log.warning("remote: a desired document is not followed path=%r reason=%r", *faults[0])
