"""The recipe of a training run: what is read, and what is refused with which sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from device.models.labels import CLASSES
from device.models.training.errors import RecipeError
from device.models.training.recipe import Schedule, load_recipe

SHIPPED = Path(__file__).resolve().parents[2] / "device" / "models" / "training" / "street-2.toml"


def changed(tmp_path: Path, old: str, new: str) -> Path:
    text = SHIPPED.read_text()
    assert old in text
    file = tmp_path / "recipe.toml"
    file.write_text(text.replace(old, new))
    return file


def test_the_shipped_recipe_loads_and_its_labels_are_pehras_classes() -> None:
    recipe = load_recipe(SHIPPED)
    assert set(recipe.labels) <= set(CLASSES)
    assert recipe.size == 320


def test_no_simulated_seed_of_the_shipped_recipe_is_one_that_demos_and_tests_use() -> None:
    recipe = load_recipe(SHIPPED)
    simulated = [s for s in (*recipe.train, *recipe.valid) if s.kind == "simulated"]
    assert simulated
    assert all(source.seeds[0] >= 1000 for source in simulated)


def test_a_variant_is_the_same_recipe_by_another_name_and_side() -> None:
    recipe = load_recipe(SHIPPED)
    itself, fast = recipe.bundles()
    assert itself == recipe
    assert (fast.name, fast.size, fast.labels) == ("street-2-fast", 256, recipe.labels)
    assert fast.train == recipe.train


def test_no_simulated_seed_is_both_trained_on_and_measured_on() -> None:
    recipe = load_recipe(SHIPPED)
    trained, measured = (
        {seed for s in sources if s.kind == "simulated" for seed in range(*s.seeds)}
        for sources in (recipe.train, recipe.valid)
    )
    assert trained
    assert measured
    assert not trained & measured


def test_an_absent_recipe_is_a_sentence_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"none\.toml.*name an existing"):
        load_recipe(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("minutes = 118", "minuets = 38", "minuets"),
        ("minutes = 118", "minutes = 0", "must be positive"),
        ("minutes = 118", 'minutes = "long"', "minutes"),
        ("size = 320", "size = 300", "multiples of 32"),
        ('"bus", "truck"]\nsize', '"bus", "bus"]\nsize', "each once"),
        ('folder = "street/train"', "", "needs folder and classes"),
        ("seeds = [1000, 1150]", "seeds = [1150, 1000]", "needs seeds"),
        ('kind = "simulated"', 'kind = "dreamt"', "dreamt"),
        ("batch = 32", "batch = = 32", "recipe"),
        ('name = "voc, nine in ten"', 'name = "street/train"', "two sources.*'street/train'"),
        ('name = "street-2-fast"', 'name = "street-2"', "two models have the name 'street-2'"),
        ("size = 256", "size = 250", "multiples of 32"),
    ],
)
def test_a_wrong_recipe_is_refused_with_its_key(tmp_path: Path, old: str, new: str, says: str) -> None:
    with pytest.raises(RecipeError, match=says):
        load_recipe(changed(tmp_path, old, new))


def test_the_side_follows_the_schedule_and_ends_at_the_last() -> None:
    schedule = Schedule(sizes=((0.5, 192), (1.0, 320)))
    assert [schedule.size_at(p) for p in (0.0, 0.49, 0.5, 0.99, 1.0, 1.2)] == [192, 192, 320, 320, 320, 320]


def test_a_restart_begins_again_with_mosaics_and_a_part_of_the_learning_rate() -> None:
    schedule = Schedule(sizes=((1.0, 320),), mosaic_until=0.5, restart_at=0.8, restart_rate=0.25)
    assert schedule.rate_at(0.0) == pytest.approx(1.0)
    assert schedule.rate_at(0.7999) == pytest.approx(0.01, abs=1e-3)
    assert schedule.rate_at(0.8) == pytest.approx(0.25)
    assert schedule.rate_at(1.0) == pytest.approx(0.0025)
    assert [schedule.is_mosaic_at(p) for p in (0.0, 0.39, 0.41, 0.79, 0.81, 0.89, 0.91, 1.0)] == [
        True, True, False, False, True, True, False, False,
    ]  # fmt: skip


def test_without_a_restart_the_rate_falls_all_the_way() -> None:
    schedule = Schedule(sizes=((1.0, 320),))
    rates = [schedule.rate_at(p / 20) for p in range(21)]
    assert rates == sorted(rates, reverse=True)
    assert (rates[0], rates[-1]) == (1.0, pytest.approx(0.01))
