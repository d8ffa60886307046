"""The journal stamps its lines itself; everything else needs ours."""

import os
import subprocess
import sys

from device.firmware.logs import log_format

SAY = "import logging; from device.firmware.logs import begin_logging; begin_logging(); logging.warning('up')"


def said(environment, stderr):
    done = subprocess.run(
        [sys.executable, "-c", SAY], env=os.environ | environment, stderr=stderr, text=True, check=True
    )
    return done.stderr


def test_lines_for_the_journal_have_no_time(tmp_path):
    with (tmp_path / "journal").open("wb") as file:
        stat = os.fstat(file.fileno())
        said({"JOURNAL_STREAM": f"{stat.st_dev}:{stat.st_ino}"}, file)
    assert (tmp_path / "journal").read_text() == "WARNING root up\n"


def test_lines_for_anything_else_have_their_time_even_below_a_service():
    line = said({"JOURNAL_STREAM": "8:12345"}, subprocess.PIPE)
    assert line.endswith("WARNING root up\n")
    assert line[:2] == "20"


def test_without_a_standard_error_there_is_no_journal(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    assert "asctime" in log_format({"JOURNAL_STREAM": "1:1"})
