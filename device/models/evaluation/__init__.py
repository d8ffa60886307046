"""How good a detector is on pictures that people have labelled, as COCO counts it, and where it errs.

`run` is the main road: every model looks at every picture, then the scores. `dataset` reads what people have
labelled, `naming` guesses the classes of a dataset that does not name them, `precision` measures average
precision with pycocotools (extra `[train]` or `[dev]`), `matching` counts what is right and wrong at the
card's threshold, `report` is what comes out, `drawings` shows it with matplotlib (extra `[train]` or
`[dev]`). Never trains, and writes only drawings.
"""

from device.models.evaluation.dataset import Dataset, Labelled, NamesMissing, load_dataset
from device.models.evaluation.naming import load_guessed
from device.models.evaluation.report import Report
from device.models.evaluation.run import EVALUATION_CONF, Evaluation, evaluate, evaluate_together

__all__ = [
    "EVALUATION_CONF",
    "Dataset",
    "Evaluation",
    "Labelled",
    "NamesMissing",
    "Report",
    "evaluate",
    "evaluate_together",
    "load_dataset",
    "load_guessed",
]
