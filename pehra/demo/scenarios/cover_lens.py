"""Cover the lens: twice it is covered for long; shortly, in part, and a cloud are no reason for an alarm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hardware.camera.frame import Pixels
from hardware.camera.street import Street
from hardware.camera.street_effects import Cover, LensCover, covered, dimmed
from pehra.demo.scenarios.everyday import everyday
from pehra.demo.scenarios.script import Due, Scenario, camera, moments
from pehra.demo.scenarios.stage import Stage

FPS: Final = 4.0
HOLD_S: Final = 15.0
CLEAR_S: Final = 10.0
"""`ViewSettings`: a condition must last, and be gone, so long."""
EARLY_S: Final = 2.0
LATE_S: Final = 10.0
"""The view is judged by the mean of its last looks, which forgets what was there within seconds."""
LEARN_S: Final = 25.0
"""The street is as it always is for so long, before anything happens to the camera."""
COVERS: Final[tuple[Cover, ...]] = ("hand", "bag", "paint")


@dataclass(frozen=True, slots=True)
class Spell:
    """What befalls the lens from when to when, in the script's seconds; a cover, or a factor of the light."""

    from_s: float
    to_s: float
    cover: LensCover | None = None
    light: float = 1.0

    def on(self, picture: Pixels, at_s: float) -> Pixels:
        """The picture as the camera gives it."""
        if not self.from_s <= at_s < self.to_s:
            return picture
        if self.cover is None:
            return dimmed(picture, self.light)
        return covered(picture, self.cover, round(at_s * 1000))


def cover_lens(seed: int) -> Scenario:
    """Two long covers, a short one, one of a corner, and a cloud, in an order by chance."""
    stage = Stage(seed, salt=8)
    spells, due = [], []
    at_s = LEARN_S + stage.uniform(0.0, 4.0)
    for role in stage.shuffled(["long", "long", "short", "in part", "cloud"]):
        spell = _spell(stage, role, at_s)
        spells.append(spell)
        if role == "long":
            due += due_alarm("covered", spell.from_s, spell.to_s)
        at_s = spell.to_s + CLEAR_S + LATE_S + stage.uniform(1.0, 4.0)
    everyday(stage, at_s)
    street = stage.street()
    return Scenario(
        "cover-lens",
        seed,
        moments(at_s, FPS),
        street,
        camera(FPS),
        tuple(due),
        stage.roles,
        lambda moment: _seen(street, spells, moment),
    )


def due_alarm(kind: str, from_s: float, to_s: float) -> list[Due]:
    """What must be told of a condition that lasts from when to when: that it stands, and that it is over."""
    raised, cleared = from_s + HOLD_S, to_s + CLEAR_S
    return [
        Due(kind, "alarm-raised", raised - EARLY_S, raised + LATE_S),
        Due(kind, "alarm-cleared", cleared - EARLY_S, cleared + LATE_S),
    ]


def _spell(stage: Stage, role: str, at_s: float) -> Spell:
    what = COVERS[int(stage.rng.integers(len(COVERS)))]
    side, folds = stage.coin(), int(stage.rng.integers(1000))
    if role == "cloud":
        return Spell(at_s, at_s + stage.uniform(8.0, 14.0), light=stage.uniform(0.6, 0.8))
    if role == "short":
        return Spell(at_s, at_s + stage.uniform(2.0, 6.0), LensCover(what, 1.0, side, folds))
    if role == "in part":
        share = stage.uniform(0.08, 0.16)
        return Spell(at_s, at_s + stage.uniform(8.0, 12.0), LensCover(what, share, side, folds))
    return Spell(at_s, at_s + HOLD_S + stage.uniform(13.0, 18.0), LensCover(what, 1.0, side, folds))


def _seen(street: Street, spells: list[Spell], at_s: float) -> Pixels:
    picture = street.render(at_s)
    for spell in spells:
        picture = spell.on(picture, at_s)
    return picture
