"""The card of an exported model, from its recipe and measurements, as TOML. It never measures."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from device.models.bundle import Card, InputCard, Provenance, Thresholds
from device.models.training.layout import INPUT_SCALE
from device.models.training.recipe import Recipe

_PLAIN = (str, bool, int, float)


def make_card(recipe: Recipe, *, sha256: str, recipe_name: str, trained_at: str) -> Card:
    """The card of a model that `recipe` made, before it is measured; the fields are `Card`'s."""
    story = recipe.provenance
    sentences = [
        recipe.description,
        f"For: {story.intended_use}.",
        f"Not for: {story.not_for}.",
        *(f"Known failure: {failure}." for failure in story.known_failures),
    ]
    return Card(
        name=recipe.name,
        version=recipe.version,
        licence=recipe.licence,
        description="\n".join(sentences),
        sha256=sha256,
        labels=list(recipe.labels),
        decoder="pehra-ltrb",
        input=InputCard(recipe.size, recipe.size, "int8", INPUT_SCALE, 0, "rgb", "letterbox"),
        thresholds=Thresholds(conf=recipe.thresholds.conf, iou=recipe.thresholds.iou),
        provenance=Provenance(
            trained_on=list(story.trained_on),
            trained_at=trained_at,
            recipe=recipe_name,
            initialised_from=story.initialised_from,
        ),
    )


def write_card(card: Card, file: Path) -> None:
    """Write the card; `device.models.bundle.read_card` reads the same values back."""
    file.write_text("\n".join(_table("", msgspec.to_builtins(card))).strip() + "\n", encoding="utf-8")


def _table(path: str, table: dict[str, object]) -> list[str]:
    """Plain values first, then tables and lists of tables under their dotted path."""
    lines = [f"{_key(key)} = {_value(value)}" for key, value in table.items() if _is_plain(value)]
    for key, value in table.items():
        name = f"{path}.{_key(key)}" if path else _key(key)
        if isinstance(value, dict):
            lines += ["", f"[{name}]", *_table(name, value)]
        elif not _is_plain(value):
            assert isinstance(value, list)
            for entry in value:
                lines += ["", f"[[{name}]]", *_table(name, entry)]
    return lines


def _is_plain(value: object) -> bool:
    return isinstance(value, _PLAIN) or (
        isinstance(value, list) and not any(isinstance(v, dict) for v in value)
    )


def _key(key: str) -> str:
    is_bare = key.isascii() and key.replace("-", "").replace("_", "").isalnum()
    return key if is_bare else json.dumps(key, ensure_ascii=False)


def _value(value: object) -> str:
    # A JSON string, number or boolean is the same in TOML.
    if not isinstance(value, list):
        return json.dumps(value, ensure_ascii=False)
    if sum(len(str(entry)) for entry in value) < 80:
        return f"[{', '.join(_value(entry) for entry in value)}]"
    return "\n".join(["[", *(f"  {_value(entry)}," for entry in value), "]"])
