"""`python -m fleet.broker --port P --secrets FILE`: the embedded broker as a process of its own.

FILE is JSON, user -> password; with `--home FOLDER` instead, clients come with certificates of that fleet.
The process ends cleanly on SIGTERM and with 2 when it cannot start.
"""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sys
import threading
from pathlib import Path

from fleet.broker.embedded import run_broker
from fleet.broker.trust import BrokerTls
from fleet.errors import FleetError, SettingsError
from fleet.identity.home import Home


def main(arguments: list[str] | None = None) -> int:
    """Run the broker; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m fleet.broker", description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    who = parser.add_mutually_exclusive_group(required=True)
    who.add_argument("--secrets", type=Path, help="JSON file: user -> password")
    who.add_argument("--home", type=Path, help="folder of the fleet: mutual TLS")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for noisy in ("amqtt", "transitions"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        secrets = read_secrets(given.secrets) if given.secrets else {}
        home = Home(given.home) if given.home else None
        tls = BrokerTls(home.authorities, home.broker, home.crl) if home else None
        run_broker(given.port, secrets, stop, host=given.host, tls=tls)
    except FleetError as error:
        sys.stderr.write(f"broker: {error}\n")
        return 2
    return 0


def read_secrets(file: Path) -> dict[str, str]:
    """Return user -> password.

    Raises:
        SettingsError: the file is missing or is not a JSON object of texts.
    """
    try:
        secrets = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise SettingsError(f"--secrets {file}: {error}") from error
    if not isinstance(secrets, dict) or not all(isinstance(value, str) for value in secrets.values()):
        raise SettingsError(
            f'--secrets {file}: write a JSON object of user -> password, like {{"fleet": "..."}}'
        )
    return secrets


if __name__ == "__main__":
    sys.exit(main())
