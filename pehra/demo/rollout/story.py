"""The story, top to bottom: a fleet, forty cameras, a good rollout, a bad one, and everybody back.

Everything is what it is in the field: Mosquitto with mutual TLS, enrolment by ticket, releases signed for
this demo, the director's signed word, and the whole firmware of each camera. Only time is short.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from fleet.rollouts.members import rank_of
from fleet.store.database import open_database
from ota.messages import new_id
from pehra.demo.house import House, devices_of, ending
from pehra.demo.plan import CannotStart, DemoOptions
from pehra.demo.rollout.cameras import counts_lost, start_cameras, start_fleet
from pehra.demo.rollout.desk import Desk, Say
from pehra.demo.rollout.releases import BAD, GOOD, LOST, Images

CAMERAS: Final = 40
CAMERAS_MIN: Final = 11
"""With fewer the second stage, a tenth of them, is the first camera again."""
STOPPED: Final = ("stopped", "reverting", "reverted")
"""States of a rollout that has stopped itself and goes back."""
STOP_S: Final = 30.0


@dataclass(slots=True)
class Story:
    """What came of it.

    Attributes:
        cameras: how many took part.
        good_s: how long the good rollout took.
        stopped_at: the stage at which the bad one stopped itself, from 1; 0 where it did not.
        why: it stopped, in its own words.
        took_bad: cameras that ran the bad model when it stopped.
        running: how many cameras run which version at the end.
        trouble: what went otherwise than told; empty when all is well.
    """

    cameras: int
    good_s: float = 0.0
    stopped_at: int = 0
    why: str = ""
    took_bad: int = 0
    running: dict[str, int] = field(default_factory=dict)
    trouble: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Whether the demo showed what it is to show."""
        return not self.trouble

    def as_json(self) -> dict[str, object]:
        """Return it as a value for JSON."""
        return {name: getattr(self, name) for name in self.__slots__}


def tell_story(
    options: DemoOptions, stop: threading.Event, *, on_ready: Callable[[str, str], None], say: Say
) -> Story:
    """Run both rollouts, and let the console stand for `options.duration_s` after them, or until `stop`.

    Args:
        options: checked by `plan.check`; secure.
        stop: ends it early.
        on_ready: called with the console's address and the password of its people.
        say: told each change, a sentence.

    Raises:
        CannotStart: there are too few cameras, or a part did not come up.
    """
    if options.camera_count < CAMERAS_MIN:
        raise CannotStart(
            f"the scenario rollout needs at least {CAMERAS_MIN} cameras: its second stage is a tenth"
        )
    with (
        tempfile.TemporaryDirectory(prefix="pehra-demo-") as name,
        ending(House(Path(name), options)) as house,
    ):
        images = Images(house.folder, options.model)
        head = start_fleet(house, images, stop)
        story = Story(options.camera_count)
        if stop.is_set() or house.secure is None:
            return story
        on_ready(options.url, house.secure.password)
        say(f"{story.cameras} cameras make their keys and enrol with their tickets...")
        start_cameras(house, head, stop, say)
        with _desk(house) as desk:
            _play(story, desk, images, stop, say)
        if options.duration_s is None or options.duration_s > 0:
            say("The console shows both rollouts; Ctrl-C ends the demo.")
            stop.wait(options.duration_s)
        _end(house)
        return story


def _play(story: Story, desk: Desk, images: Images, stop: threading.Event, say: Say) -> None:
    """Play all chapters; what goes otherwise than told ends it."""
    chapters: list[Callable[[Story, Desk, Images, threading.Event, Say], None]] = [_good, _bad, _back]
    for chapter in chapters:
        if not story.trouble and not stop.is_set():
            chapter(story, desk, images, stop, say)
    if not stop.is_set():
        story.running = desk.running()
        if not story.trouble and story.running != {GOOD: story.cameras}:
            story.trouble.append(f"not all cameras run {GOOD}: {story.running}")


def _good(story: Story, desk: Desk, images: Images, stop: threading.Event, say: Say) -> None:
    images.release(GOOD)
    say(f"Model {GOOD} is signed and published; it is to go to all {story.cameras} cameras.")
    began_s = time.monotonic()
    shown = desk.roll_out(GOOD, "a good model", new_id(), {"done", "reverted"}, stop, say)
    story.good_s = round(time.monotonic() - began_s, 1)
    if not stop.is_set() and (shown.rollout.state != "done" or desk.running() != {GOOD: story.cameras}):
        story.trouble.append(f"the good rollout is {shown.rollout.state}: {shown.rollout.why}")


def _bad(story: Story, desk: Desk, images: Images, stop: threading.Event, say: Say) -> None:
    images.release(BAD)
    say(f"Model {BAD} is published. It has forgotten the class {LOST}, and nobody knows it yet.")
    rollout = id_whose_first_is_blind(devices_of(desk.options))
    shown = desk.roll_out(BAD, "a bad model", rollout, {"done", *STOPPED}, stop, say)
    if stop.is_set():
        return
    story.why, story.took_bad = shown.rollout.why, desk.running().get(BAD, 0)
    if shown.rollout.state not in STOPPED:
        story.trouble.append(f"the bad rollout did not stop itself: it is {shown.rollout.state}")
        return
    story.stopped_at = shown.rollout.stage + 1
    if story.stopped_at != 2:
        story.trouble.append(f"the bad rollout stopped at stage {story.stopped_at}, not at stage 2")


def _back(story: Story, desk: Desk, images: Images, stop: threading.Event, say: Say) -> None:
    del images
    runs = "camera runs" if story.took_bad == 1 else "cameras run"
    say(f"{story.took_bad} {runs} the bad model: the rollout takes everybody back.")
    shown = desk.follow({"reverted"}, stop, say)
    if not stop.is_set() and shown.rollout.state != "reverted":
        story.trouble.append(f"the bad rollout did not go back: it is {shown.rollout.state}")


def id_whose_first_is_blind(devices: list[str]) -> str:
    """Return an id for a rollout whose first camera does not count what is lost, and whose next ones do.

    A fault that the first camera shows stops a rollout at once; this demo is about one that it does not show.
    """
    while True:
        rollout = new_id()
        first, *others = sorted(devices, key=lambda device: rank_of(rollout, device))
        second = others[: max(1, round(0.1 * len(devices)) - 1)]
        if not counts_lost(first) and any(counts_lost(device) for device in second):
            return rollout


@contextmanager
def _desk(house: House) -> Iterator[Desk]:
    assert house.secure is not None
    engine = open_database(f"sqlite:///{house.secure.home.database}")
    try:
        yield Desk(engine, house.options)
    finally:
        engine.dispose()


def _end(house: House) -> None:
    for child in [*house.cameras, house.fleet, house.broker]:
        if child is not None:
            child.ask_to_stop()
            child.wait(STOP_S)
