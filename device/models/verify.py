"""Whether a model is what its card says and what a device can use: one check a line. Open :func:`verify`.

Pure judgement of an :class:`device.models.examine.Examination`; never opens a file and never runs a model.
"""

from __future__ import annotations

from math import isclose
from typing import Literal

import msgspec

from device.models.bundle import Card
from device.models.examine import Anatomy, Examination, Tensor, Trial

SLOT_BYTES = 8_000_000
"""What a device keeps free for one model; a camera holds two of them, the running one and the next."""


class Check(msgspec.Struct, frozen=True):
    """One line of the verdict.

    Attributes:
        name: What was looked at.
        state: `ok`, `WRONG`, or `left out` where it cannot be told.
        says: What was found; where it is wrong, what to do.
    """

    name: str
    state: Literal["ok", "WRONG", "left out"]
    says: str


def verify(seen: Examination, slot_bytes: int = SLOT_BYTES) -> list[Check]:
    """All checks of a model, in the order in which a person would mend them.

    Args:
        seen: What the child process found.
        slot_bytes: Most bytes that a device has room for.
    """
    checks = [_card(seen), _digest(seen), _size(seen.size_bytes, slot_bytes), _runs(seen)]
    if seen.anatomy is not None:
        checks.append(_integer(seen.anatomy))
    if not seen.trial.trouble:
        checks += [_input(seen.trial), _outputs(seen.trial), _golden(seen)]
    return checks


def _ok(name: str, says: str) -> Check:
    return Check(name, "ok", says)


def _wrong(name: str, says: str) -> Check:
    return Check(name, "WRONG", says)


def _left_out(name: str, says: str) -> Check:
    return Check(name, "left out", says)


def _card(seen: Examination) -> Check:
    card, trial = seen.trial.card, seen.trial
    if not seen.has_card:
        return _left_out(
            "card", "none came with it: its sha256, licence and golden vectors cannot be checked"
        )
    if trial.trouble:
        return _left_out("card", "not compared, as the model does not run")
    if card is None:
        return _wrong("card", trial.no_card)
    return _ok("card", f"{card.name} {card.version}, {card.licence or 'no licence named'}")


def _digest(seen: Examination) -> Check:
    if seen.card_sha256 is None:
        return _left_out("sha256", f"{seen.sha256[:12]}..., no card names it")
    if seen.card_sha256 != seen.sha256:
        return _wrong(
            "sha256",
            f"the file has {seen.sha256[:12]}..., the card says {seen.card_sha256[:12]}...: "
            "it was damaged or exchanged, install the bundle again",
        )
    return _ok("sha256", f"{seen.sha256[:12]}..., as on the card")


def _size(size_bytes: int, slot_bytes: int) -> Check:
    if size_bytes > slot_bytes:
        return _wrong(
            "size",
            f"a model larger than a slot: {size_bytes} bytes, a device has room for {slot_bytes}; "
            "take a smaller one, or give --slot-bytes where your devices have more room",
        )
    return _ok("size", f"{size_bytes} bytes of {slot_bytes}")


def _runs(seen: Examination) -> Check:
    if seen.trial.trouble:
        return _wrong("runs", seen.trial.trouble)
    runtime = "" if seen.anatomy is None else f" with {seen.anatomy.runtime}"
    return _ok("runs", f"{seen.trial.invoke_ms:.1f} ms an invoke{runtime}, 1 thread, on this machine")


def _integer(anatomy: Anatomy) -> Check:
    way_out = "quantise it fully, input included (`pehra models quantise`, or int8=True in its exporter)"
    floats, total = anatomy.float_operators, sum(anatomy.operators.values())
    if floats:
        kinds = ", ".join(f"{count} {name}" for name, count in list(floats.items())[:4])
        names = ", ".join(anatomy.float_tensors[:2])
        extent = "a float model" if sum(floats.values()) * 2 > total else "partially quantised"
        return _wrong(
            "integer",
            f"{extent}: {sum(floats.values())} of {total} operators compute in float ({kinds}), "
            f"such as {names}; {way_out}",
        )
    if not anatomy.is_integer:
        return _wrong("integer", f"its input is float, and the firmware feeds int8 or uint8 only; {way_out}")
    return _ok("integer", f"all {total} operators compute in integers")


def _input(trial: Trial) -> Check:
    image, card = trial.image, trial.card
    if image is None or card is None:
        return _left_out("input", "no card says what it should be")
    says = (card.input.height, card.input.width, card.input.dtype)
    there = (image.shape[1], image.shape[2], image.dtype)
    if says != there:
        return _wrong(
            "input", f"(height, width, type) is {there}, the card says {says}; correct [input] in its card"
        )
    if not _same_steps(image, card):
        return _wrong(
            "input",
            f"scale {image.scale:g} and zero point {image.zero_point}, but on the card {card.input.scale:g} "
            f"and {card.input.zero_point}; correct [input] in its card",
        )
    return _ok("input", f"{there[1]}x{there[0]} {image.dtype}, scale {image.scale:g} zero {image.zero_point}")


def _same_steps(image: Tensor, card: Card) -> bool:
    same_scale = isclose(image.scale, card.input.scale, rel_tol=1e-3, abs_tol=1e-9)
    return image.dtype == "float32" or (same_scale and image.zero_point == card.input.zero_point)


def _outputs(trial: Trial) -> Check:
    card, classes = trial.card, trial.classes
    if not trial.decoder and (card is None or trial.misfit):
        reason = trial.misfit or trial.no_card
        return _wrong("outputs", f"not a detector that Pehra can read: {reason}")
    if card is None:
        return _wrong("outputs", trial.no_card)
    if trial.misfit:
        return _wrong("outputs", trial.misfit)
    # Graphs of SSD may count the background as one class more, which the labels do not name.
    background = 1 if card.decoder == "ssd-postprocess" else 0
    if classes is not None and not classes - background <= len(card.labels) <= classes:
        return _wrong(
            "outputs", f"{classes} classes come out, there are {len(card.labels)} labels; correct labels"
        )
    guessed = f" ({'; '.join(trial.guessed)})" if trial.guessed else ""
    return _ok("outputs", f"{card.decoder}, {len(card.labels)} labels{guessed}")


def _golden(seen: Examination) -> Check:
    trial = seen.trial
    if trial.golden_trouble:
        return _wrong("golden", trial.golden_trouble)
    if not trial.golden_values:
        return _left_out("golden", "no golden vectors: whether it computes what its maker saw cannot be told")
    if trial.golden_wrong:
        one = trial.golden_wrong[0]
        return _wrong(
            "golden",
            f"{len(trial.golden_wrong)} of {trial.golden_values} values came out otherwise, "
            f"{one.output}[{one.at}] is {one.got:.5f} and not {one.expected:.5f}; "
            "do not ship it: card and file, or this runtime, do not belong together",
        )
    return _ok("golden", f"{trial.golden_values} values as on the card, within the tolerance")
