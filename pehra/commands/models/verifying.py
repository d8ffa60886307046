"""`pehra models verify`: whether a model is what its card says and what a device can use."""

from __future__ import annotations

from typing import Annotated

import typer

from pehra.commands.models.shared import DIFFERS, Labels, ModelArgument, end, stdout


def verify_model(
    model: ModelArgument,
    *,
    labels: Labels = None,
    slot_bytes: Annotated[
        int | None, typer.Option(min=1, help="Room that a device has for one model; 8000000 unless told.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Check that a model is what its card says and that a device can use it.

    Card against file, size against a device's slot, integers only, layout against decoder and labels, and the
    golden vectors. The model runs in a process of its own, so a damaged file does no harm.

    Ends with 0 when all is well, 1 when a check is WRONG, 2 when there is nothing to check.

    Example: pehra models verify street-2
    """
    import msgspec

    from device.errors import PehraDeviceError
    from device.models.examine import examine
    from device.models.verify import SLOT_BYTES, verify
    from pehra.commands.detect import read_labels

    try:
        checks = verify(examine(model, read_labels(labels)), slot_bytes or SLOT_BYTES)
    except (PehraDeviceError, OSError) as error:
        end(str(error))
    is_good = all(check.state != "WRONG" for check in checks)
    out = stdout()
    if as_json:
        print(msgspec.json.encode({"model": model, "ok": is_good, "checks": checks}).decode())
    else:
        for check in checks:
            out.print(f"{check.state:8} {check.name:8} {check.says}", markup=False)
    if not is_good:
        raise typer.Exit(DIFFERS)
