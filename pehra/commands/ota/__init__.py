"""`pehra ota`: the image repository of releases, and the client that trusts it."""

from __future__ import annotations

import typer

from pehra.commands.ota.keeping import export, fresh, publish, status
from pehra.commands.ota.keys import init, renew, rotate, sign
from pehra.commands.ota.releases import add, remove
from pehra.commands.ota.tuf_client import tuf_client_app

ota_app = typer.Typer(no_args_is_help=True, help="Releases over the air: sign, publish, keep fresh.")
for command in (init, add, remove, sign, publish, status, fresh, export, rotate, renew):
    ota_app.command()(command)
ota_app.add_typer(tuf_client_app, name="tuf-client")
