"""The card that training writes is the card that the detector reads."""

from __future__ import annotations

import tomllib
from pathlib import Path

import msgspec

from device.models.bundle import Golden, GoldenValue, load_bundle, read_card
from device.models.training.card import make_card, write_card
from device.models.training.recipe import load_recipe

SHIPPED = Path(__file__).resolve().parents[2] / "device" / "models" / "training" / "street-2.toml"


def test_a_card_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    card = msgspec.structs.replace(
        make_card(
            load_recipe(SHIPPED), sha256="ab" * 32, recipe_name="street-2.toml", trained_at="2026-01-01"
        ),
        description='two lines\nwith "quotes", a \\ backslash, \t and پہرہ',
        measured={
            "accuracy": {"street/valid, a part": {"map50": 0.25, "ap50": {"car": 1.0}}},
            "n": 3,
            "ok": True,
        },
        golden=[Golden(seed=0, expected=[GoldenValue("out:0", 7, 0.5), GoldenValue("out:1", 8, 1.25)])],
    )
    file = tmp_path / "model.toml"
    write_card(card, file)
    assert read_card(file) == card
    tomllib.loads(file.read_text(encoding="utf-8"))


def test_the_card_promises_the_contract_of_our_own_decoder() -> None:
    card = make_card(load_recipe(SHIPPED), sha256="", recipe_name="r", trained_at="")
    assert (card.decoder, card.input.dtype, card.input.colour) == ("pehra-ltrb", "int8", "rgb")
    assert (card.input.scale, card.input.zero_point, card.input.resize) == (1 / 128, 0, "letterbox")


def test_the_card_says_what_the_model_is_not_for() -> None:
    card = make_card(load_recipe(SHIPPED), sha256="", recipe_name="r", trained_at="")
    assert "Not for: Identifying people" in card.description
    assert "CC BY 4.0" in " ".join(card.provenance.trained_on)


def test_the_shipped_model_is_small_and_says_what_it_measured() -> None:
    bundle = load_bundle("street-2", int8_only=True)
    assert bundle.path.stat().st_size < 2_000_000
    assert bundle.card.sha256 == bundle.sha256
    assert bundle.card.measured["accuracy"]
    assert bundle.card.golden
