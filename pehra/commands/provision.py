"""`pehra provision`: a technician's laptop, a cable, and a board that is to become a camera."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from ota.cable import News, Request

Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]

provision_app = typer.Typer(
    invoke_without_command=True,
    help="""Set a board up over its cable: who it is, Wi-Fi, claim, check.

Without a command it leads you from one to the next. Ends with 0: done; 1: the board said no, or its check
failed; 2: nothing was asked (command line, file, port); 3: nobody answers, or the cable was pulled out;
130: Ctrl-C, or the input ended.

Example: pehra provision --port /dev/ttyUSB0
""",
)


@provision_app.callback()
def provision(
    context: typer.Context,
    port: Annotated[
        str,
        typer.Option(help="/dev/ttyUSB0, COM3, socket://HOST:PORT, rfc2217://HOST:PORT; asked if absent."),
    ] = "",
    baud: Annotated[
        int, typer.Option(min=300, max=4_000_000, help="As the board's console has it.")
    ] = 115_200,
) -> None:
    """Set a board up over its cable."""
    from pehra.provision.outcomes import Target

    context.obj = Target(port, baud)
    if context.invoked_subcommand is None:
        from pehra.provision.lead import lead
        from pehra.provision.outcomes import ending

        with ending(as_json=False):
            lead(context.obj)


@provision_app.command("ports")
def show_ports(as_json: Json = False) -> None:
    """Show the serial ports of this laptop."""
    from pehra.provision.outcomes import print_json
    from pehra.provision.ports import ports

    found = ports()
    if as_json:
        print_json({"ok": True, "ports": [{"port": port.name, "about": port.about} for port in found]})
    elif found:
        from pehra.provision.show import ports_table, screen

        screen().print(ports_table(found))
    else:
        typer.echo("no serial port: put the cable in; one for power alone has no data lines", err=True)


@provision_app.command()
def identify(context: typer.Context, as_json: Json = False) -> None:
    """Ask the board who it is; changes nothing."""
    import msgspec

    from ota.cable import Identify, Identity
    from pehra.provision.outcomes import asked, ending, print_json
    from pehra.provision.show import identity_table, screen

    with ending(as_json=as_json):
        answer = asked(context.obj, Identify())
    if as_json:
        print_json({"ok": True} | msgspec.structs.asdict(answer))
    elif isinstance(answer, Identity):
        screen().print(identity_table(answer))


@provision_app.command()
def wifi(
    context: typer.Context,
    ssid: Annotated[str, typer.Argument(help="Name of the network.")],
    password_file: Annotated[
        str, typer.Option(metavar="FILE|-", help="First line of a file, or of stdin; asked if absent.")
    ] = "",
    as_json: Json = False,
    *,
    is_open: Annotated[bool, typer.Option("--open", help="The network has no password.")] = False,
    hidden: Annotated[bool, typer.Option("--hidden", help="The network does not say its name.")] = False,
) -> None:
    """Let the board join a Wi-Fi network; its password stands in no command line and is never read back."""
    from ota.cable import SetWifi, wifi_fault
    from pehra.provision.outcomes import ending

    try:
        with ending(as_json=as_json):
            password = "" if is_open else _password(password_file)
    except (OSError, UnicodeDecodeError) as error:
        _mend(f"{password_file}: the password cannot be read: {error}", as_json=as_json)
    if not password and not is_open:
        _mend("no password was given; an open network needs --open", as_json=as_json)
    fault = wifi_fault(ssid, password)
    if fault:
        _mend(fault, as_json=as_json)
    _do(context, SetWifi(ssid=ssid, password=password, hidden=hidden), as_json=as_json)


@provision_app.command()
def claim(
    context: typer.Context,
    source: Annotated[
        str,
        typer.Argument(metavar="[FILE|LINE|-]", help="Its file, its line, or - for stdin; asked if absent."),
    ] = "",
    as_json: Json = False,
) -> None:
    """Give the board the claim with which it enrols. A board that is enrolled takes none."""
    from ota.cable import GiveClaim
    from pehra.provision.claims import claim_line, claim_of
    from pehra.provision.outcomes import ending

    with ending(as_json=as_json):
        said = sys.stdin.read(8192) if source == "-" else source or typer.prompt("Claim", err=True)
        ticket = claim_of(said)
    _do(context, GiveClaim(ticket=claim_line(ticket)), as_json=as_json)


@provision_app.command()
def check(
    context: typer.Context,
    as_json: Json = False,
    *,
    quick: Annotated[bool, typer.Option("--quick", help="Leave the cameras out.")] = False,
) -> None:
    """Let the board run `pehra device check`."""
    from ota.cable import Checked, RunCheck
    from pehra.provision.errors import BoardRefused
    from pehra.provision.outcomes import REFUSED, asked, ending, note_of, print_json
    from pehra.provision.show import check_line, check_table, screen

    lines: list[Checked] = []

    def on_news(news: News) -> None:
        if isinstance(news, Checked):
            lines.append(news)
        elif sys.stderr.isatty():
            print(check_line(news), file=sys.stderr)

    with ending(as_json=as_json):
        failed = ""
        try:
            done = asked(context.obj, RunCheck(quick=quick), on_news)
        except BoardRefused as error:
            if error.code != "check":
                raise
            failed = error.reason
        if as_json:
            found = [{"check": o.check, "result": o.result, "found": o.found, "do": o.todo} for o in lines]
            print_json({"ok": not failed, "findings": found})
        else:
            screen().print(check_table(lines))
            typer.echo(failed or note_of(done))
        if failed:
            raise typer.Exit(REFUSED)


@provision_app.command()
def log(
    context: typer.Context,
    lines: Annotated[
        int, typer.Option("--lines", "-n", min=1, max=500, help="How many, the last ones.")
    ] = 50,
    as_json: Json = False,
) -> None:
    """Read the camera's log; passwords, claims and keys are hidden by the board."""
    from ota.cable import LogLine, ReadLog, cut
    from pehra.provision.outcomes import asked, ending, print_json

    texts: list[str] = []

    def on_news(news: News) -> None:
        if isinstance(news, LogLine):
            texts.append(news.text)

    with ending(as_json=as_json):
        asked(context.obj, ReadLog(lines=lines), on_news)
    if as_json:
        print_json({"ok": True, "lines": texts})
        return
    for text in texts:
        typer.echo(cut(text))
    if not texts:
        typer.echo("the log is empty: identify says whether the camera's service runs", err=True)


