"""`pehra demo --scenario rollout`: what is printed while a good model and a bad one go to forty cameras."""

from __future__ import annotations

import json
import signal
import sys
import threading
import webbrowser

import typer
from rich.console import Console

from fleet.access.roles import Role
from pehra.demo.plan import CannotStart, DemoOptions, check
from pehra.demo.rollout.story import Story, tell_story


def run_rollouts(options: DemoOptions, *, as_json: bool, with_browser: bool) -> bool:
    """Run the story, print each step, and return whether it went as it should.

    Raises:
        typer.Exit: it cannot start; what is wrong was said.
    """
    said, stop = Console(stderr=True), threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stop.set())

    def ready(url: str, password: str) -> None:
        say(f"Console: {url}/rollouts  (Ctrl-C ends the demo)")
        say(f"Log in as one of {', '.join(Role)}; the password of each is {password}")
        say("Your browser does not know this fleet's authority: let it go on.")
        if with_browser:
            webbrowser.open(f"{url}/rollouts")

    def say(words: str) -> None:
        said.print(words, markup=False, highlight=False, soft_wrap=True)

    try:
        check(options, stop)
        say("Starting broker and fleet manager...")
        story = tell_story(options, stop, on_ready=ready, say=say)
    except CannotStart as error:
        said.print(f"pehra demo: {error}", style="red", markup=False)
        raise typer.Exit(2) from error
    print("\n".join(_lines(story)), file=sys.stderr if as_json else sys.stdout)
    if as_json:
        print(json.dumps(story.as_json()))
    return story.is_good


def _lines(story: Story) -> list[str]:
    running = ", ".join(f"{number} run {version}" for version, number in sorted(story.running.items()))
    lines = [f"good model   {story.cameras} cameras in {story.good_s:.0f} s"]
    if story.stopped_at:
        lines.append(f"bad model    {story.why}")
        lines.append(f"             {story.took_bad} of {story.cameras} ran it by then; all were taken back")
    return [*lines, f"now          {running}", *(f"TROUBLE      {one}" for one in story.trouble)]
