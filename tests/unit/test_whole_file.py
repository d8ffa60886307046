"""A small file is the old one or the new one, also when the process is killed in the middle."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from ota.whole import write_private

WRITING = """
import sys
from pathlib import Path
from ota.whole import write_private
path, number = Path(sys.argv[1]), 0
print("up", flush=True)
while True:
    number += 1
    write_private(path, (f"{number}\\n" * 2000).encode())
"""


def test_a_file_that_is_written_when_the_process_is_killed_is_whole(tmp_path):
    file = tmp_path / "starts.json"
    for number in range(12):
        writer = subprocess.Popen([sys.executable, "-c", WRITING, str(file)], stdout=subprocess.PIPE)
        assert writer.stdout.readline() == b"up\n"
        time.sleep(0.003 * number)
        writer.kill()
        writer.communicate()
        if file.exists():
            lines = file.read_text().splitlines()
            assert len(lines) == 2000
            assert len(set(lines)) == 1
    assert file.exists()


def test_what_holds_a_password_is_its_owners_alone(tmp_path):
    write_private(tmp_path / "link", b"x")
    assert (tmp_path / "link").stat().st_mode & 0o777 == 0o600


def test_a_disk_that_refuses_leaves_the_old_file(tmp_path):
    file = tmp_path / "a"
    write_private(file, b"old")
    (tmp_path / "a.new").mkdir()
    with pytest.raises(OSError, match="directory"):
        write_private(file, b"new")
    assert file.read_bytes() == b"old"
