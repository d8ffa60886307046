"""`pehra demo`: the whole of Pehra on this machine, with one command."""

from __future__ import annotations

import json
import signal
import sys
import threading
import webbrowser
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.console import Console

if TYPE_CHECKING:
    from pehra.demo.report import Report
    from pehra.demo.run import Progress


def demo(
    cameras: Annotated[
        int | None,
        typer.Option(
            "--cameras",
            "-n",
            min=1,
            max=64,
            help="How many cameras; without it 4, with a webcam 1; for the scenario rollout 40, at least 11.",
        ),
    ] = None,
    duration: Annotated[
        float | None, typer.Option("--duration", min=1, help="Seconds; without it, until Ctrl-C.")
    ] = None,
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Port of the console.")] = 8000,
    source: Annotated[
        str,
        typer.Option(
            "--source", help="A video, an rtsp:// address or 'webcam' instead of the simulated street."
        ),
    ] = "",
    model: Annotated[
        str, typer.Option("--model", "-m", help="Shipped model, bundle folder or .tflite file (int8).")
    ] = "street-2",
    browser: Annotated[bool, typer.Option(help="Open the console in the browser.")] = True,
    secure: Annotated[
        bool,
        typer.Option(
            "--secure",
            help="As in the field: Mosquitto, mutual TLS, a ticket for each camera, people with roles.",
        ),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the summary as one JSON object, the last line on stdout.")
    ] = False,
    scenario: Annotated[
        str,
        typer.Option(
            "--scenario",
            help="Show a scripted street (or 'all') to one device and judge its rules, without a console; or "
            "'rollout': 40 cameras, a good model, a bad one.",
        ),
    ] = "",
    seeds: Annotated[
        str, typer.Option("--seeds", "--seed", help="Of the scenario: 3, 1-10 or 1,4,7-9.")
    ] = "1",
    list_them: Annotated[bool, typer.Option("--list", help="List the scenarios.")] = False,
) -> None:
    """Run cameras, broker and fleet manager together and show the console.

    Each camera runs the real firmware, by default on a simulated street (every fourth one at night). At the
    end a summary compares what the cameras made with what the fleet stored. Nothing is left on the disk.

    With --secure every camera makes its own key and enrols with a one-time ticket; the console asks for a
    log-in. Without Mosquitto on this machine the embedded broker takes its place.

    With --scenario one device is shown a scripted street, faster than real time, and what its rules tell is
    compared with the truth: exit code 1 when precision or recall of a rule is below 0.95. With --scenario
    rollout a good model goes to 40 secure cameras, and then a bad one that stops itself and is taken back; in
    a terminal the console stays until Ctrl-C.
    """
    if scenario == "rollout":
        _rollout(cameras, duration, port, model, as_json=as_json, with_browser=browser)
    if scenario or list_them:
        _scenario(scenario, seeds, model, as_json=as_json, is_list=list_them)
    from fleet.access.roles import Role
    from pehra.demo.plan import CannotStart, DemoOptions, check
    from pehra.demo.report import lines
    from pehra.demo.run import run_demo

    said = Console(stderr=True)
    options = DemoOptions(cameras, duration, port, source, model, secure)
    stop = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stop.set())

    def ready(url: str, password: str) -> None:
        said.print(f"Console: [bold]{url}[/bold]  (Ctrl-C ends the demo)")
        if password:
            roles = ", ".join(Role)
            said.print(f"Log in as one of {roles}; the password of each is [bold]{password}[/bold]")
            said.print("Your browser does not know this fleet's authority: let it go on.")
        if browser:
            webbrowser.open(url)

    try:
        check(options, stop)
        with said.status("Starting broker, fleet manager and cameras...") as status:

            def progress(now: Progress) -> None:
                status.update(_sentence(now, duration))

            report = run_demo(options, stop, on_ready=ready, on_progress=progress)
    except CannotStart as error:
        said.print(f"pehra demo: {error}", style="red", markup=False)
        raise typer.Exit(2) from error
    _print(report, lines(report), as_json=as_json)
    raise typer.Exit(0 if report.is_good else 1)


def _rollout(
    cameras: int | None, duration: float | None, port: int, model: str, *, as_json: bool, with_browser: bool
) -> NoReturn:
    from pehra.commands.demo_rollout import run_rollouts
    from pehra.demo.plan import DemoOptions
    from pehra.demo.rollout.story import CAMERAS

    stays_s = duration if duration is not None or sys.stdin.isatty() else 0.0
    options = DemoOptions(cameras or CAMERAS, stays_s, port, "", model, is_secure=True)
    is_good = run_rollouts(options, as_json=as_json, with_browser=with_browser)
    raise typer.Exit(0 if is_good else 1)


def _scenario(name: str, seeds: str, model: str, *, as_json: bool, is_list: bool) -> NoReturn:
    from pehra.commands.demo_scenario import list_scenarios, numbers, run_scenarios

    if is_list:
        list_scenarios()
        raise typer.Exit(0)
    is_enough = run_scenarios(name, numbers(seeds), model, as_json=as_json)
    raise typer.Exit(0 if is_enough else 1)


def _sentence(now: Progress, duration: float | None) -> str:
    until = f" of {duration:.0f}" if duration else ""
    return (
        f"{now.elapsed_s:.0f}{until} s, {now.online}/{now.cameras} cameras online, {now.events} events stored"
    )


def _print(report: Report, text: list[str], *, as_json: bool) -> None:
    stream = sys.stderr if as_json else sys.stdout
    print("\n".join(text), file=stream)
    if as_json:
        print(json.dumps(report.as_json()))
