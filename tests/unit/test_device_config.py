"""Configuration: every mistake names file, line and path."""

import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from device.errors import ConfigError
from device.firmware.config import load_config, parse_config
from device.firmware.duties import make_rule
from device.firmware.eye import driver_name
from device.firmware.rules import LineRule, ZoneRule
from pehra.cli import app
from tests.tiny_tflite import Constant, tiny_tflite

GOOD = """\
[device]
id = "gulberg-01"
site = "lahore/gulberg/liberty-chowk"
timezone = "Asia/Karachi"

[mqtt]
host = "fleet.example"

[[camera]]
source = "street"

[[camera.rule]]
name = "gate"
kind = "line"
points = [[0.1, 0.5], [0.9, 0.5]]

[[camera.rule]]
name = "yard"
kind = "zone"
points = [[0.1, 0.5], [0.9, 0.5], [0.9, 0.9], [0.1, 0.9]]
classes = ["person"]
dwell_s = 10
"""
FILE = Path("device.toml")


def test_a_good_file_has_safe_defaults():
    config = parse_config(GOOD, FILE)
    assert config.model.name == "street-2"
    assert config.camera[0].id == "cam0"
    line, zone = (make_rule(rule) for rule in config.camera[0].rule)
    assert isinstance(line, LineRule)
    assert isinstance(zone, ZoneRule)
    assert zone.dwell_s == 10


@pytest.mark.parametrize(
    ("old", "new", "line", "path", "words"),
    [
        ('"gulberg-01"', '"../etc"', 2, "device.id", "3 to 40"),
        ('"gulberg-01"', '"#"', 2, "device.id", "3 to 40"),
        ('"Asia/Karachi"', '"Asia/Lahor"', 4, "device.timezone", "Asia/Karachi"),
        ('"fleet.example"', '"fleet..example"', 7, "mqtt.host", "IP address"),
        ("host =", "hots =", 7, "mqtt.hots", "unknown field"),
        ('host = "fleet.example"', 'host = "x"\nport = 99999', 8, "mqtt.port", "65535"),
        ('kind = "line"', 'kind = "lime"', 14, "camera[0].rule[0].kind", "zone, line"),
        ("[0.9, 0.5]]", "[0.9, 1.5]]", 15, "camera[0].rule[0].points[1][1]", "1.0"),
        ("[0.9, 0.5]]", "[0.1, 0.5]]", 15, "camera[0].rule[0].points", "same point"),
        ("[0.9, 0.5], [0.9, 0.9]", "[0.9, 0.9], [0.9, 0.5]", 20, "camera[0].rule[1].points", "crosses"),
        ('["person"]', '["persn"]', 21, "camera[0].rule[1].classes", "no class 'persn'"),
        ('"yard"', '"gate"', 18, "camera[0].rule[1].name", "already"),
        ("dwell_s = 10", "dwell_s = -1", 22, "camera[0].rule[1].dwell_s", "> 0"),
        ('source = "street"', "width = 640", 9, "camera[0]", "source"),
        ('[mqtt]\nhost = "fleet.example"', "", None, "", "mqtt"),
        ("[device]", "[device", 1, "", "TOML"),
    ],
)
def test_a_mistake_is_named_with_line_and_path(old, new, line, path, words):
    assert old in GOOD
    with pytest.raises(ConfigError) as caught:
        parse_config(GOOD.replace(old, new), FILE)
    assert (caught.value.line, caught.value.path) == (line, path)
    assert words in str(caught.value)
    assert str(caught.value).startswith("device.toml:")


def test_a_file_of_five_megabytes_is_refused_unread(tmp_path):
    file = tmp_path / "device.toml"
    file.write_text(GOOD + "#" * 5_000_000)
    with pytest.raises(ConfigError, match="bytes"):
        load_config(file)