@provision_app.command()
def restart(context: typer.Context, as_json: Json = False) -> None:
    """Start the camera's service on the board anew."""
    from ota.cable import Restart

    _do(context, Restart(), as_json=as_json)


def _do(context: typer.Context, request: Request, *, as_json: bool) -> None:
    """Ask for a deed and say what the board said."""
    from pehra.provision.outcomes import asked, ending, note_of, print_json

    with ending(as_json=as_json):
        note = note_of(asked(context.obj, request))
    if as_json:
        print_json({"ok": True, "note": note})
    else:
        typer.echo(note)


def _password(file: str) -> str:
    """The first line of what was named, or what is typed unseen."""
    if not file:
        return str(typer.prompt("Wi-Fi password", hide_input=True, err=True))
    if file == "-":
        return sys.stdin.readline(1024).rstrip("\r\n")
    with Path(file).open(encoding="utf-8") as opened:
        return opened.readline(1024).rstrip("\r\n")


def _mend(reason: str, *, as_json: bool) -> NoReturn:
    """Say what is wrong with the command line."""
    from pehra.provision.outcomes import UNUSABLE, print_json

    if as_json:
        print_json({"ok": False, "code": "usage", "reason": reason, "todo": ""})
    else:
        typer.echo(reason, err=True)
    raise typer.Exit(UNUSABLE)
