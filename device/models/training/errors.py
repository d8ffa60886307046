"""What can go wrong while a model is trained or exported, split by who must act.

TrainingError
├── TrainingExtraMissing   the operator installs the [train] extra
├── RecipeError            the operator corrects the recipe
├── DataMissing            the operator points --data at the folder
├── LabelError             whoever made the labels corrects a line of a file
├── CheckpointMismatch     the operator chooses another --out, or starts anew
├── CheckpointThere        the operator says whether to go on or to begin again
└── ExportError            the converter made a file that breaks our contract
"""

from __future__ import annotations

from pathlib import Path


class TrainingError(Exception):
    """Any failure of training or export; its text says what to do next."""


class TrainingExtraMissing(TrainingError):
    """A library of the [train] extra is not installed."""

    def __init__(self, library: str) -> None:
        super().__init__(f"{library} is not installed: training needs pip install 'pehra[train]'")
        self.library = library


class RecipeError(TrainingError):
    """A recipe cannot be read or contradicts itself."""

    def __init__(self, recipe: Path, reason: str) -> None:
        super().__init__(f"recipe {recipe}: {reason}")
        self.recipe = recipe


class DataMissing(TrainingError):
    """A folder or file that a recipe names is not there, or holds no picture."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"training data {path}: {reason}; point --data at the folder that holds it")
        self.path = path


class LabelError(TrainingError):
    """A row of a label file is not `class x y width height` within its ranges."""

    def __init__(self, file: Path, line: int, reason: str) -> None:
        super().__init__(f"label {file}:{line}: {reason}; correct or remove that row")
        self.file = file
        self.line = line


class CheckpointMismatch(TrainingError):
    """A checkpoint was made by another recipe, or cannot be read."""

    def __init__(self, checkpoint: Path, reason: str) -> None:
        super().__init__(f"checkpoint {checkpoint}: {reason}; choose another --out or train without --resume")
        self.checkpoint = checkpoint


class CheckpointThere(TrainingError):
    """A run would begin in a folder that holds the checkpoint of another."""

    def __init__(self, checkpoint: Path) -> None:
        super().__init__(
            f"checkpoint {checkpoint} is there already: go on from it with --resume, begin again and lose it"
            " with --anew, or choose another --out"
        )
        self.checkpoint = checkpoint


class ExportError(TrainingError):
    """The converted file does not keep the contract of our own decoder."""
