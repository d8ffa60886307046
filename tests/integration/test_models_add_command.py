"""`pehra models add`, `list`, `pull` and `remove` as a person or a script runs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.tiny_tflite import Constant, tiny_tflite


@pytest.fixture
def file(tmp_path: Path) -> Path:
    bare = tmp_path / "bare.tflite"
    bare.write_bytes(tiny_tflite([Constant("out", np.zeros((1, 6, 84), np.uint8), 1 / 200)], size=64))
    return bare


def models(
    tmp_path: Path, *arguments: str | Path, said: str | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pehra", "models", *map(str, arguments)],
        env=os.environ | {"PEHRA_MODELS": str(tmp_path / "models"), "no_proxy": "*"},
        input=said,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_model_is_added_listed_verified_and_removed(tmp_path: Path, file: Path) -> None:
    done = models(
        tmp_path, "add", file, "--labels", "person,bicycle", "--licence", "MIT", "--source", "a friend"
    )
    assert done.returncode == 0, done.stderr
    assert "bare is in" in done.stdout
    listed = json.loads(models(tmp_path, "list", "--json").stdout)
    assert [(one["name"], one["licence"]) for one in listed if one["origin"] == "added"] == [("bare", "MIT")]
    assert any(one["origin"] == "shipped" for one in listed)
    assert models(tmp_path, "verify", "bare").returncode == 0
    assert models(tmp_path, "remove", "bare").returncode == 2, "nobody was asked"
    assert "deleted" in models(tmp_path, "remove", "bare", "--yes").stdout
    assert "bare" not in models(tmp_path, "list").stdout


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        (["--licence", "MIT", "--source", "x"], "--labels"),
        (["--labels", "person,bicycle", "--source", "x"], "--licence"),
        (["--labels", "person,bicycle", "--licence", "MIT"], "--source"),
    ],
)
def test_where_nobody_can_be_asked_the_missing_option_is_named(
    tmp_path: Path, file: Path, given: list[str], missing: str
) -> None:
    done = models(tmp_path, "add", file, *given, said="")
    assert done.returncode == 2
    assert f"say it with {missing}" in done.stderr
    assert not (tmp_path / "models").exists()


def test_a_full_disk_is_a_sentence_and_leaves_nothing_half_done(tmp_path: Path, file: Path) -> None:
    limited = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600));"
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "from pehra.cli import main; sys.argv = ['pehra', *sys.argv[1:]]; main()"
    )
    assert file.stat().st_size > 600
    arguments = ["models", "add", str(file), "--labels", "person,bicycle", "--licence", "x", "--source", "y"]
    done = subprocess.run(
        [sys.executable, "-B", "-c", limited, *arguments],
        env=os.environ | {"PEHRA_MODELS": str(tmp_path / "models")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "File too large" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "models").iterdir())


def test_pull_lists_the_zoo_and_says_when_there_is_no_way_to_it(tmp_path: Path) -> None:
    listed = models(tmp_path, "pull")
    assert "efficientdet-lite0" in listed.stdout
    assert "Apache-2.0" in listed.stdout
    zoo = tmp_path / "zoo.toml"
    zoo.write_text(
        '[[model]]\nname = "far"\nlicence = "MIT"\n'
        f'url = "http://127.0.0.1:9/m.tflite"\nsha256 = "{"0" * 64}"\n'
    )
    done = models(tmp_path, "pull", "far", "--manifest", zoo)
    assert done.returncode == 2
    assert "there is no way to 127.0.0.1:9" in done.stderr
    assert "Traceback" not in done.stderr
