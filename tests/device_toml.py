"""The beginning of a device's configuration, for tests that write the rest."""

from __future__ import annotations

from pathlib import Path


def head(state: Path, port: int = 1) -> str:
    """Device and broker: its state in a folder, nobody at the port unless the test starts one there."""
    return f"""\
[device]
id = "cam-01"
state = "{state}"

[mqtt]
host = "127.0.0.1"
port = {port}

"""