def test_a_missing_file_and_one_that_is_not_text_are_said_clearly(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path / "none.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="UTF-8"):
        load_config(tmp_path / "binary.toml")


def test_the_digest_of_a_config_leaves_the_password_out():
    secret = GOOD.replace('host = "fleet.example"', 'host = "fleet.example"\npassword = "hunter2"')
    assert parse_config(GOOD, FILE).sha256() == parse_config(secret, FILE).sha256()
    other = GOOD.replace('"gate"', '"door"')
    assert parse_config(GOOD, FILE).sha256() != parse_config(other, FILE).sha256()


@pytest.mark.parametrize(
    ("source", "driver"),
    [
        ("street:seed=3", "street"),
        ("rtsp://user:secret@10.0.0.3/stream", "rtsp"),
        ("/dev/video2", "webcam"),
        ("/data/cars.mp4", "file"),
        ("picamera2:1", "picamera2"),
        ("jetson:0,sensor=1280x720@60", "jetson"),
    ],
)
def test_a_source_is_told_by_its_kind_and_never_by_its_address(source, driver):
    assert driver_name(source) == driver


def test_a_tls_file_that_is_not_there_is_named_with_its_line(tmp_path):
    file = tmp_path / "device.toml"
    file.write_text(GOOD.replace('host = "fleet.example"', f'host = "x"\nca = "{tmp_path}/ca.pem"'))
    with pytest.raises(ConfigError, match=r"ca\.pem is not there") as caught:
        load_config(file)
    assert (caught.value.line, caught.value.path) == (8, "mqtt.ca")
    advice = "copy ca.pem from your administrator, or delete the line for a broker without TLS"
    assert str(caught.value).endswith(advice)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('source = "street"', 'source = "webcm"', "docs/cameras.md"),
        ("[mqtt]", '[model]\nname = "street-9"\n\n[mqtt]', "street-2"),
    ],
)
def test_what_a_configuration_names_is_checked_before_it_runs(tmp_path, old, new, words):
    file = tmp_path / "device.toml"
    file.write_text(GOOD.replace(old, new))
    done = CliRunner().invoke(app, ["device", "check", str(file)])
    assert done.exit_code == 2
    assert words in done.output
    assert CliRunner().invoke(app, ["--version"]).output.startswith("pehra ")


def test_the_file_to_check_is_named_as_for_run_and_unit_or_alone_or_not_at_all(tmp_path, monkeypatch):
    file = tmp_path / "device.toml"
    file.write_text(GOOD)
    monkeypatch.setattr("pehra.commands.device.CONFIG", file)
    for named in (["--config", str(file)], ["-c", str(file)], [str(file)], [], [str(file), "-c", str(file)]):
        done = CliRunner().invoke(app, ["device", "check", *named, "--config-only"])
        assert (done.exit_code, done.output.startswith(f"{file}: good.")) == (0, True), named
    done = CliRunner().invoke(app, ["device", "check", str(file), "--config", "other.toml"])
    assert (done.exit_code, "name one file" in done.output) == (2, True)


def test_without_a_file_the_devices_own_configuration_is_checked_run_and_fitted():
    for command in ("check", "run", "unit"):
        shown = CliRunner().invoke(app, ["device", command, "--help"], env={"COLUMNS": "200"}).output
        assert re.search(r"default: \(?/etc/pehra/device\.toml", shown), command


def test_a_rule_for_a_class_that_the_model_cannot_see_is_refused(tmp_path):
    real = np.zeros((1, 6, 84), np.int8)
    (tmp_path / "cars.tflite").write_bytes(tiny_tflite([Constant("out", real, 1 / 200)], dtype="int8"))
    (tmp_path / "cars.txt").write_text("car\nbus\n")
    file = tmp_path / "device.toml"
    file.write_text(GOOD.replace("[mqtt]", f'[model]\nname = "{tmp_path / "cars.tflite"}"\n\n[mqtt]', 1))
    done = CliRunner().invoke(app, ["device", "check", str(file)])
    assert done.exit_code == 2
    assert "cannot see person" in done.output
