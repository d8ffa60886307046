"""The soak test's short sister: what would grow with each frame grows within some thousands too."""

from __future__ import annotations

import re

from tests.bench import soak


def test_memory_stays_flat_and_what_is_written_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(soak, "FRAMES", 5000)
    monkeypatch.setenv("PEHRA_SOAK_DIR", str(tmp_path))
    memory, disk = soak.measure(tmp_path)
    after_a_tenth_mb, end_mb, _ = map(int, re.findall(r"(\d+) MB", memory.value))
    assert end_mb - after_a_tenth_mb < 12  # 3 KB a frame
    assert re.match(r"\d+\.\d MB an hour", disk.value)
