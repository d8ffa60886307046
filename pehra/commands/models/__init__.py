"""`pehra models`: which detectors there are, what is in them, how good they are, and how they are made.

One module for each errand; each heavy import waits until its command runs.
"""

from __future__ import annotations

import typer

from pehra.commands.models.adding import add_model, pull_model, remove_model
from pehra.commands.models.evaluating import evaluate_model
from pehra.commands.models.inspecting import inspect_model, list_models
from pehra.commands.models.quantising import quantise_model
from pehra.commands.models.training import train_model
from pehra.commands.models.verifying import verify_model

models_app = typer.Typer(
    help="Detectors: list, inspect, verify, evaluate, train, quantise, pull, add, remove.",
    no_args_is_help=True,
)


@models_app.callback()
def _models() -> None:
    """Detectors: list, inspect, verify, evaluate, train, quantise, pull, add, remove."""


models_app.command("list")(list_models)
models_app.command("inspect")(inspect_model)
models_app.command("verify")(verify_model)
models_app.command("evaluate")(evaluate_model)
models_app.command("train")(train_model)
models_app.command("quantise")(quantise_model)
models_app.command("pull")(pull_model)
models_app.command("add")(add_model)
models_app.command("remove")(remove_model)
