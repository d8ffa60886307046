"""The thread that looks: the newest frame of each camera in turn, down the pipeline."""

from __future__ import annotations

import threading
from typing import Final

from device.firmware.eye import Eye
from device.firmware.health import Pace
from device.firmware.link import Link
from device.firmware.looking import Looking
from device.firmware.voice import Voice

LOOK_S: Final = 0.2


class Watcher:
    """Looks through the eyes of one device.

    Args:
        eyes: its cameras.
        detector: that all of them share.
        pace: told of each inference.
        voice: says who is in a zone, and a camera's new size.
        link: takes the live view.
        news: set when a frame has come.
    """

    def __init__(
        self,
        eyes: list[Eye],
        detector: Looking,
        pace: Pace,
        voice: Voice,
        link: Link,
        news: threading.Event,
    ) -> None:
        self._eyes = eyes
        self._detector = detector
        self._pace = pace
        self._voice = voice
        self._link = link
        self._news = news

    def run(self, stop: threading.Event) -> None:
        """Look until `stop` is set, then let the cameras go and report what was counted."""
        while not stop.is_set():
            self._news.wait(LOOK_S)
            self._news.clear()
            for eye in self._eyes:
                self._look(eye)
        for eye in self._eyes:
            eye.capture.ask_to_stop()
            eye.pipeline.finish()
            self._voice.say_occupancy(eye, eye.vacated())

    def _look(self, eye: Eye) -> None:
        before, size = eye.pipeline.tallies.inferences, eye.size
        live = eye.look()
        if eye.pipeline.tallies.inferences != before:
            self._pace.note_inference(self._detector.last_invoke_ms)
        if eye.size != size:
            self._voice.say_info()
        if live is not None:
            self._link.say(*live)
        self._voice.say_occupancy(eye, eye.occupancy_news())
