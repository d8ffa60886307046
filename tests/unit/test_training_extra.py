"""Without the [train] extra: the room can still be imported, and says what to install when asked to train."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

_WITHOUT = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "tensorflow"):
            raise ImportError(f"No module named {name!r}")
sys.meta_path.insert(0, Absent())
from pathlib import Path
from device.models.training.errors import TrainingExtraMissing
from device.models.training.export import export_all
from device.models.training.train import train
recipe, here = Path("device/models/training/street-2.toml"), Path(".")
for call in (
    lambda: train(recipe, here, here / "out", smoke=True),
    lambda: export_all(recipe=recipe, data=here, out=here / "out"),
):
    try:
        call()
    except TrainingExtraMissing as error:
        print(error)
"""

_IMPORT = """
import sys
import device.models.training.export, device.models.training.train
print(sorted({"torch", "tensorflow", "ai_edge_litert", "pycocotools"} & set(sys.modules)))
"""


def python(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True, timeout=120
    )
    return done.stdout


def test_importing_the_trainer_imports_neither_torch_nor_tensorflow() -> None:
    assert python(_IMPORT).strip() == "[]"


def test_without_the_training_extra_both_roads_say_what_to_install() -> None:
    lines = python(_WITHOUT).splitlines()
    assert len(lines) == 2
    assert all("torch is not installed" in line and "pip install 'pehra[train]'" in line for line in lines)
