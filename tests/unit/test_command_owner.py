"""What root writes into somebody's folder is given to that somebody, and nothing else is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pehra.commands.owner import give_to_owner

SOMEBODY = 65534
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


@root_only
def test_files_and_folders_of_root_become_the_owners(tmp_path: Path) -> None:
    (tmp_path / "home/online").mkdir(parents=True)
    (tmp_path / "home/online/key-2.pem").touch()
    os.chown(tmp_path / "home", SOMEBODY, SOMEBODY)
    give_to_owner(tmp_path / "home")
    assert {path.stat().st_uid for path in (tmp_path / "home").rglob("*")} == {SOMEBODY}


@root_only
def test_what_lies_elsewhere_is_not_given_away(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    for name in ("secret", "other"):
        (tmp_path / name).touch()
    (tmp_path / "home/link").symlink_to(tmp_path / "secret")
    (tmp_path / "home/second-name").hardlink_to(tmp_path / "other")
    os.chown(tmp_path / "home", SOMEBODY, SOMEBODY)
    give_to_owner(tmp_path / "home")
    assert {(tmp_path / name).stat().st_uid for name in ("secret", "other")} == {0}


def test_who_is_not_root_or_owns_the_folder_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    before = (tmp_path / "file").stat()
    give_to_owner(tmp_path)
    give_to_owner(tmp_path / "nothing")
    assert (tmp_path / "file").stat().st_ctime_ns == before.st_ctime_ns
