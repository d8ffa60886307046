"""Small wheels, and a firmware that is one of them: as a build tool and a release would make them."""

from __future__ import annotations

import hashlib
import json
import sys
import zipfile
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path

from ota.packing import pack

MAIN = """
import json, os, sys, time
from importlib.metadata import version
words = sys.argv[1:]
if words == ["--version"]:
    print("pehra", version("pehra"))
elif words[:2] == ["device", "self-test"]:
    import needed
    sys.exit({self_test})
else:
{runs}
"""
LIVES = "    time.sleep(60)"


def wheel(folder: Path, name: str, files: Mapping[str, str | bytes], version: str = "1.0") -> Path:
    """Write a small wheel."""
    path, info = folder / f"{name}-{version}-py3-none-any.whl", f"{name}-{version}.dist-info"
    content = {inside: text.encode() if isinstance(text, str) else text for inside, text in files.items()}
    content[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode()
    content[f"{info}/WHEEL"] = (
        b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    record = ""
    for inside, there in content.items():
        digest = urlsafe_b64encode(hashlib.sha256(there).digest()).rstrip(b"=").decode()
        record += f"{inside},sha256={digest},{len(there)}\n"
    content[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    with zipfile.ZipFile(path, "w") as opened:
        for inside, there in content.items():
            opened.writestr(inside, there)
    return path


def firmware(folder: Path, version: str, runs: str = LIVES, self_test: str = "0") -> Path:
    """Write a wheelhouse: a small Pehra, which needs one more wheel."""
    folder.mkdir(parents=True)
    main = MAIN.replace("{self_test}", self_test).replace("{runs}", runs)
    wheel(folder, "pehra", {"pehra/__init__.py": "", "pehra/__main__.py": main}, version)
    wheel(folder, "needed", {"needed.py": "here = 1\n"})
    return folder


def packed(folder: Path) -> Path:
    """Pack a wheelhouse as a release is."""
    archive = folder.with_name(folder.name + ".tar")
    with archive.open("wb") as file:
        pack(folder, file)
    return archive


def stand_in(place: Path) -> None:
    """Write what a launcher sees of a firmware in a slot."""
    python = "{}.{}".format(*sys.version_info)
    program = place / f"venv/lib/python{python}/site-packages/pehra/__main__.py"
    for folder in (place / "venv/bin", program.parent):
        folder.mkdir(parents=True)
    (place / "venv/bin/python").symlink_to(sys.executable)
    (place / "venv/pyvenv.cfg").write_text(f"home = /usr/bin\nversion = {python}.1\n")
    program.write_text("raise SystemExit")
    (place / "MANIFEST.ok").write_text(json.dumps({"version": "1.0", "sha256": "0"}))
