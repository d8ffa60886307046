"""The project's own firmware as releases: whole, under another version; or with a defect, its rest borrowed.

The libraries are those of the environment that runs the tests: a wheel named `borrowed` brings nothing but a
line that leads there, because half a gigabyte of wheels would prove no more.
"""

from __future__ import annotations

import sys
import sysconfig
import venv
from pathlib import Path

from tests.small_wheels import wheel

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("device", "hardware", "ota", "pehra")
RUNS = 'import sys\nif sys.argv[1:3] == ["device", "run"]:\n'
CRASHES = RUNS + '    raise RuntimeError("a defect of this release")\nfrom pehra.cli import main\nmain()\n'
DEAF = (
    RUNS
    + """
    import dataclasses
    from device.firmware import daemon
    told = daemon._link_settings
    daemon._link_settings = lambda config: dataclasses.replace(told(config), port=9)
from pehra.cli import main
main()
"""
)
"""It has forgotten the broker's port."""


def libraries() -> str:
    """The folder of the libraries that the tests run with."""
    return sysconfig.get_path("purelib")


def whole(folder: Path, version: str) -> Path:
    """Write a wheelhouse with all of the project's source, as it lies here."""
    folder.mkdir(parents=True)
    files = {
        path.relative_to(ROOT).as_posix(): path.read_bytes()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    wheel(folder, "pehra", files, version)
    wheel(folder, "borrowed", {"borrowed.pth": f"{libraries()}\n"})
    return folder


def defective(folder: Path, version: str, main: str) -> Path:
    """Write a wheelhouse whose program begins with `main`; the rest of it is the source as it lies here."""
    folder.mkdir(parents=True)
    borrow = f'__path__.append("{ROOT}/pehra")\n'
    wheel(folder, "pehra", {"pehra/__init__.py": borrow, "pehra/__main__.py": main}, version)
    wheel(folder, "borrowed", {"borrowed.pth": f"{ROOT}\n{libraries()}\n"})
    return folder


def factory(folder: Path) -> Path:
    """Make an environment that runs the source as it lies here; return its Python."""
    venv.EnvBuilder(symlinks=True).create(folder)
    packages = folder / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    (packages / "borrowed.pth").write_text(f"{ROOT}\n{libraries()}\n")
    return folder / "bin" / "python"
