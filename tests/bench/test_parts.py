"""The benchmark's parts fit together, so that `make bench` does not end half-way."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from tests.bench.__main__ import PARTS, main


@pytest.mark.parametrize("name", PARTS)
def test_each_part_takes_the_data_folder_and_returns_rows(name):
    signature = inspect.signature(PARTS[name])
    assert [str(one) for one in signature.parameters.values()] == ["data: 'Path'"]
    assert signature.return_annotation == "list[Row]"


def test_one_part_can_be_chosen_and_prints_its_rows_under_the_header(capsys):
    main(["rules_cost"])
    said = capsys.readouterr().out.splitlines()
    assert said[2] == "| what | measured | beside | ratio |"
    assert [line.split(",")[0] for line in said[4:6]] == ["| ten rules", "| each kind by itself"]
    assert all(line.count("|") == 5 for line in said[2:])


def test_a_part_that_does_not_exist_is_said_with_those_that_do(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["tracker"])
    assert ended.value.code == 2
    assert "rules_cost" in capsys.readouterr().err


def test_without_the_peer_model_the_detectors_are_left_out_and_it_is_said_why(tmp_path: Path):
    (row,) = PARTS["detectors"](tmp_path)
    assert "yolov8n_full_integer_quant_416.tflite is not here" in row.value
    assert "set PEHRA_DATA" in row.beside
    assert row.ratio == ""
